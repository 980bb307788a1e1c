"""The autoencoder: encoder and decoder, principal components as a special case, tied weights."""

import pickle

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmlp import MLPAutoencoder, MLPRegressor, check_gradient
from fastmlp.reference import vectorized
from fastmlp.reference._training import Hyper

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def X():
    """The digits data, with pixels from 0 to 1."""
    return load_digits(return_X_y=True)[0] / 16


def all_checks(estimators):
    """scikit-learn's checks; before 1.9 they are a generator, which pytest 9.1 and later no longer accept."""
    mark = parametrize_with_checks(estimators).mark
    return pytest.mark.parametrize(mark.args[0], list(mark.args[1]), **mark.kwargs)


@all_checks(
    [
        MLPAutoencoder(max_iter=20),
        MLPAutoencoder(hidden_layer_sizes=(5, 2), max_iter=20, solver="lbfgs"),
        MLPAutoencoder(hidden_layer_sizes=2, max_iter=20, solver="sgd", tied_weights=True),
    ]
)
def test_sklearn_check(estimator, check):
    check(estimator)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("k", [2, 8])
def test_linear_autoencoder_reaches_principal_components(X, k, tied):
    X = X[:500]
    coder = MLPAutoencoder(k, "identity", solver="lbfgs", alpha=0, tol=1e-7, max_iter=5000, random_state=0)
    coder.set_params(tied_weights=tied).fit(X)
    pca = PCA(k).fit(X)
    error = np.sum((X - coder.reconstruct(X)) ** 2)
    least = np.sum((X - pca.inverse_transform(pca.transform(X))) ** 2)
    assert least <= error < 1.0001 * least
    assert_allclose(coder.score(X), pca.explained_variance_ratio_.sum(), rtol=1e-4)
    # The decoder spans the same subspace.
    basis = np.linalg.qr(coder.coefs_[1].T)[0]
    assert_allclose(np.linalg.svd(pca.components_ @ basis)[1], 1, atol=1e-3)


@pytest.mark.parametrize("tied", [False, True])
def test_more_layers_explain_more_variance_than_pca(X, tied):
    X_train, X_test = train_test_split(X, random_state=0)
    coder = MLPAutoencoder((128, 8), "silu", max_iter=300, learning_rate_init=0.003, random_state=0, tol=0)
    coder.set_params(tied_weights=tied).fit(X_train)
    pca = PCA(8).fit(X_train)
    theirs = 1 - np.sum((X_test - pca.inverse_transform(pca.transform(X_test))) ** 2) / np.sum(
        (X_test - X_test.mean(axis=0)) ** 2
    )
    assert coder.score(X_test) > theirs + 0.05


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"hidden_layer_sizes": 5, "loss": "log_loss"},
        {"hidden_layer_sizes": (20, 20, 7), "residual": True, "batch_norm": True},
        {"hidden_layer_sizes": (12, 4), "activation": ["maxout", "tanh"], "maxout_pieces": 3},
        {"hidden_layer_sizes": (64, 64), "residual": True, "tied_weights": True, "batch_norm": True},
    ],
)
def test_decoded_codes_equal_the_reconstruction(X, params, dtype):
    X = X.astype(dtype)
    coder = MLPAutoencoder(max_iter=3, random_state=0).set_params(**params).fit(X)
    codes = coder.transform(X)
    assert codes.dtype == dtype
    assert_array_equal(coder.inverse_transform(codes), coder.reconstruct(X))
    assert codes.shape[1] == np.ravel(coder.hidden_layer_sizes)[-1] == len(coder.get_feature_names_out())
    assert_array_equal(pickle.loads(pickle.dumps(coder)).transform(X), codes)


def test_codes_are_the_values_of_the_narrowest_layer(X):
    names = ["maxout", "tanh"]
    coder = MLPAutoencoder((12, 4), names, loss="log_loss", max_iter=3, random_state=0).fit(X)
    A = vectorized.forward(
        coder.coefs_, coder.intercepts_, X, activation=["maxout", "tanh", "maxout"], output="logistic"
    )
    assert_allclose(coder.transform(X), A[2], atol=1e-13)
    assert_allclose(coder.reconstruct(X), A[-1], atol=1e-13)
    assert [np.shape(W) for W in coder.coefs_] == [(64, 24), (12, 4), (4, 24), (12, 64)]
    assert list(coder.get_feature_names_out()) == [f"mlpautoencoder{k}" for k in range(4)]


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_untied_autoencoder_equals_a_regressor_of_its_input(X, solver):
    shared = {"activation": "tanh", "solver": solver, "alpha": 0.1, "max_iter": 5, "random_state": 0}
    coder = MLPAutoencoder((20, 4), **shared).fit(X)
    regressor = MLPRegressor(hidden_layer_sizes=(20, 4, 20), **shared).fit(X, X)
    for ours, theirs in zip(coder.coefs_, regressor.coefs_, strict=True):
        assert_array_equal(ours, theirs)
    assert_array_equal(coder.reconstruct(X), regressor.predict(X))
    assert coder.loss_ == regressor.loss_


