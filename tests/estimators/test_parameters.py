"""One declaration per parameter gives the signature, the constraint and the documentation of an estimator."""

import copy
import dataclasses
import inspect
import pickle

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.utils._param_validation import InvalidParameterError, StrOptions, validate_parameter_constraints

from fastmlp import MLPAutoencoder, MLPClassifier, MLPRegressor
from fastmlp.estimators._parameters import PLACEHOLDER, parameter, with_parameters

ESTIMATORS = [MLPClassifier, MLPRegressor, MLPAutoencoder]


@with_parameters
class Shared:
    """A base class.

    {parameters}
    """

    size: int = parameter(default=3, allowed=[int], doc="int\nNumber of units.", kw_only=False)
    shape: str = parameter(default="flat", allowed=[StrOptions({"flat", "round"})], doc="str\nIts shape.")


@with_parameters
class First:
    """A parameter that comes before those of `Shared`."""

    loss: str = parameter(default="zero", allowed=[str], doc="str\nLoss.", kw_only=False)


@with_parameters
class Model(Shared, BaseEstimator, First):
    """A model.

    Parameters
    ----------
    {parameters}

    Examples
    --------
    >>> {"braces": 1}
    {'braces': 1}
    """

    size: int = parameter(default=5, kw_only=False)
    shape: str = parameter(default="flat", doc="{'flat', 'round'}\nThe shape\nof a unit.")
    depth: float = parameter(default=0.5, allowed=[float], doc="float\nDepth.", stochastic_only=True)

    def fit(self):
        self._validate_params()
        return self


DOCUMENTATION = """A model.

Parameters
----------
loss : str, default='zero'
    Loss.
size : int, default=5
    Number of units.
shape : {'flat', 'round'}, default='flat'
    The shape
    of a unit.
depth : float, default=0.5
    Depth.

Examples
--------
>>> {"braces": 1}
{'braces': 1}"""


def test_signature_follows_the_declarations():
    assert str(inspect.signature(Model)) == (
        "(loss: str = 'zero', size: int = 5, *, shape: str = 'flat', depth: float = 0.5) -> None"
    )
    assert Model.__init__.__qualname__ == "Model.__init__"
    assert Model.__init__.__module__ == __name__


def test_documentation_follows_the_declarations():
    assert inspect.cleandoc(Model.__doc__) == DOCUMENTATION
    assert Model.__doc__.endswith("{'braces': 1}")


def test_an_overriding_declaration_inherits_what_it_leaves_out():
    assert Model(size=1.5).get_params() == {"loss": "zero", "size": 1.5, "shape": "flat", "depth": 0.5}
    with pytest.raises(InvalidParameterError, match="The 'size' parameter of Model must be an instance of 'int'"):
        Model(size=1.5).fit()
    with pytest.raises(InvalidParameterError, match="The 'shape' parameter of Model must be a str among"):
        Model(shape="square").fit()
    assert str(inspect.signature(Shared)) == "(size: int = 3, *, shape: str = 'flat') -> None"


def test_arguments_are_stored_unchanged():
    value = [1, 2]
    model = Model(loss=value)
    assert model.loss is value
    assert clone(Model("one", 2, shape="round")).get_params() == {
        "loss": "one",
        "size": 2,
        "shape": "round",
        "depth": 0.5,
    }
    assert repr(Model(depth=1.0)) == "Model(depth=1.0)"
    with pytest.raises(TypeError, match="positional argument"):
        Model("one", 2, "round")
    with pytest.raises(TypeError, match="unexpected keyword argument 'width'"):
        Model(width=3)


def test_a_subclass_can_define_its_own_init():
    class Small(Model):
        def __init__(self, depth=0.1):
            super().__init__(size=1, depth=depth)

    assert Small().get_params() == {"depth": 0.1}
    assert Small().size == 1


def test_options_of_mini_batch_training_are_listed_with_their_defaults():
    assert Model._stochastic_only == {"depth": 0.5}
    assert Shared._stochastic_only == {}
    for Estimator in ESTIMATORS:
        used = {"average": True, "dropout": 0.5, "weight_decay": 0.1, "max_grad_norm": 1.0, "warmup": 0.1}
        used["learning_rate_multipliers"] = [1.0, 1.0, 1.0]
        assert set(used) <= set(Estimator._stochastic_only)
        for name in Estimator._stochastic_only:
            value = used.get(name, 0.5)
            with pytest.raises(ValueError, match=f"{name}=.* needs solver='sgd' or solver='adam', got 'lbfgs'"):
                Estimator(solver="lbfgs", **{name: value}).fit(np.eye(4), np.arange(4))


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_each_parameter_of_an_estimator_is_complete(Estimator):
    parameters = inspect.signature(Estimator).parameters
    assert set(Estimator._parameter_constraints) == set(parameters)
    assert PLACEHOLDER not in Estimator.__doc__
    section = Estimator.__doc__.split("Parameters\n----------\n")[1].split("\n\nAttributes\n")[0]
    entries = [line for line in section.splitlines() if line and not line.startswith(" ")]
    assert len(entries) == len(parameters)
    # The documentation has the order and the defaults of the signature.
    for entry, (name, value) in zip(entries, parameters.items(), strict=True):
        assert entry.startswith(f"{name} : ")
        assert entry.endswith(f", default={value.default!r}")
        assert value.annotation is not inspect.Parameter.empty
        assert value.default is None or isinstance(value.default, (str, bool, int, float, tuple))
    for line in section.splitlines():
        assert len(line) <= 120


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_defaults_are_valid(Estimator):
    """`fit` does not check values that are the defaults."""
    validate_parameter_constraints(Estimator._parameter_constraints, Estimator().get_params(), Estimator.__name__)


def test_a_subclass_with_other_defaults_is_validated():
    class Subclass(MLPClassifier):
        def __init__(self, alpha=-1.0, own=None):
            super().__init__(alpha=alpha)
            self.own = own

    with pytest.raises(InvalidParameterError, match="'alpha' parameter of Subclass must be"):
        Subclass().fit(np.eye(4), np.arange(4) % 2)


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_estimators_are_no_dataclasses(Estimator, rng):
    """A library that knows dataclasses (Dask's tokenize, for one) takes their fields for the whole state."""
    assert not dataclasses.is_dataclass(Estimator)
    # Equality is that of objects, also between equal copies.
    model = Estimator(hidden_layer_sizes=2, solver="lbfgs", tol=1.0, random_state=0)
    model.fit(rng.normal(size=(20, 3)), np.arange(20) % 3)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), clone(model)):
        assert other != model
        assert hash(other) != hash(model)
        assert other.get_params() == model.get_params()
