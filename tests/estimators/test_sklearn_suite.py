"""scikit-learn's own tests of its multilayer perceptrons, run with the classes of fastmlp."""

import importlib.util
import types
from pathlib import Path

import pytest

# Tests that are left out, and why.
LEFT_OUT = {
    "test_gradient": "calls the private _loss_grad_lbfgs; other files compare our gradients with central differences",
}

IMPORT = "from sklearn.neural_network import MLPClassifier, MLPRegressor"


def load_module():
    """Load scikit-learn's test module with our classes; the source is edited because decorators use the names."""
    spec = importlib.util.find_spec("sklearn.neural_network.tests.test_mlp")
    source = Path(spec.origin).read_text(encoding="utf-8")
    assert source.count(IMPORT) == 1
    module = types.ModuleType("sklearn_test_mlp")
    ours = source.replace(IMPORT, "from fastmlp import MLPClassifier, MLPRegressor")
    exec(compile(ours, spec.origin, "exec"), vars(module))
    return module


MODULE = load_module()
TESTS = {name: test for name, test in vars(MODULE).items() if name.startswith("test_")}

pytestmark = [
    # In scikit-learn's own configuration, this warning is no error.
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    # A warning that only fastmlp gives, in a test in which training diverges.
    pytest.mark.filterwarnings("ignore:X has columns with root mean squares:UserWarning"),
]

globals().update({name: test for name, test in TESTS.items() if name not in LEFT_OUT})


@pytest.fixture
def global_random_seed():
    """The default seed of scikit-learn's tests."""
    return 42


def test_the_tested_classes_are_those_of_fastmlp():
    assert MODULE.MLPClassifier.__module__.startswith("fastmlp")
    assert MODULE.MLPRegressor.__module__.startswith("fastmlp")


def test_the_tests_that_are_left_out_exist():
    assert set(LEFT_OUT) <= set(TESTS)
    assert len(TESTS) > 30
