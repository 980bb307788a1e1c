"""Dropout, weight decay, limited gradients, schedules and multipliers of the learning rate."""

import warnings

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.preprocessing import scale
from sklearn.utils._param_validation import InvalidParameterError

from fastmlp import MLPAutoencoder, MLPClassifier, MLPRegressor
from fastmlp.reference import loops, vectorized
from fastmlp.training import _engine, _workspace

DTYPES = [np.float32, np.float64]
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:150] / 16, y[:150]


# Parameters of the estimator, and what the references call them.
OPTIONS = {
    "dropout": ({"dropout": 0.4}, {"dropout": [0, 0.4, 0.4]}),
    "dropout of the input": ({"dropout": [0.2, 0.5, 0.0]}, {"dropout": [0.2, 0.5, 0.0]}),
    "weight decay": ({"weight_decay": 0.3}, {"weight_decay": 0.3}),
    "limited gradient": ({"max_grad_norm": 0.3}, {"max_grad_norm": 0.3}),
    "multipliers": (
        {"learning_rate_multipliers": [0.5, (1, 2), (0, 1)]},
        {"learning_rate_multipliers": [(0.5, 0.5), (1, 2), (0, 1)]},
    ),
    "cosine": ({"learning_rate": "cosine", "warmup": 0.2}, {"learning_rates": "cosine"}),
    "everything": (
        {
            "dropout": [0.1, 0.3, 0.2],
            "weight_decay": 0.1,
            "max_grad_norm": 0.5,
            "learning_rate_multipliers": [1, 2, 0.5],
        },
        {
            "dropout": [0.1, 0.3, 0.2],
            "weight_decay": 0.1,
            "max_grad_norm": 0.5,
            "learning_rate_multipliers": [(1, 1), (2, 2), (0.5, 0.5)],
        },
    ),
}
NETWORKS = {
    "relu": {"activation": "relu"},
    "tanh": {"activation": "tanh"},
    "gelu": {"activation": "gelu"},
    "maxout": {"activation": "maxout"},
    "residual": {"activation": ["selu", "leaky_relu"], "residual": True},
}
EPOCHS = 3


def reference_of(model, X, y, options):
    """Train the vectorized reference from the initial weights of `model`, with its dropout seed."""
    random = np.random.RandomState(0)
    widths = [64, 12, 12, 10]
    coefs, intercepts = vectorized.initial_weights(widths, random, activation=model.activation)
    if "dropout" in options:
        options = options | {"dropout_seed": random.randint(1, 2**31)}
    if "learning_rates" in options:
        steps = EPOCHS * 3
        warm = int(0.2 * steps)
        after = [(1 + np.cos(np.pi * max(0, k - warm) / (steps - warm))) / 2 for k in range(steps)]
        factors = [(k + 1) / warm if k < warm else after[k] for k in range(steps)]
        options = options | {"learning_rates": [model.learning_rate_init * factor for factor in factors]}
    return vectorized.fit(
        coefs,
        intercepts,
        X,
        np.eye(10)[y],
        epochs=EPOCHS,
        batch_size=60,
        solver=model.solver,
        learning_rate_init=model.learning_rate_init,
        activation=model.activation,
        alpha=model.alpha,
        residual=model.residual,
        rng=random,
        **options,
    )


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("option", OPTIONS)
def test_training_matches_reference(option, network, solver, digits):
    X, y = digits
    params, options = OPTIONS[option]
    rate = 0.1 if solver == "sgd" else 0.01
    model = MLPClassifier(
        (12, 12), solver=solver, batch_size=60, learning_rate_init=rate, max_iter=EPOCHS, random_state=0
    )
    model.set_params(**NETWORKS[network], **params).fit(X, y)
    coefs, intercepts, losses = reference_of(model, X, y, options)
    # Nine steps from the same weights: each sums up to 64 products, and Adam divides by the size of a gradient, which
    # enlarges the rounding of a small one.
    for ours, theirs in zip([*model.coefs_, *model.intercepts_], [*coefs, *intercepts], strict=True):
        assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)
    assert_allclose(model.loss_curve_, losses, rtol=1e-9)


