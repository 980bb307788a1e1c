"""Converted networks give the labels, probabilities and values of the estimators."""

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the extra 'test-export' is not installed")
pytest.importorskip("onnxruntime", reason="the extra 'test-export' is not installed")

from fastmlp.kernels.tables import ACTIVATIONS

from fastmlp import MLPAutoencoder, MLPClassifier, MLPRegressor
from fastmlp.export import to_onnx
from fastmlp.export._network import exported_classes

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

# The promise for float32. In float64 rounding moves probabilities by the same number of units in the last place.
TOLERANCE = {"float32": 1e-6, "float64": 1e-14}
SHAPES = {
    "plain": {"hidden_layer_sizes": (8, 6)},
    "batch_norm": {"hidden_layer_sizes": (8, 6), "batch_norm": True},
    "residual": {"hidden_layer_sizes": (6, 6, 6), "residual": True},
    "both": {"hidden_layer_sizes": (6, 6), "residual": True, "batch_norm": True},
    "none hidden": {"hidden_layer_sizes": ()},
}
SHORT = {"max_iter": 4, "learning_rate_init": 0.02, "random_state": 0}


def assert_same_prediction(run_onnx, model, X):
    """Compare label and probabilities, or values."""
    outputs = run_onnx(to_onnx(model, X[:1]), X)
    tolerance = TOLERANCE[X.dtype.name]
    if not isinstance(model, MLPClassifier):
        expected = model.predict(X).reshape(len(X), -1)
        assert list(outputs) == ["variable"]
        assert outputs["variable"].dtype == X.dtype
        scale = max(1, np.abs(expected).max())
        np.testing.assert_allclose(outputs["variable"], expected, rtol=0, atol=tolerance * scale)
        return
    assert list(outputs) == ["label", "probabilities"]
    probabilities, label = model.predict_proba(X), model.predict(X)
    assert outputs["probabilities"].dtype == X.dtype
    np.testing.assert_allclose(outputs["probabilities"], probabilities, rtol=0, atol=tolerance)
    assert outputs["label"].dtype == (np.int64 if label.dtype.kind in "biuf" else object)
    assert outputs["label"].shape == label.shape
    # Two probabilities that are equal up to rounding may change places.
    if label.ndim == 2:
        clear = np.abs(probabilities - 0.5) > 2 * tolerance
    else:
        *_, second, first = np.sort(probabilities, axis=1).T
        clear = first - second > 2 * tolerance
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(outputs["label"][clear], label[clear])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", ["plain", "both"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation(problems, run_onnx, name, shape, dtype):
    problem = problems["multiclass"]
    X = problem.X.astype(dtype)
    model = MLPClassifier(**SHAPES[shape], activation=name, maxout_pieces=3, **SHORT).fit(X, problem.y)
    assert_same_prediction(run_onnx, model, X)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "kind", ["binary", "multiclass", "strings", "multilabel", "regression", "outputs", "poisson", "one-vs-all"]
)
def test_every_kind_of_target(problems, run_onnx, kind, shape, dtype):
    problem = problems["multiclass" if kind == "one-vs-all" else kind]
    params = {"out_activation": "logistic"} if kind == "one-vs-all" else problem.params
    X = problem.X.astype(dtype)
    model = problem.ours(**params, **SHAPES[shape], **SHORT).fit(X, problem.y)
    assert_same_prediction(run_onnx, model, X)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    "params",
    [
        {"loss": "quantile", "quantile": [0.1, 0.5, 0.9]},
        {"loss": "quantile", "quantile": [0.5]},
        {"loss": "quantile", "quantile": 0.8},
        {"loss": "absolute_error"},
        {"loss": "huber"},
        {"loss": "cauchy"},
        {"loss": "gamma"},
        {"loss": "tweedie"},
    ],
    ids=str,
)
def test_every_regression_loss(problems, run_onnx, params, dtype):
    problem = problems["poisson"]
    X = problem.X.astype(dtype)
    model = MLPRegressor(**params, **SHAPES["both"], **SHORT).fit(X, problem.y + 1)
    assert_same_prediction(run_onnx, model, X)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_exported_quantiles_never_cross(problems, run_onnx, rng, dtype):
    X, y = problems["regression"].X, problems["regression"].y
    model = MLPRegressor("quantile", 6, quantile=[0.1, 0.2, 0.5, 0.9], **SHORT).fit(X, y)
    far = rng.normal(scale=100, size=(500, X.shape[1])).astype(dtype)
    assert (np.diff(run_onnx(to_onnx(model, far), far)["variable"], axis=1) >= 0).all()


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_focal_loss_and_label_smoothing(problems, run_onnx, kind):
    problem = problems[kind]
    params = {"loss": "focal", "label_smoothing": 0.1, "class_weight": "balanced"}
    assert_same_prediction(run_onnx, MLPClassifier(5, **params, **SHORT).fit(problem.X, problem.y), problem.X)


