"""Inspection uses estimators through public attributes and the method `__fastmlp_objective__` only."""

import ast
from pathlib import Path

import numpy as np
import pytest
from fastmlp.kernels.layout import Hyper
from numpy.testing import assert_array_equal

import fastmlp
from fastmlp import MLPAutoencoder

FILES = sorted((Path(fastmlp.__file__).parent / "inspection").glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_private_attribute_or_module_is_used(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("__"):
            own = isinstance(node.value, ast.Name) and node.value.id == "self"
            public = node.attr in ("_asdict", "_replace")  # methods of named tuples
            assert own or public, ast.unparse(node)
        if isinstance(node, ast.ImportFrom):
            assert "estimators" not in node.module
            assert not (node.module.startswith("sklearn") and any(alias.name.startswith("_") for alias in node.names))


def test_modules_import_each_other_in_one_direction():
    imports = {
        path.stem: {
            node.module
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.ImportFrom) and node.level == 1
        }
        for path in FILES
    }
    while imports:
        free = [name for name, needed in imports.items() if not needed & imports.keys()]
        assert free, imports  # otherwise the modules that are left import each other in a circle
        for name in free:
            del imports[name]


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "outputs", "poisson"])
def test_the_protocol_returns_the_objective_of_fit(kind, problems):
    estimator, _, X, y, params = problems[kind]
    model = estimator(hidden_layer_sizes=3, alpha=0.5, penalty_scaling="sum", n_jobs=1, random_state=0, **params)
    before = vars(model).copy()
    inputs = model.__fastmlp_objective__(X.astype(np.float32), y, np.ones(len(X)))
    assert vars(model) == before
    assert (inputs.hyper, inputs.threads, inputs.tied) == (Hyper(alpha=0.5, penalty_sum=True), 1, False)
    assert inputs.w.dtype == inputs.data.X.dtype == np.float64
    # The initial weights are those of a fit that changes nothing.
    with pytest.warns(match="Maximum iterations"):
        model.set_params(solver="sgd", learning_rate_init=1e-300, max_iter=1).fit(X.astype(np.float32), y)
    for ours, theirs in zip(inputs.network.parts(inputs.w).coefs, model.coefs_, strict=True):
        assert_array_equal(ours.astype(np.float32), theirs)
    again = model.__fastmlp_objective__(X, y)
    assert again.network == inputs.network
    assert again.data.sample_weight.size == 0
    again.w[:] = 0
    assert model.coefs_[0].any()


def test_tied_weights_are_part_of_the_protocol(problems):
    X = problems["multiclass"].X
    for tied in (False, True):
        assert MLPAutoencoder(3, tied_weights=tied).__fastmlp_objective__(X, None).tied is tied