@pytest.mark.parametrize("network", NETWORKS)
def test_references_agree_with_dropout(network, rng):
    params = NETWORKS[network]
    coefs, intercepts = vectorized.initial_weights(
        [4, 4, 4, 3], np.random.RandomState(0), activation=params["activation"]
    )
    X, Y = rng.normal(size=(6, 4)), np.eye(3)[rng.integers(0, 3, 6)]
    masks = [vectorized.dropout_mask(1, 2, l, 6, 4, 0.4) for l in range(3)]
    for reference in (loops, vectorized):
        J, *gradients = reference.cost_and_gradient(coefs, intercepts, X, Y, dropout_masks=masks, **params)
        differences = reference.numerical_gradient(coefs, intercepts, X, Y, epsilon=1e-5, dropout_masks=masks, **params)
        for ours, theirs in zip([*gradients[0], *gradients[1]], [*differences[0], *differences[1]], strict=True):
            assert_allclose(ours, theirs, atol=1e-8)
    expected = loops.cost(coefs, intercepts, X, Y, dropout_masks=masks, **params)
    assert pytest.approx(expected, rel=1e-13) == J


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("option", OPTIONS)
def test_bits_do_not_depend_on_threads_or_chunks(option, batch_norm, dtype, digits, monkeypatch):
    X, y = digits
    params, _ = OPTIONS[option]
    monkeypatch.setattr(_engine, "FLOPS_PER_THREAD", 1)
    model = MLPClassifier((12, 20), "silu", batch_size=100, max_iter=2, random_state=0, batch_norm=batch_norm, **params)
    results = []
    for n_jobs in (1, 2, 3):
        for rows in (256, 16):
            monkeypatch.setattr(_workspace, "CHUNK_BYTES", 1)
            monkeypatch.setattr(_workspace, "CHUNK_ROWS", rows)
            fit = clone(model).set_params(n_jobs=n_jobs).fit(X.astype(dtype), y)
            results.append((rows, fit.coefs_ + fit.intercepts_))
    for rows, arrays in results:
        # The loss is summed, and the gradient continued, chunk by chunk: only their number may matter, and only to the
        # sum of the loss.
        for ours, first in zip(arrays, results[0][1], strict=True):
            assert_array_equal(ours, first, err_msg=str(rows))


def test_the_defaults_change_nothing(digits):
    X, y = digits
    model = MLPClassifier(12, max_iter=3, random_state=0)
    unused = {"dropout": [0.0, 0.0], "weight_decay": 0, "learning_rate_multipliers": [1, 1], "max_grad_norm": 1e300}
    for ours, theirs in zip(clone(model).fit(X, y).coefs_, model.set_params(**unused).fit(X, y).coefs_, strict=True):
        # Alone the limited gradient takes another path through memory; the numbers are the same.
        assert_array_equal(ours, theirs)


def test_predictions_do_not_use_dropout(digits):
    X, y = digits
    model = MLPClassifier(50, dropout=[0.3, 0.5], max_iter=5, random_state=0).fit(X, y)
    expected = vectorized.forward(model.coefs_, model.intercepts_, X)[-1]
    # Sums of up to 64 terms of size 1.
    assert_allclose(model.predict_proba(X), expected, atol=1e-13)


def test_dropout_raises_the_training_loss_and_learns(digits):
    X, y = digits
    plain = MLPClassifier(100, max_iter=200, batch_size=50, random_state=0).fit(X, y)
    dropped = clone(plain).set_params(dropout=0.5).fit(X, y)
    assert dropped.loss_ > plain.loss_
    assert dropped.score(X, y) > 0.95


def test_gradients_are_limited(digits):
    X, y = digits
    limited = MLPClassifier(20, solver="sgd", momentum=0, learning_rate_init=0.5, alpha=0, max_iter=1, random_state=0)
    limited.set_params(batch_size=150, max_grad_norm=0.01)
    before = clone(limited).set_params(learning_rate_init=1e-300).fit(X, y)
    after = limited.fit(X, y)
    moved = np.concatenate(
        [
            (a - b).ravel()
            for a, b in zip(after.coefs_ + after.intercepts_, before.coefs_ + before.intercepts_, strict=True)
        ]
    )
    assert np.linalg.norm(moved) == pytest.approx(0.5 * 0.01, rel=1e-9)


