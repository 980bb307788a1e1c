"""scikit-learn's own tests of its multilayer perceptron, run against ours."""

import importlib.util
import types
from pathlib import Path

import pytest

# Each with its reason.
LEFT_OUT = {
    "test_gradient": "calls the private _loss_grad_lbfgs; our gradients meet central differences in other files",
}

IMPORT = "from sklearn.neural_network import MLPClassifier, MLPRegressor"


def borrowed():
    """Their module with our classes: replaced in the source, since decorators read the names while it runs."""
    spec = importlib.util.find_spec("sklearn.neural_network.tests.test_mlp")
    source = Path(spec.origin).read_text(encoding="utf-8")
    assert source.count(IMPORT) == 1
    module = types.ModuleType("borrowed_test_mlp")
    ours = source.replace(IMPORT, "from fastmlp import MLPClassifier, MLPRegressor")
    exec(compile(ours, spec.origin, "exec"), vars(module))
    return module


MODULE = borrowed()
TESTS = {name: test for name, test in vars(MODULE).items() if name.startswith("test_")}

pytestmark = [
    # As in scikit-learn's own configuration, where such a warning is no error.
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    # Ours, and in place: that test makes training diverge.
    pytest.mark.filterwarnings("ignore:X has columns with root mean squares:UserWarning"),
]

globals().update({name: test for name, test in TESTS.items() if name not in LEFT_OUT})


@pytest.fixture
def global_random_seed():
    """The seed that scikit-learn takes where none is asked for."""
    return 42


def test_the_borrowed_classes_are_ours():
    assert MODULE.MLPClassifier.__module__.startswith("fastmlp")
    assert MODULE.MLPRegressor.__module__.startswith("fastmlp")


def test_the_tests_left_out_exist():
    assert set(LEFT_OUT) <= set(TESTS)
    assert len(TESTS) > 30