def test_log_loss_matches_the_formula(X):
    coder = MLPAutoencoder(4, "relu", loss="log_loss", batch_size=2000, shuffle=False, max_iter=1, random_state=0)
    coder.set_params(solver="sgd", learning_rate_init=1e-300, alpha=3.0)
    with pytest.warns(match="clipped"):
        coder.fit(X)
    h = vectorized.forward(coder.coefs_, coder.intercepts_, X, output="logistic")[-1]
    J = -np.mean(np.sum(X * np.log(h) + (1 - X) * np.log(1 - h), axis=1))
    J += 1.5 * sum(np.sum(W**2) for W in coder.coefs_) / len(X)
    assert_allclose(coder.loss_, J, rtol=1e-12)


# ---- Tied weights ----


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_tied_weights_stay_tied(X, solver, batch_norm):
    coder = MLPAutoencoder((20, 6), "tanh", solver=solver, max_iter=4, random_state=0, tied_weights=True)
    coder.set_params(batch_norm=batch_norm, alpha=0.5).fit(X)
    for first, last in zip(coder.coefs_, coder.coefs_[::-1], strict=True):
        assert_array_equal(first, last.T)
    if solver != "lbfgs":
        assert coder.loss_curve_[-1] < coder.loss_curve_[0]


@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_gradient_of_tied_weights(X, loss, batch_norm):
    coder = MLPAutoencoder((7, 3), "tanh", alpha=2.0, loss=loss, random_state=0, tied_weights=True)
    check = check_gradient(coder.set_params(batch_norm=batch_norm), X[:20], max_params=50)
    assert check, check
    assert [row.name for row in check.arrays][:4] == ["coefs[0]", "coefs[1]", "intercepts[0]", "intercepts[1]"]
    coder.set_params(max_iter=3).fit(X)
    assert check_gradient(coder, X[:20], max_params=50)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_steps_of_tied_weights_match_the_reference(X, solver, rounding_error):
    """Compared with the reference optimizer on the free parameters, with the sum of the gradients of both uses."""
    start = MLPAutoencoder((6, 3), "tanh", solver=solver, random_state=0, tied_weights=True, shuffle=False, alpha=0.2)
    start.set_params(learning_rate_init=0.02)
    coefs = [np.random.default_rng(l).normal(scale=0.2, size=shape) for l, shape in enumerate([(64, 6), (6, 3)])]
    intercepts = [np.zeros(n) for n in (6, 3, 6, 64)]
    init = [*coefs, coefs[1].T, coefs[0].T], intercepts
    coder = start.set_params(init=init, batch_size=700, max_iter=4).fit(X)  # the last batch is shorter

    def train(coefs, intercepts):
        """Train with the gradients and the optimizer of the reference; return weights and losses."""
        free = [W.copy() for W in [*coefs, *intercepts]]
        step, n_states = vectorized.OPTIMIZERS[solver]
        states = [[np.zeros_like(w) for _ in range(n_states)] for w in free]
        hyper = Hyper(learning_rate_init=0.02)
        t, curve = 0, []
        for _ in range(4):
            total = 0.0
            for rows in (slice(0, 700), slice(700, 1400), slice(1400, None)):
                t += 1
                W = [free[0], free[1], free[1].T, free[0].T]
                J, G, g = vectorized.cost_and_gradient(
                    W, free[2:], X[rows], X[rows], activation="tanh", output="identity", alpha=0.2
                )
                gradients = [G[0] + G[3].T, G[1] + G[2].T, *g]
                for w, gradient, state in zip(free, gradients, states, strict=True):
                    step(w, gradient, state, t, hyper)
                total += J * len(X[rows])
            curve.append(total / len(X))
        return free, curve

    free, curve = train(coefs, intercepts)
    tolerance = rounding_error(train, (coefs, intercepts))
    for ours, theirs in zip([*coder.coefs_[:2], *coder.intercepts_], free, strict=True):
        assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)
    assert len(coder.loss_curve_) == len(curve)


