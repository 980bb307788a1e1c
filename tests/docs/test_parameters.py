"""The user guide shows every parameter of the estimators in an example."""

import inspect
import re
from pathlib import Path

import pytest
import sklearn.neural_network

import fastmlp
from fastmlp import tabular

DOCS = Path(__file__).parents[2] / "docs"
NOT_THE_GUIDE = {"benchmarks.md", "changelog.md", "differences.md", "formulas.md", "guide.md", "how_it_works.md"}
GUIDE = [path.read_text(encoding="utf-8") for path in DOCS.glob("*.md") if path.name not in NOT_THE_GUIDE]
CODE = "\n".join(block for page in GUIDE for block in re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.M))
DIFFERENCES = (DOCS / "differences.md").read_text(encoding="utf-8")
ESTIMATORS = [
    fastmlp.MLPClassifier,
    fastmlp.MLPRegressor,
    fastmlp.MLPAutoencoder,
    tabular.TabularMLPClassifier,
    tabular.TabularMLPRegressor,
]


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("method", ["__init__", "fit", "partial_fit"])
def test_examples_show_every_parameter(estimator, method):
    function = getattr(estimator, method, None)
    if function is None:
        pytest.skip(f"{estimator.__name__} has no {method}")
    names = list(inspect.signature(function).parameters)[1:]
    shown = set(re.findall(r"\b(\w+)(?=\s*=|\")", CODE)) | {"X", "y", "hidden_layer_sizes"}
    assert not [name for name in names if name not in shown]


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
@pytest.mark.parametrize("method", ["__init__", "fit", "partial_fit"])
def test_differences_name_every_additional_parameter(name, method):
    ours = inspect.signature(getattr(getattr(fastmlp, name), method)).parameters
    theirs = inspect.signature(getattr(getattr(sklearn.neural_network, name), method)).parameters
    assert not [parameter for parameter in ours if parameter not in theirs and f"`{parameter}`" not in DIFFERENCES]
