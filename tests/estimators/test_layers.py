"""Values of hidden layers, and derivatives of the outputs with respect to the inputs."""

import numpy as np
import pytest
import scipy.sparse
from fastmlp.kernels.tables import ACTIVATIONS
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from fastmlp import MLPAutoencoder, MLPClassifier, MLPRegressor
from fastmlp.reference import vectorized

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

KINDS = ["binary", "multiclass", "multilabel", "regression", "outputs", "poisson"]
NETWORKS = {
    "plain": {"hidden_layer_sizes": (7, 5)},
    "no hidden layer": {"hidden_layer_sizes": ()},
    "batch norm": {"hidden_layer_sizes": (7, 5), "batch_norm": True},
    "residual": {"hidden_layer_sizes": (6, 6, 6), "residual": True},
    "maxout": {"hidden_layer_sizes": (7, 5), "activation": "maxout", "maxout_pieces": 3},
    "everything": {
        "hidden_layer_sizes": (6, 6, 6, 4),
        "activation": ["gelu", "maxout", "tanh", "silu"],
        "residual": True,
        "batch_norm": True,
        "dropout": 0.2,
    },
}
LOSSES = [
    {"loss": "gamma"},
    {"loss": "tweedie"},
    {"loss": "huber"},
    {"loss": "quantile", "quantile": [0.1, 0.5, 0.9]},
]


def fit(problem, dtype=np.float64, **params):
    X = problem.X.astype(dtype)
    model = problem.ours(**(problem.params | {"activation": "tanh", "max_iter": 4, "random_state": 0} | params))
    return model.fit(X, problem.y), X


def function_of(model):
    """Return the function that `input_gradients` differentiates, with one column for each output."""
    names = {MLPClassifier: "decision_function", MLPRegressor: "predict", MLPAutoencoder: "reconstruct"}
    method = getattr(model, names[type(model)])
    return lambda X: method(X).reshape(len(X), -1)


def central_differences(model, X, step=1e-6):
    """Return the derivatives of all outputs, of shape (m, K, n)."""
    f, columns = function_of(model), []
    for j in range(X.shape[1]):
        moved = np.zeros(X.shape[1])
        moved[j] = step
        columns.append((f(X + moved) - f(X - moved)) / (2 * step))
    return np.stack(columns, axis=2)


def assert_matches_central_differences(model, X):
    expected = central_differences(model, X)
    gradients = model.input_gradients(X)
    assert gradients.shape == (expected[:, 0] if expected.shape[1] == 1 else expected).shape
    # The differences round outputs of size 1 to eps, divided by the step: about 1e-10.
    scale = max(1, np.abs(expected).max())
    assert_allclose(gradients.reshape(expected.shape), expected, rtol=0, atol=1e-8 * scale)


# ---- Derivatives with respect to the inputs


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_match_central_differences(kind, network, problems):
    # A row where two pieces of a maxout unit are equal to 1e-6 would have another derivative; there is none.
    model, X = fit(problems[kind], **NETWORKS[network])
    assert_matches_central_differences(model, X[:40])


@pytest.mark.parametrize("params", LOSSES, ids=str)
def test_gradients_of_other_losses(params, problems):
    problem = problems["poisson"]
    model = MLPRegressor(hidden_layer_sizes=(7, 5), activation="tanh", max_iter=4, random_state=0, **params)
    assert_matches_central_differences(model.fit(problem.X, problem.y + 1), problem.X[:40])


@pytest.mark.parametrize("params", [{}, {"loss": "log_loss"}, {"tied_weights": True}], ids=str)
def test_gradients_of_autoencoders(params, problems):
    X = problems["multiclass"].X[:60]
    model = MLPAutoencoder((9, 4), "softplus", max_iter=3, random_state=0, **params).fit(X)
    assert_matches_central_differences(model, X[:10])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gradients_match_the_reference(name, dtype, problems):
    """Back-propagate one output at a time through the reference, and through its first layer."""
    model, X = fit(problems["multiclass"], dtype, hidden_layer_sizes=(9, 8), activation=name)
    gradients = model.input_gradients(X)
    assert gradients.dtype == dtype
    assert gradients.shape == (*X.shape[:1], 10, X.shape[1])
    coefs, intercepts = ([a.astype(np.float64) for a in part] for part in (model.coefs_, model.intercepts_))
    for output in range(10):
        D = np.zeros((len(X), 10))
        D[:, output] = 1
        first = vectorized.backpropagate(coefs, intercepts, X, D, activation=name, output="identity")[0]
        # Three products with sums of at most 64 terms, and kinks at which rounding decides.
        error = np.abs(gradients[:, output] - first @ coefs[0].T).max(axis=1)
        assert np.mean(error <= 200 * np.finfo(dtype).eps) > (0.98 if dtype == np.float32 else 0.9999)


def test_single_outputs_are_rows_of_all(problems):
    model, X = fit(problems["multiclass"], hidden_layer_sizes=5)
    gradients = model.input_gradients(X)
    for output in (0, 7, -1):
        assert_array_equal(model.input_gradients(X, output=output), gradients[:, output])
    binary, X = fit(problems["binary"], hidden_layer_sizes=5)
    assert_array_equal(binary.input_gradients(X, output=0), binary.input_gradients(X))


def test_probabilities_have_the_derivatives_of_the_docstring(problems):
    model, X = fit(problems["binary"], hidden_layer_sizes=5)
    X, p, step = X[:20], model.predict_proba(X[:20])[:, 1:], 1e-6
    expected = np.empty_like(X)
    for j in range(X.shape[1]):
        moved = step * (np.arange(X.shape[1]) == j)
        expected[:, j] = (model.predict_proba(X + moved) - model.predict_proba(X - moved))[:, 1] / (2 * step)
    assert_allclose(p * (1 - p) * model.input_gradients(X), expected, atol=1e-9)