def test_continued_training_continues_dropout_and_schedule(digits):
    """Two calls of partial_fit are the two epochs of one fit, where rows keep their order."""
    X, y = digits
    params = {"dropout": 0.3, "learning_rate": "linear", "shuffle": False, "random_state": 0, "batch_size": 50}
    whole = MLPClassifier(12, max_iter=2, **params).fit(X, y)
    parts = MLPClassifier(12, max_iter=2, **params)
    for _ in range(2):
        parts.partial_fit(X, y, classes=np.arange(10))
    for ours, theirs in zip(parts.coefs_, whole.coefs_, strict=True):
        assert_array_equal(ours, theirs)


@pytest.mark.parametrize("estimator", [MLPRegressor, MLPAutoencoder])
def test_other_estimators(estimator, digits):
    X, y = digits
    model = estimator(
        hidden_layer_sizes=(8,), dropout=0.2, weight_decay=0.01, max_grad_norm=1, learning_rate="one_cycle"
    )
    model.set_params(max_iter=20, random_state=0).fit(X, scale(y.astype(float)))
    assert np.isfinite(model.loss_)


def test_sparse_input_with_dropout_of_hidden_layers(digits):
    X, y = digits
    model = MLPClassifier(20, dropout=0.3, max_iter=3, random_state=0)
    dense, sparse = clone(model).fit(X, y), model.fit(scipy.sparse.csr_array(X), y)
    for ours, theirs in zip(sparse.coefs_, dense.coefs_, strict=True):
        assert_array_equal(ours, theirs)


BAD = {
    "dropout": [1.0, -0.1, "a", None, np.nan, [0.1], [0.1, 0.2, 0.3], [0.1, 1.0], [0.1, "a"], [0.1, np.nan], [True, 0]],
    "weight_decay": [-1, "a", None, np.nan],
    "max_grad_norm": [0, -1, "a", np.nan],
    "warmup": [1.0, -0.1, "a", None, np.nan],
    "learning_rate": ["cosines", None, 3],
    "weight_decay_schedule": ["cosines", None, "adaptive"],
    "dropout_schedule": ["cosines", None, 1.0],
    "learning_rate_multipliers": [
        0.5,
        "a",
        [],
        [1],
        [1, 2, 3],
        [1, -1],
        [1, np.nan],
        [1, np.inf],
        [1, "a"],
        [(1, 2, 3), 1],
    ],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_bad_values_are_refused(name, value, digits):
    model = MLPClassifier(12, max_iter=2, random_state=0).fit(*digits)
    before = [coef.copy() for coef in model.coefs_]
    with pytest.raises(InvalidParameterError, match=name):
        model.set_params(**{name: value}).fit(*digits)
    for coef, other in zip(model.coefs_, before, strict=True):
        assert_array_equal(coef, other)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"solver": "lbfgs", "dropout": 0.1}, "dropout=0.1 needs solver='sgd' or solver='adam', got 'lbfgs'"),
        ({"solver": "lbfgs", "max_grad_norm": 1.0}, "max_grad_norm=1.0 needs solver"),
        ({"solver": "sgd", "learning_rate": "adaptive", "warmup": 0.1}, "warmup=0.1 does not go with"),
        ({"learning_rate": lambda u: -1.0}, "learning_rate must return a finite number >= 0, got -1.0"),
    ],
)
def test_incompatible_values_are_refused(params, message, digits):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=message):
            MLPClassifier(12, max_iter=2, **params).fit(*digits)


def test_dropout_of_sparse_input_is_refused(digits):
    X, y = digits
    with pytest.raises(ValueError, match="dropout of the input needs dense X"):
        MLPClassifier(12, dropout=[0.1, 0.1]).fit(scipy.sparse.csr_array(X), y)


def test_tied_weights_are_refused(digits):
    with pytest.raises(ValueError, match=r"tied_weights=True does not go with dropout=0\.1"):
        MLPAutoencoder((8,), tied_weights=True, dropout=0.1).fit(digits[0])