def test_tied_weights_support_all_options_of_training(X):
    """Early stopping, schedules, warm start, sample weights, partial_fit and divergence."""
    coder = MLPAutoencoder(6, "tanh", random_state=0, tied_weights=True, early_stopping=True, max_iter=30).fit(X)
    assert coder.best_validation_score_ == max(coder.validation_scores_)
    for schedule in ("adaptive", "invscaling"):
        coder = MLPAutoencoder(6, solver="sgd", learning_rate=schedule, tol=0.1, random_state=0, tied_weights=True)
        coder.set_params(max_iter=150, n_iter_no_change=2).fit(X)
        assert coder.n_iter_ < 150
        assert np.isfinite(coder.loss_curve_).all()
    both = MLPAutoencoder(6, random_state=0, tied_weights=True, max_iter=2, shuffle=False)
    halves = MLPAutoencoder(6, random_state=0, tied_weights=True, shuffle=False)
    both.fit(X)
    halves.partial_fit(X).partial_fit(X)
    assert_array_equal(both.coefs_[0], halves.coefs_[0])
    assert both.loss_curve_ == halves.loss_curve_
    weights = np.zeros(len(X))
    weights[:500] = 1
    shared = {"random_state": 0, "tied_weights": True, "shuffle": False, "max_iter": 3, "batch_size": 250}
    ones = MLPAutoencoder(6, **shared).fit(X, sample_weight=weights)
    rows = MLPAutoencoder(6, **shared).fit(X[:500])
    assert_allclose(ones.coefs_[0], rows.coefs_[0], atol=1e-14)
    with pytest.raises(ValueError, match=r"Training diverged in epoch 1, mini-batch .* at learning rate 1e\+06"):
        MLPAutoencoder(6, "identity", solver="sgd", learning_rate_init=1e6, tied_weights=True, random_state=0).fit(X)


@pytest.mark.parametrize("tied", [False, True])
def test_sparse_data(X, tied):
    coder = MLPAutoencoder(6, "tanh", random_state=0, tied_weights=tied, max_iter=3)
    dense, sparse = (coder.set_params().fit(data).transform(data) for data in (X, scipy.sparse.csr_matrix(X)))
    assert_allclose(sparse, dense, atol=1e-12)
    assert_allclose(coder.score(scipy.sparse.csr_matrix(X)), coder.score(X), rtol=1e-12)


def test_autoencoder_in_a_pipeline(X):
    y = load_digits(return_X_y=True)[1]
    model = make_pipeline(
        MLPAutoencoder((64, 16), "tanh", max_iter=60, learning_rate_init=0.003, random_state=0),
        LogisticRegression(max_iter=1000),
    )
    assert model.fit(X[:1200], y[:1200]).score(X[1200:], y[1200:]) > 0.8


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"hidden_layer_sizes": ()}, r"hidden_layer_sizes must name the layers of the encoder.*got \(\)"),
        ({"hidden_layer_sizes": (8, 20)}, r"the last of them the narrowest.*got \(8, 20\)"),
        ({"hidden_layer_sizes": (8, 0)}, "hidden_layer_sizes must be > 0"),
        ({"activation": ["tanh", "relu"]}, "one for each of the 1 hidden layers; got 2"),
        ({"loss": "poisson"}, "The 'loss' parameter of MLPAutoencoder must be"),
        ({"tied_weights": 1}, "The 'tied_weights' parameter"),
        ({"tied_weights": True, "activation": "maxout"}, "tied_weights=True does not go with activation 'maxout'"),
        ({"residual": True}, "'residual' parameter needs a hidden layer as wide as its input"),
    ],
)
def test_bad_parameters_are_refused(X, params, message):
    with pytest.raises(ValueError, match=message):
        MLPAutoencoder(5).set_params(**params).fit(X)


def test_bad_data_are_refused(X):
    with pytest.raises(ValueError, match=r"loss='log_loss' needs X in \[0, 1\], got values from 0 to 16"):
        MLPAutoencoder(loss="log_loss").fit(16 * X)
    with pytest.raises(NotFittedError):
        MLPAutoencoder().transform(X)
    coder = MLPAutoencoder(5, max_iter=1).fit(X)
    with pytest.raises(ValueError, match="X must have 5 columns, one for each unit of the narrowest layer, got 64"):
        coder.inverse_transform(X)
    with pytest.raises(ValueError, match="features"):
        coder.transform(X[:, :5])


def test_reaching_max_iter_warns():
    with pytest.warns(ConvergenceWarning, match="Maximum iterations"):
        MLPAutoencoder(2, "maxout", max_iter=2).fit(np.eye(5))
