"""Arguments, errors and files of `to_onnx`."""

import re

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("onnx", reason="the extra 'test-export' is not installed")
pytest.importorskip("onnxruntime", reason="the extra 'test-export' is not installed")
pytest.importorskip("skl2onnx", reason="the extra 'test-export' is not installed")

import onnx
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from fastmlp import MLPAutoencoder, MLPClassifier, MLPRegressor
from fastmlp.export import to_onnx
from fastmlp.export._to_onnx import NEWEST_OPSET, OLDEST_OPSET

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def binary(problems):
    """A fitted classifier of two classes, and its data."""
    problem = problems["binary"]
    return MLPClassifier((4, 4), "softplus", max_iter=3, random_state=0).fit(problem.X, problem.y), problem.X


@pytest.mark.parametrize("opset", range(OLDEST_OPSET, NEWEST_OPSET + 1))
def test_every_opset(problems, run_onnx, opset):
    problem = problems["multiclass"]
    X = problem.X.astype(np.float32)
    model = MLPClassifier(
        (4, 4, 4, 4, 4, 4),
        ["elu", "selu", "gelu", "softplus", "maxout", "leaky_relu"],
        out_activation="logistic",
        max_iter=2,
        random_state=0,
    ).fit(X, problem.y)
    for converted in (model, make_pipeline(model)):
        onnx_model = to_onnx(converted, X, target_opset=opset)
        assert opset in [item.version for item in onnx_model.opset_import if item.domain == ""]
        probabilities = run_onnx(onnx_model, X)["probabilities"]
        np.testing.assert_allclose(probabilities, model.predict_proba(X), rtol=0, atol=1e-6)


@pytest.mark.parametrize("fitted", [np.float32, np.float64])
def test_type_of_the_computation(problems, fitted):
    problem = problems["binary"]
    model = MLPClassifier(3, max_iter=1, random_state=0).fit(problem.X.astype(fitted), problem.y)

    def input_type(X):
        return onnx.helper.tensor_dtype_to_np_dtype(to_onnx(model, X).graph.input[0].type.tensor_type.elem_type)

    assert input_type(None) == fitted
    assert input_type(problem.X.astype(np.float32)) == np.float32
    assert input_type(pd.DataFrame(problem.X.astype(np.float32))) == np.float32
    assert input_type(problem.X) == np.float64
    assert input_type(problem.X.tolist()) == np.float64
    assert input_type(problem.X.astype(int)) == np.float64


def test_float32_graph_of_a_float64_model(binary, run_onnx):
    model, X = binary
    outputs = run_onnx(to_onnx(model, X.astype(np.float32)), X.astype(np.float32))
    np.testing.assert_allclose(outputs["probabilities"], model.predict_proba(X), rtol=0, atol=1e-6)


def test_feature_names_cause_no_warning(binary, run_onnx):
    model, X = binary
    table = pd.DataFrame(X, columns=[f"feature {i}" for i in range(X.shape[1])])
    named = MLPClassifier(**model.get_params()).fit(table, model.predict(X))
    outputs = run_onnx(to_onnx(named, table), X)
    np.testing.assert_allclose(outputs["probabilities"], named.predict_proba(table), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("params", "outputs"),
    [
        ({}, {"label": [None], "probabilities": [None, 2]}),
        ({"zipmap": True}, {"output_label": [None], "output_probability": None}),
        ({"zipmap": "columns"}, {"output_label": [None], "i0": [None], "i1": [None]}),
    ],
)
def test_outputs_of_a_classifier(binary, params, outputs):
    model, X = binary
    graph = to_onnx(model, X, **params).graph
    assert [output.name for output in graph.output] == list(outputs)
    assert [dimension.dim_value for dimension in graph.input[0].type.tensor_type.shape.dim] == [0, X.shape[1]]