# ---- Values of hidden layers


@pytest.mark.parametrize("network", [name for name in NETWORKS if name != "no hidden layer"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_last_layer_determines_the_prediction(network, dtype, problems):
    model, X = fit(problems["outputs"], dtype, **NETWORKS[network])
    A = model.hidden_activations(X)
    assert A.dtype == dtype
    predicted = A.astype(float) @ model.coefs_[-1].astype(float) + model.intercepts_[-1]
    assert_allclose(model.predict(X), predicted, rtol=0, atol=20 * np.finfo(dtype).eps * max(1, np.abs(A).max()))


def test_layers_match_the_reference(problems):
    model, X = fit(
        problems["multiclass"], hidden_layer_sizes=(9, 5, 5), activation=["relu", "gelu", "elu"], residual=True
    )
    options = {"activation": model.activation, "residual": True}
    expected = vectorized.forward(model.coefs_, model.intercepts_, X, **options)
    for layer in range(3):
        assert_allclose(model.hidden_activations(X, layer), expected[layer + 1], atol=1e-13)
        assert_array_equal(model.hidden_activations(X, layer - 3), model.hidden_activations(X, layer))


@pytest.mark.parametrize("params", [{}, {"batch_norm": True}, {"activation": "maxout"}], ids=str)
def test_codes_of_an_autoencoder_are_a_hidden_layer(params, problems):
    X = problems["multiclass"].X
    model = MLPAutoencoder((8, 3), max_iter=3, random_state=0).set_params(**params).fit(X)
    assert_array_equal(model.hidden_activations(X, layer=1), model.transform(X))


@pytest.mark.parametrize("params", [{}, {"residual": True, "hidden_layer_sizes": (64, 5)}], ids=str)
def test_sparse_input(params, problems):
    X, y = problems["multiclass"].X, problems["multiclass"].y
    model = MLPClassifier(**{"hidden_layer_sizes": (6, 5)} | params, max_iter=3, random_state=0).fit(X, y)
    for sparse in (scipy.sparse.csr_array(X), scipy.sparse.csc_matrix(X)):
        assert_allclose(model.hidden_activations(sparse), model.hidden_activations(X), atol=1e-13)
        assert_allclose(model.input_gradients(sparse), model.input_gradients(X), atol=1e-12)


def test_many_rows_and_types(problems):
    model, X = fit(problems["multiclass"], hidden_layer_sizes=(6, 5))
    many = np.tile(X, (9, 1))  # several blocks of rows
    for method in (model.hidden_activations, model.input_gradients):
        assert_array_equal(method(many), np.tile(method(X), (9, *[1] * (method(X).ndim - 1))))
        assert_array_equal(method(X.tolist()), method(X))
        assert_array_equal(method(X[:1]), method(X)[:1])
        assert_array_equal(method(np.asfortranarray(X)), method(X))
        assert method(X.astype(np.float32)).dtype == np.float64
    model.coefs_ = [2 * coef for coef in model.coefs_]  # weights that the user has set
    expected = vectorized.forward(model.coefs_, model.intercepts_, X, activation="tanh")[-2]
    assert_allclose(model.hidden_activations(X), expected)


def test_the_model_is_not_changed(problems):
    model, X = fit(problems["multiclass"], hidden_layer_sizes=(6, 5), batch_norm=True)
    before = [a.copy() for a in (*model.coefs_, *model.intercepts_, *model.gammas_, *model.betas_, model._stats)]
    model.hidden_activations(X)
    model.input_gradients(X)
    after = [*model.coefs_, *model.intercepts_, *model.gammas_, *model.betas_, model._stats]
    for one, other in zip(before, after, strict=True):
        assert_array_equal(one, other)


# ---- Errors


@pytest.mark.parametrize("layer", [2, -3, 100])
def test_layers_that_do_not_exist(layer, problems):
    model, X = fit(problems["regression"], hidden_layer_sizes=(6, 5))
    with pytest.raises(ValueError, match=rf"index of one of 2 hidden layers, from -2 to 1, got {layer}\."):
        model.hidden_activations(X, layer=layer)
    model, X = fit(problems["regression"], hidden_layer_sizes=())
    with pytest.raises(ValueError, match=rf"layer={layer} does not exist: the network has no hidden layer\."):
        model.hidden_activations(X, layer=layer)


@pytest.mark.parametrize("value", [1.0, "last", None, np.nan, True, [0]])
def test_indices_of_other_types(value, problems):
    model, X = fit(problems["outputs"], hidden_layer_sizes=(6, 5))
    with pytest.raises(TypeError, match="layer must be an integer, got "):
        model.hidden_activations(X, layer=value)
    if value is not None:
        with pytest.raises(TypeError, match="output must be None or an integer, got "):
            model.input_gradients(X, output=value)


def test_other_bad_input(problems):
    model, X = fit(problems["outputs"], hidden_layer_sizes=(6, 5))
    for output in (3, -4):
        with pytest.raises(ValueError, match=rf"output must .* one of 3 outputs, from -3 to 2, got {output}\."):
            model.input_gradients(X, output=output)
    for method in ("hidden_activations", "input_gradients"):
        with pytest.raises(ValueError, match="features"):
            getattr(model, method)(X[:, 1:])
        with pytest.raises(ValueError, match="NaN"):
            getattr(model, method)(np.full_like(X, np.nan))
        with pytest.raises(NotFittedError):
            getattr(clone(model), method)(X)
