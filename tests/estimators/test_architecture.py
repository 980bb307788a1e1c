"""Every part of a network, through the estimators: training matches the reference implementation."""

import warnings
from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import scale

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.reference import loops, vectorized

EPOCHS = 12


@pytest.fixture(scope="module")
def iris():
    """The standardised iris data, with shuffled rows."""
    X, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    return scale(X)[order], y[order]


def some_weights(widths, activations, pieces=2, seed=1):
    """Random coefs and intercepts; maxout layers have a column for each piece of a unit."""
    rng = np.random.default_rng(seed)
    counts = [pieces if name == "maxout" else 1 for name in activations]
    columns = [n * p for n, p in zip(widths[1:], [*counts, 1], strict=True)]
    return (
        [rng.normal(size=(n, c)) / np.sqrt(n) for n, c in zip(widths, columns, strict=False)],
        [rng.normal(scale=0.1, size=c) for c in columns],
    )


def fit(model, *args, **kwargs):
    """Fit without the convergence warning that so few epochs cause."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(*args, **kwargs)


def reference_fit(X, Y, seed=None, **options):
    """A function that takes coefs and intercepts and returns what EPOCHS epochs of the reference make of them."""

    def train(coefs, intercepts):
        rng = None if seed is None else np.random.RandomState(seed)
        return vectorized.fit(coefs, intercepts, X, Y, epochs=EPOCHS, rng=rng, **options)

    return train


def ones_and_zeros(coefs):
    """Initial scale and shift of batch normalisation."""
    return [(np.ones(W.shape[1]), np.zeros(W.shape[1])) for W in coefs[:-1]]


def assert_weights(model, coefs, intercepts, pairs=(), *, tolerance):
    batch_norm = (model.gammas_, model.betas_) if pairs else ([], [])
    ours = [*model.coefs_, *model.intercepts_, *batch_norm[0], *batch_norm[1]]
    theirs = [*coefs, *intercepts, *(gamma for gamma, _ in pairs), *(beta for _, beta in pairs)]
    for a, b in zip(ours, theirs, strict=True):
        assert_allclose(a, b, atol=tolerance, rtol=tolerance)


# ---- Activations, batch normalisation, residuals ----


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("activation", vectorized.ACTIVATIONS)
def test_training_matches_the_reference(iris, activation, dtype, rounding_error):
    X, y = iris[0].astype(dtype), iris[1]
    sizes = (4, 6, 6)
    init = some_weights([4, *sizes, 3], [activation] * 3, pieces=3)
    options = {"activation": activation, "alpha": 0.5, "maxout_pieces": 3}
    for solver, (batch_norm, residual) in product(["sgd", "adam"], product([False, True], repeat=2)):
        if batch_norm and solver == "adam" and dtype == np.float32:
            # The exact gradient of a bias before batch normalisation is 0; Adam amplifies its rounding errors.
            continue
        model = MLPClassifier(
            sizes,
            **options,
            init=init,
            solver=solver,
            learning_rate_init=0.01,
            batch_size=40,  # 150 rows: three batches and a shorter one
            max_iter=EPOCHS,
            random_state=3,
            batch_norm=batch_norm,
            residual=residual,
        )
        fit(model, X, y)
        train = reference_fit(
            X.astype(float),
            np.eye(3)[y],
            seed=3,
            **options,
            batch_size=40,
            solver=solver,
            learning_rate_init=0.01,
            residual=residual,
            batch_norm=ones_and_zeros(init[0]) if batch_norm else None,
        )
        tolerance = rounding_error(train, init, dtype)
        coefs, intercepts, loss_curve, *rest = train(*init)
        assert_weights(model, coefs, intercepts, *rest, tolerance=tolerance)
        assert_allclose(model.loss_curve_, loss_curve, rtol=tolerance)
        assert model.coefs_[0].dtype == dtype
        if not batch_norm:
            arrays = [[a.astype(float) for a in part] for part in (model.coefs_, model.intercepts_)]
            h = vectorized.forward(*arrays, X.astype(float), residual=residual, **options)[-1]
            # A softmax passes on at most half of the error of its inputs, which are sums of up to 18 products of
            # numbers below 10: 18 * 10 / 2 units in the last place of 1.
            assert_allclose(model.predict_proba(X), h, rtol=0, atol=90 * np.finfo(dtype).eps)


def test_one_activation_for_each_layer(iris, rounding_error):
    X, y = iris
    names = ["maxout", "tanh", "relu"]
    init = some_weights([4, 5, 6, 7, 3], names)
    model = MLPClassifier((5, 6, 7), names, init=init, shuffle=False, max_iter=EPOCHS)
    fit(model, X, y)
    train = reference_fit(X, np.eye(3)[y], activation=names, batch_size=150, alpha=1e-4)
    assert_weights(model, *train(*init)[:2], tolerance=rounding_error(train, init))
    assert [W.shape for W in model.coefs_] == [(4, 10), (5, 6), (6, 7), (7, 3)]
    assert_allclose(
        model.predict_proba(X), vectorized.forward(model.coefs_, model.intercepts_, X, activation=names)[-1]
    )


def test_maxout_of_linear_pieces_learns_the_absolute_value():
    X = np.linspace(-1, 1, 41)[:, np.newaxis]
    model = MLPRegressor(hidden_layer_sizes=2, activation="maxout", solver="lbfgs", alpha=0, random_state=0)
    model.set_params(max_iter=1000, tol=1e-12).fit(X, np.abs(X).ravel())
    assert model.score(X, np.abs(X).ravel()) > 1 - 1e-6


# ---- Outputs and losses ----


@pytest.mark.parametrize("loss", ["log_loss", "squared_error"])
def test_one_vs_all_outputs_match_the_reference(iris, loss, rounding_error):
    X, y = iris
    init = some_weights([4, 5, 3], ["tanh"])
    model = MLPClassifier((5,), "tanh", init=init, shuffle=False, max_iter=EPOCHS, out_activation="logistic", loss=loss)
    fit(model, X, y)
    options = {"activation": "tanh", "output": "logistic", "loss": loss, "alpha": 1e-4}
    train = reference_fit(X, np.eye(3)[y], batch_size=150, **options)
    coefs, intercepts, loss_curve = train(*init)
    tolerance = rounding_error(train, init)
    assert_weights(model, coefs, intercepts, tolerance=tolerance)
    h = vectorized.forward(model.coefs_, model.intercepts_, X, **options)[-1]
    assert_allclose(model.predict_proba(X), h / h.sum(axis=1, keepdims=True), rtol=1e-12)
    assert_array_equal(model.predict(X), h.argmax(axis=1))
    assert model.out_activation_ == "logistic"
    if loss == "log_loss":
        assert_allclose(model.loss_curve_, loss_curve, rtol=tolerance)


def test_outputs_that_are_all_zero_give_equal_probabilities(iris):
    X, y = iris
    init = [np.zeros((4, 3))], [np.full(3, -1000.0)]
    model = fit(MLPClassifier((), out_activation="logistic", init=init, max_iter=1), X, y)
    assert_array_equal(model.predict_proba(X), np.full((150, 3), 1 / 3))


def test_squared_error_on_two_classes_and_on_labels(iris, rounding_error):
    X, y = iris
    for targets, K in [(y == 1, 1), (np.column_stack([y == 1, y > 0]).astype(int), 2)]:
        init = some_weights([4, 5, K], ["relu"])
        model = MLPClassifier((5,), init=init, shuffle=False, max_iter=EPOCHS, loss="squared_error")
        fit(model, X, targets)
        options = {"output": "logistic", "loss": "squared_error", "alpha": 1e-4}
        Y = np.asarray(targets, float).reshape(-1, K)
        train = reference_fit(X, Y, batch_size=150, **options)
        assert_weights(model, *train(*init)[:2], tolerance=rounding_error(train, init))


@pytest.mark.parametrize(("loss", "output"), [("squared_error", "identity"), ("poisson", "exp")])
def test_regression_matches_the_reference(iris, loss, output, rounding_error):
    X = iris[0]
    Y = np.abs(X[:, 2:])
    init = some_weights([2, 5, 2], ["silu"])
    model = MLPRegressor(loss, (5,), "silu", init=init, shuffle=False, max_iter=EPOCHS)
    weights = np.random.default_rng(0).uniform(size=150)
    fit(model, X[:, :2], Y, weights)
    train = reference_fit(
        X[:, :2], Y, activation="silu", output=output, alpha=1e-4, sample_weight=weights, batch_size=150
    )
    assert_weights(model, *train(*init)[:2], tolerance=rounding_error(train, init))


# ---- Penalty ----


@pytest.mark.parametrize("penalty", ["mean", "sum"])
def test_penalty_matches_the_reference(iris, penalty, rounding_error):
    X, y = iris
    init = some_weights([4, 5, 3], ["relu"])
    alpha = {"mean": 4.0, "sum": 0.1}[penalty]
    weights = np.random.default_rng(0).uniform(size=150)
    model = MLPClassifier((5,), init=init, shuffle=False, max_iter=EPOCHS, alpha=alpha, penalty_scaling=penalty)
    fit(model.set_params(batch_size=50), X, y, weights)
    train = reference_fit(X, np.eye(3)[y], alpha=alpha, penalty=penalty, sample_weight=weights, batch_size=50)
    coefs, intercepts, loss_curve = train(*init)
    tolerance = rounding_error(train, init)
    assert_weights(model, coefs, intercepts, tolerance=tolerance)
    assert_allclose(model.loss_curve_, loss_curve, rtol=tolerance)


def test_mean_penalty_equals_sum_penalty_times_the_rows(iris, rounding_error):
    X, y = iris
    init = some_weights([4, 5, 3], ["relu"])
    models = [
        fit(MLPClassifier((5,), init=init, batch_size=150, max_iter=EPOCHS, alpha=alpha, penalty_scaling=scaling), X, y)
        for alpha, scaling in [(3.0, "mean"), (3.0 / 150, "sum")]
    ]
    tolerance = rounding_error(reference_fit(X, np.eye(3)[y], alpha=3.0, batch_size=150), init)
    assert_weights(models[0], models[1].coefs_, models[1].intercepts_, tolerance=tolerance)


# ---- Plain gradient descent ----


def test_one_batch_of_all_rows_without_momentum_is_gradient_descent(iris, rounding_error):
    """Compared with loops over samples, units and weights, and W <- W - rate dJ/dW."""
    X, y = iris[0][:40], iris[1][:40]
    init = some_weights([4, 5, 3], ["tanh"])
    model = MLPClassifier((5,), "tanh", solver="sgd", momentum=0, batch_size=40, learning_rate_init=0.5, alpha=0.1)
    fit(model.set_params(init=init, max_iter=EPOCHS), X, y)

    def descend(coefs, intercepts):
        costs = []
        for _ in range(EPOCHS):
            J, *gradients = loops.cost_and_gradient(coefs, intercepts, X, np.eye(3)[y], activation="tanh", alpha=0.1)
            costs.append(J)
            coefs, intercepts = loops.gradient_descent_step(coefs, intercepts, *gradients, 0.5)
        return coefs, intercepts, costs

    coefs, intercepts, costs = descend(*init)
    tolerance = rounding_error(descend, init)
    assert_weights(model, coefs, intercepts, tolerance=tolerance)
    assert_allclose(model.loss_curve_, costs, rtol=tolerance)


# ---- Initial weights ----


def initial(sizes=(300, 200), n_features=100, **params):
    """A model whose training did not change the initial weights."""
    X, y = np.zeros((10, n_features)), np.arange(10) % 2
    model = MLPClassifier(sizes, solver="sgd", learning_rate_init=1e-300, max_iter=1, random_state=0, **params)
    return fit(model, X, y)


@pytest.mark.parametrize(
    ("init", "bound"),
    [
        ("glorot", lambda n, k: np.sqrt(6 / (n + k))),
        ("he", lambda n, k: np.sqrt(6 / n)),
        ("lecun", lambda n, k: np.sqrt(3 / n)),
        ("uniform", lambda n, k: 0.25),
    ],
)
def test_initial_weights_are_uniform_within_their_bound(init, bound):
    model = initial(init=init, init_scale=0.25)
    for W, b in zip(model.coefs_, model.intercepts_, strict=True):
        limit = bound(*W.shape)
        assert np.abs(W).max() <= limit
        assert np.abs(W).max() > 0.98 * limit
        assert_allclose(W.std(), limit / np.sqrt(3), rtol=0.06)
        if init in ("glorot", "uniform"):
            assert np.abs(b).max() <= limit
        else:
            assert not b.any()


def test_glorot_bound_of_logistic_units_matches_scikit_learn():
    assert_allclose(np.abs(initial(activation="logistic").coefs_[0]).max(), np.sqrt(2 / 400), rtol=0.01)


def test_orthogonal_weights_have_orthonormal_rows_or_columns():
    for W in initial(init="orthogonal").coefs_:
        gram = W.T @ W if W.shape[0] >= W.shape[1] else W @ W.T
        assert_allclose(gram, np.eye(len(gram)), atol=1e-12)


def test_he_keeps_the_size_of_relu_activations_through_many_layers(rng):
    """The purpose of each scheme: the mean square of the activations neither vanishes nor grows."""
    X = rng.normal(size=(200, 100))
    for init, activation in [("he", "relu"), ("lecun", "selu"), ("glorot", "tanh"), ("orthogonal", "identity")]:
        model = initial((100,) * 8, init=init, activation=activation)
        A = vectorized.forward(model.coefs_, model.intercepts_, X, activation=activation, output="logistic")
        assert 0.03 < np.mean(A[-2] ** 2) < 10, init


def test_given_initial_arrays_are_used_and_not_changed(iris):
    coefs, intercepts = some_weights([4, 5, 1], ["relu"])
    copies = [a.copy() for a in [*coefs, *intercepts]]
    model = MLPClassifier((5,), solver="sgd", learning_rate_init=1e-300, max_iter=1, init=(coefs, intercepts))
    fit(model, iris[0], iris[1] == 1)
    assert_weights(model, coefs, intercepts, tolerance=0)
    fit(model.set_params(learning_rate_init=0.1), iris[0], iris[1] == 1)
    for before, after in zip(copies, [*coefs, *intercepts], strict=True):
        assert_array_equal(before, after)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_constant_weights_warn_and_keep_units_identical(iris, solver):
    X, y = iris
    init = [np.full((4, 3), 0.1), np.full((3, 3), 0.1)], [np.full(3, 0.1), np.full(3, 0.1)]
    model = MLPClassifier((3,), "tanh", solver=solver, init=init, max_iter=20, learning_rate_init=0.05)
    with pytest.warns(UserWarning, match="all weights into hidden layer 1 are equal, so its units .* remain identical"):
        fit(model, X, y)
    assert np.ptp(model.coefs_[0], axis=1).max() == 0
    assert np.ptp(model.coefs_[1], axis=0).max() == 0
    assert np.abs(model.coefs_[0] - 0.1).max() > 0.01


@pytest.mark.parametrize(
    ("init", "message"),
    [
        (
            ([np.ones((4, 5))], [np.ones(5)]),
            r"init: coefs must have the shapes \[\(4, 5\), \(5, 3\)\].*got \[\(4, 5\)\]",
        ),
        (([np.ones((4, 5)), np.ones((5, 3))], [np.ones(5), np.ones(4)]), r"init: intercepts must have the shapes"),
        (([np.full((4, 5), np.nan), np.ones((5, 3))], [np.ones(5), np.ones(3)]), "init: coefs must be finite"),
        (([1, 2], 3), r"init must be one of \['glorot', .* or a pair \(coefs, intercepts\)"),
        ("normal", "The 'init' parameter of MLPClassifier must be"),
    ],
)
def test_bad_initial_weights_are_refused(iris, init, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier((5,), init=init).fit(*iris)


# ---- Batch normalisation ----


def test_running_statistics_are_averages_over_the_batches(iris):
    """r <- 0.9 r + 0.1 batch, from mean 0 and variance 1; predictions use them, independently of the batch."""
    X, y = iris
    model = initial_model = MLPClassifier((5,), "tanh", batch_norm=True, solver="sgd", learning_rate_init=1e-300)
    fit(initial_model.set_params(max_iter=7, batch_size=150, random_state=0, alpha=0), X, y)
    Z = X @ model.coefs_[0] + model.intercepts_[0]
    kept = 0.9**7
    mean, variance = (1 - kept) * Z.mean(axis=0), kept + (1 - kept) * Z.var(axis=0)
    A = np.tanh((Z - mean) / np.sqrt(variance + 1e-5))
    expected = vectorized.forward([model.coefs_[1]], [model.intercepts_[1]], A)[-1]
    assert_allclose(model.predict_proba(X), expected, rtol=1e-10)
    assert_allclose(model.predict_proba(X[:1]), expected[:1], rtol=1e-10)


def test_lbfgs_leaves_the_statistics_of_all_rows(iris):
    X, y = iris
    model = MLPClassifier((5, 5), "tanh", batch_norm=True, solver="lbfgs", max_iter=4, random_state=0)
    fit(model, X, y)
    pairs = list(zip(model.gammas_, model.betas_, strict=True))
    h = vectorized.forward(model.coefs_, model.intercepts_, X, activation="tanh", batch_norm=pairs)[-1]
    assert_allclose(model.predict_proba(X), h, rtol=1e-10)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_results_do_not_depend_on_the_number_of_threads(solver):
    X, y = load_digits(return_X_y=True)
    X = X / 16
    shared = {"batch_norm": True, "residual": True, "solver": solver, "max_iter": 3, "random_state": 0}
    one, two = (
        fit(MLPClassifier((128, 128), "selu", n_jobs=n_jobs, batch_size=600, **shared), X, y) for n_jobs in (1, 2)
    )
    for a, b in zip([*one.coefs_, *one.gammas_, *one.betas_], [*two.coefs_, *two.gammas_, *two.betas_], strict=True):
        assert_array_equal(a, b)
    assert_array_equal(one.predict_proba(X), two.predict_proba(X))


def test_early_stopping_restores_the_statistics_of_the_best_weights():
    X, y = load_digits(return_X_y=True)
    X = X / 16
    model = MLPClassifier((20,), batch_norm=True, early_stopping=True, random_state=0, learning_rate_init=0.05)
    model.set_params(max_iter=30, n_iter_no_change=100)
    fit(model, X, y)
    assert np.argmax(model.validation_scores_) < len(model.validation_scores_) - 1
    random = np.random.RandomState(0)
    for n, k in [(64, 20), (20, 10)]:
        random.uniform(size=(n, k))
        random.uniform(size=k)
    _, X_val, _, y_val = train_test_split(X, y, random_state=random, test_size=0.1)
    assert model.score(X_val, y_val) == model.best_validation_score_


def test_batch_normalisation_trains_a_network_with_vanishing_gradients():
    """Ten logistic layers do not learn without batch normalisation, and do with it."""
    X, y = load_digits(return_X_y=True)
    X = X / 16
    scores = [
        fit(
            MLPClassifier((20,) * 10, "logistic", batch_norm=batch_norm, max_iter=40, random_state=0),
            X[:1000],
            y[:1000],
        ).score(X[1000:], y[1000:])
        for batch_norm in (False, True)
    ]
    assert scores[0] < 0.2
    assert scores[1] > 0.6


# ---- Residual connections ----


def test_residual_layers_add_their_input(iris):
    X, y = iris
    model = fit(MLPClassifier((4, 4, 6), residual=True, max_iter=3, random_state=0), X, y)
    A = X
    for l, (W, b) in enumerate(zip(model.coefs_[:-1], model.intercepts_[:-1], strict=True)):
        A = np.maximum(A @ W + b, 0) + (A if l < 2 else 0)
    expected = vectorized.forward([model.coefs_[-1]], [model.intercepts_[-1]], A)[-1]
    assert_allclose(model.predict_proba(X), expected, rtol=1e-12)


def test_residual_connections_train_a_network_that_would_not_learn(iris):
    """Ten layers with small initial weights: signal and gradient pass through the sums."""
    X, y = iris
    shared = {"init": "uniform", "init_scale": 0.05, "max_iter": 60, "learning_rate_init": 0.01, "random_state": 0}
    with_sums, without = (
        fit(MLPClassifier((4,) * 10, residual=residual, **shared), X, y).score(X, y) for residual in (True, False)
    )
    assert with_sums > 0.9
    assert without < 0.5


# ---- Invalid parameters ----


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"activation": "step"}, "The 'activation' parameter of MLPClassifier must be"),
        ({"activation": ["relu", "step"]}, r"The 'activation' parameter must name activations out of .*got 'step'"),
        ({"activation": ["relu", 3]}, "The 'activation' parameter must name activations out of .*got 3"),
        ({"activation": ["relu"]}, r"one for each of the 2 hidden layers; got 1: \['relu'\]"),
        ({"activation": ["relu"] * 3}, "one for each of the 2 hidden layers; got 3"),
        (
            {"maxout_pieces": 1},
            r"The 'maxout_pieces' parameter of MLPClassifier must be an int in the range \[2, inf\)",
        ),
        ({"residual": True}, r"'residual' parameter needs a hidden layer as wide as its input, got .*\[4, 5, 6\]"),
        ({"residual": "yes"}, "The 'residual' parameter"),
        ({"batch_norm": 0.5}, "The 'batch_norm' parameter"),
        ({"penalty_scaling": "max"}, "The 'penalty_scaling' parameter .*'mean'.*Got 'max'"),
        ({"init_scale": 0}, "The 'init_scale' parameter"),
        ({"out_activation": "tanh"}, "The 'out_activation' parameter .*Got 'tanh'"),
        ({"loss": "hinge"}, "The 'loss' parameter .*Got 'hinge'"),
        ({"loss": "squared_error"}, "loss='squared_error' does not go with softmax outputs; choose"),
    ],
)
def test_bad_parameters_are_refused(iris, params, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier((5, 6), **params).fit(*iris)


def test_softmax_is_for_three_or_more_exclusive_classes(iris):
    X, y = iris
    with pytest.raises(ValueError, match="out_activation='softmax' needs three or more exclusive classes"):
        MLPClassifier(out_activation="softmax").fit(X, y == 1)