def test_shapes_of_the_outputs(problems, binary):
    def shape(output):
        return [dimension.dim_value or None for dimension in output.type.tensor_type.shape.dim]

    for model in (binary[0], make_pipeline(binary[0])):
        label, probabilities = to_onnx(model, binary[1]).graph.output
        assert (shape(label), shape(probabilities)) == ([None], [None, 2])
    problem = problems["multilabel"]
    model = MLPClassifier(3, max_iter=1, random_state=0).fit(problem.X, problem.y)
    for converted in (model, make_pipeline(model)):
        label, probabilities = to_onnx(converted, problem.X).graph.output
        assert (shape(label), shape(probabilities)) == ([None, 3], [None, 3])
    problem = problems["outputs"]
    model = MLPRegressor(hidden_layer_sizes=3, max_iter=1, random_state=0).fit(problem.X, problem.y)
    for converted in (model, make_pipeline(model)):
        assert [shape(output) for output in to_onnx(converted, problem.X).graph.output] == [[None, 3]]
    coder = MLPAutoencoder((5, 2), "maxout", max_iter=1, random_state=0).fit(problem.X)
    n_features = problem.X.shape[1]
    assert [shape(output) for output in to_onnx(coder).graph.output] == [[None, 2], [None, n_features]]
    assert [shape(output) for output in to_onnx(make_pipeline(coder), problem.X).graph.output] == [[None, 2]]


def test_written_model_is_the_returned_one(binary, tmp_path):
    model, X = binary
    for path in (tmp_path / "model.onnx", str(tmp_path / "text.onnx")):
        returned = to_onnx(model, X, path=path)
        assert onnx.load(path) == returned


def test_path_that_cannot_be_written(binary, tmp_path):
    path = tmp_path / "missing" / "model.onnx"
    with pytest.raises(FileNotFoundError, match=f"The ONNX model cannot be written.*{re.escape(str(path))}"):
        to_onnx(*binary, path=path)
    with pytest.raises(IsADirectoryError, match="The ONNX model cannot be written"):
        to_onnx(*binary, path=tmp_path)


@pytest.mark.parametrize("estimator", [MLPClassifier(), MLPRegressor(), make_pipeline(MLPClassifier())])
def test_unfitted_model(estimator):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        to_onnx(estimator, np.zeros((1, 3)))


@pytest.mark.parametrize("model", ["model", None, MLPClassifier])
def test_not_an_estimator(model):
    with pytest.raises(TypeError, match=r"model must be a fitted estimator, got (str|NoneType|ABCMeta|type)"):
        to_onnx(model)


def test_estimator_that_nothing_converts(problems):
    problem = problems["regression"]
    model = TransformedTargetRegressor(MLPRegressor(hidden_layer_sizes=3, max_iter=1)).fit(problem.X, problem.y)
    with pytest.raises(TypeError, match="skl2onnx cannot convert TransformedTargetRegressor: Unable to find"):
        to_onnx(model, problem.X)


@pytest.mark.parametrize("opset", [12, 23, 18.0, True, "18", None])
def test_wrong_opset(binary, opset):
    with pytest.raises(ValueError, match=f"target_opset must be an integer from 13 to 22, got {opset!r}"):
        to_onnx(*binary, target_opset=opset)


def test_wrong_zipmap(binary):
    with pytest.raises(ValueError, match="zipmap must be True, False or 'columns', got 'rows'"):
        to_onnx(*binary, zipmap="rows")
    with pytest.raises(ValueError, match="zipmap=True is for classifiers, got MLPRegressor"):
        to_onnx(MLPRegressor(), zipmap=True)


def test_input_of_another_shape(binary):
    model, X = binary
    with pytest.raises(ValueError, match=r"X must have the shape \(n_samples, 30\), got \(1, 29\)"):
        to_onnx(model, X[:1, 1:])
    with pytest.raises(ValueError, match=r"X must have the shape \(n_samples, 30\), got \(30,\)"):
        to_onnx(model, X[0])


def test_pipeline_needs_an_example(binary):
    with pytest.raises(ValueError, match="X must be given to convert Pipeline"):
        to_onnx(make_pipeline(binary[0]))


def test_conversion_leaves_the_model_unchanged(binary):
    model, X = binary
    before = {key: value for key, value in vars(model).items() if key != "_packed"}
    to_onnx(model, X)
    to_onnx(make_pipeline(model), X)
    assert all(vars(model)[key] is value for key, value in before.items())