def test_one_activation_for_each_layer(problems, run_onnx):
    problem = problems["outputs"]
    model = MLPRegressor(
        hidden_layer_sizes=(7, 5, 5, 6),
        activation=["gelu", "maxout", "identity", "selu"],
        residual=True,
        dropout=0.2,  # of training only
        **SHORT,
    ).fit(problem.X, problem.y)
    assert_same_prediction(run_onnx, model, problem.X)


def test_two_labels_are_not_two_classes(problems, run_onnx):
    problem = problems["multilabel"]
    model = MLPClassifier(4, **SHORT).fit(problem.X, problem.y[:, :2])
    assert_same_prediction(run_onnx, model, problem.X)


@pytest.mark.parametrize("shift", [-60, -1000])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_one_vs_all_outputs_near_zero(run_onnx, shift, dtype):
    X = np.array([[0, -1, -3], [1, 0.5, 0], [-2, -2, -2]], dtype) + np.array(shift, dtype)
    model = MLPClassifier((), out_activation="logistic", max_iter=1, random_state=0).fit(X, [0, 1, 2])
    model.coefs_, model.intercepts_ = [np.eye(3, dtype=dtype)], [np.zeros(3, dtype)]
    probabilities = run_onnx(to_onnx(model, X), X)["probabilities"]
    np.testing.assert_allclose(probabilities, model.predict_proba(X), rtol=0, atol=TOLERANCE[dtype])
    # -1000: all outputs are 0.
    assert (np.ptp(probabilities[0]) == 0) == (shift == -1000)


@pytest.mark.parametrize(
    "labels", [[3, 7], [3.0, 7.0], [False, True], ["no", "yes"], [-1, 4], np.array(["a", "b"], object)]
)
def test_labels_of_every_kind(rng, run_onnx, labels):
    X = rng.normal(size=(30, 3))
    y = np.asarray(labels)[(X[:, 0] > 0).astype(int)]
    assert_same_prediction(run_onnx, MLPClassifier(4, **SHORT).fit(X, y), X)


def test_single_class(rng, run_onnx):
    X = rng.normal(size=(30, 3))
    model = MLPClassifier(4, **SHORT).fit(X, np.full(30, "only"))
    outputs = run_onnx(to_onnx(model, X), X)
    assert set(outputs["label"]) == {"only"}
    np.testing.assert_allclose(outputs["probabilities"], model.predict_proba(X), rtol=0, atol=1e-14)


@pytest.mark.parametrize("classes", [[0.5, 1.5], np.array([1, "a"], object), [2.0**70], np.array([2**64 - 1])])
def test_labels_that_onnx_cannot_hold_are_refused(classes):
    with pytest.raises(ValueError, match="Class labels must be integers or strings to be exported to ONNX, got"):
        exported_classes(np.asarray(classes))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    "params",
    [
        {"hidden_layer_sizes": 3},
        {"hidden_layer_sizes": (6, 3), "activation": ["gelu", "maxout"], "batch_norm": True},
        {"hidden_layer_sizes": (64, 3), "residual": True, "loss": "log_loss"},
        {"hidden_layer_sizes": 3, "activation": "tanh", "tied_weights": True},
    ],
)
def test_autoencoder(problems, run_onnx, params, dtype):
    X = problems["multiclass"].X.astype(dtype)
    model = MLPAutoencoder(**params, **SHORT).fit(X)
    outputs = run_onnx(to_onnx(model, X), X)
    assert list(outputs) == ["codes", "reconstruction"]
    for output, expected in zip(outputs.values(), [model.transform(X), model.reconstruct(X)], strict=True):
        assert output.dtype == dtype
        scale = max(1, np.abs(expected).max())
        np.testing.assert_allclose(output, expected, rtol=0, atol=TOLERANCE[dtype] * scale)
