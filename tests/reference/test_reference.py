"""Both references agree with each other, with central differences and with scikit-learn."""

import doctest
import inspect
import math
import pickle
from functools import partial
from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.neural_network._base import poisson_loss, squared_loss
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer
from sklearn.preprocessing import LabelBinarizer, scale
from sklearn.utils import check_random_state

from fastmlp import _problem
from fastmlp.reference import (
    _activations,
    _layers_loops,
    _layers_vectorized,
    _optimizers,
    _outputs,
    _training,
    loops,
    vectorized,
)
from fastmlp.training._initialization import initial_weights
from fastmlp.training._network import Network

REFERENCES = [loops, vectorized]
PIECES = 3


def network(widths, activation, seed=0, batch_norm=False):
    """Return random weights, and (gamma, beta) pairs or None; maxout layers have PIECES pieces per unit."""
    rng = np.random.default_rng(seed)
    names = [activation] * (len(widths) - 2) if isinstance(activation, str) else activation
    pieces = [PIECES if name == "maxout" else 1 for name in names]
    columns = [n * p for n, p in zip(widths[1:], [*pieces, 1], strict=True)]
    coefs = [rng.normal(scale=0.6, size=(n, c)) for n, c in zip(widths, columns, strict=False)]
    intercepts = [rng.normal(scale=0.3, size=c) for c in columns]
    pairs = [(rng.uniform(0.5, 1.5, c), rng.normal(scale=0.3, size=c)) for c in columns[:-1]]
    return coefs, intercepts, pairs if batch_norm else None


def data(m, n_features, n_outputs, targets, seed=0):
    rng = np.random.default_rng(seed + 1)
    X = rng.normal(size=(m, n_features))
    Y = {
        "one-hot": np.eye(n_outputs)[rng.integers(n_outputs, size=m)],
        "binary": rng.integers(2, size=(m, n_outputs)).astype(float),
        "any": rng.normal(size=(m, n_outputs)),
        "non-negative": rng.poisson(1.0, size=(m, n_outputs)).astype(float),
        "tweedie": rng.poisson(1.0, size=(m, n_outputs)).astype(float),
        "positive": rng.gamma(2.0, size=(m, n_outputs)),
    }[targets]
    return X, Y


def flatten(nested):
    """Return all numbers of a nested result in one vector."""
    if isinstance(nested, (list, tuple)):
        return np.concatenate([flatten(part) for part in nested]) if len(nested) else np.empty(0)
    return np.ravel(nested)


# ---- Interface ----


def test_references_share_names_signatures_and_tables():
    assert loops.__all__ == vectorized.__all__
    for name in loops.__all__:
        ours, theirs = getattr(loops, name), getattr(vectorized, name)
        if isinstance(ours, dict):
            assert list(ours) == list(theirs)
        else:
            shapes = [
                [(p.name, p.kind, p.default) for p in inspect.signature(f).parameters.values()] for f in (ours, theirs)
            ]
            assert shapes[0] == shapes[1], name


@pytest.mark.parametrize(
    "module",
    [*REFERENCES, _problem, _training, _layers_loops, _layers_vectorized, _activations, _outputs, _optimizers],
    ids=lambda module: module.__name__,
)
def test_docstrings(module):
    assert doctest.testmod(module).failed == 0
    for name, thing in vars(module).items():
        if inspect.isfunction(thing) and thing.__module__ == module.__name__ and not name.startswith("_"):
            assert thing.__doc__, name


@pytest.mark.parametrize("reference", REFERENCES)
def test_functions_can_be_pickled(reference):
    """Both references make `cost` and `fit` with the same code, but each has its own functions."""
    for name in reference.__all__:
        thing = getattr(reference, name)
        if inspect.isfunction(thing):
            assert pickle.loads(pickle.dumps(thing)) is thing


# ---- Activations ----


@pytest.mark.parametrize("name", loops.ACTIVATIONS)
def test_activations_agree_over_a_wide_range(name):
    Z = np.concatenate([np.linspace(-8, 8, 33), [-800.0, -40.0, -1e-9, 0.0, 1e-9, 40.0, 800.0]])
    Z = np.column_stack([Z, Z[::-1]])
    A, B = np.array(loops.activate(name, Z.tolist())), vectorized.activate(name, Z)
    assert_allclose(A, B, rtol=1e-13, atol=1e-300)
    E = np.random.default_rng(0).normal(size=A.shape)
    assert_allclose(
        loops.activate_backward(name, Z.tolist(), A.tolist(), E.tolist()),
        vectorized.activate_backward(name, Z, B, E),
        rtol=1e-13,
        atol=1e-15,
    )


@pytest.mark.parametrize("name", loops.ACTIVATIONS)
def test_activations_propagate_nan(name):
    Z = [[math.nan, 1.0]]
    assert np.isnan(loops.activate(name, Z)[0][0])
    assert np.isnan(vectorized.activate(name, np.array(Z))[0, 0])


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize(
    ("name", "z", "a", "slope"),
    [
        ("relu", 0.0, 0.0, 0.0),
        ("relu", -0.0, 0.0, 0.0),
        ("leaky_relu", -2.0, -0.02, 0.01),
        ("elu", -1.0, math.exp(-1) - 1, math.exp(-1)),
        ("selu", 1.0, 1.0507009873554805, 1.0507009873554805),
        ("selu", -1.0, -1.1113307378125628, 0.6467686030),
        ("gelu", 1.0, 0.8413447460685429, 1.0833154705876864),
        ("gelu", -1.0, -0.15865525393145707, -0.08331547058768634),
        ("silu", 1.0, 0.7310585786300049, 0.9276705118714869),
        ("softplus", 0.0, math.log(2), 0.5),
        ("logistic", math.log(3), 0.75, 0.1875),
        ("tanh", math.log(2), 0.6, 0.64),
    ],
)
def test_known_values(reference, name, z, a, slope):
    rows = np.array if reference is vectorized else list
    A = reference.activate(name, rows([[z]]))
    assert_allclose(A, [[a]], rtol=1e-9)
    assert_allclose(reference.activate_backward(name, rows([[z]]), A, rows([[1.0]])), [[slope]], rtol=1e-9)


@pytest.mark.parametrize("reference", REFERENCES)
def test_tanh_is_a_scaled_logistic(reference):
    z = np.linspace(-5, 5, 21)[:, np.newaxis]
    logistic = np.array(reference.activate("logistic", 2 * z))
    assert_allclose(reference.activate("tanh", z), 2 * logistic - 1, atol=1e-15)


@pytest.mark.parametrize("reference", REFERENCES)
def test_maxout_piece_order_and_ties(reference):
    Z = [[1.0, 5.0, 3.0, 5.0, 3.0, 4.0]]  # two units, three pieces: unit 0 has 1, 3, 3 and unit 1 has 5, 5, 4
    rows = np.array if reference is vectorized else list
    A = reference.activate("maxout", rows(Z), 3)
    assert_array_equal(A, [[3, 5]])
    D = reference.activate_backward("maxout", rows(Z), A, rows([[10.0, 20.0]]), 3)
    assert_array_equal(D, [[0, 20, 10, 0, 0, 0]])


# ---- Cost and gradient ----

WIDTHS = [(3, 2), (2, 5, 3), (4, 4, 4, 3), (1, 3, 2, 1)]
# An output changes D_L and nothing else. These meet all activations, the others one.
MAIN_OUTPUTS = [key for key in loops.OUTPUTS if key[1] in ("squared_error", "log_loss", "poisson")]
CASES = [
    (widths, activation, pair, residual, batch_norm)
    for activations, pairs in [
        (list(loops.ACTIVATIONS), MAIN_OUTPUTS),
        (["tanh"], [key for key in loops.OUTPUTS if key not in MAIN_OUTPUTS]),
    ]
    for (widths, activation, pair), (residual, batch_norm) in product(
        product(WIDTHS, activations, pairs), product([False, True], repeat=2)
    )
    if len(widths) > 2 or (activation in ("relu", "tanh") and not residual and not batch_norm)
]


def options_of(activation, pair, residual, pairs, seed):
    """Return all options; penalty, alpha and sample weights vary with the seed."""
    weights = np.random.default_rng(seed).uniform(0, 2, 7)
    weights[0] = 0
    return {
        "activation": activation,
        "output": pair[0],
        "loss": pair[1],
        "alpha": (0.0, 0.3, 0.3)[seed % 3],
        "penalty": ("mean", "sum")[seed % 2],
        "sample_weight": weights if seed // 2 % 2 else None,
        "residual": residual,
        "batch_norm": pairs,
        "maxout_pieces": PIECES,
    }


@pytest.mark.parametrize("activation", loops.ACTIVATIONS)
def test_references_agree(activation):
    cases = [case for case in CASES if case[1] == activation]
    for (widths, _, pair, residual, batch_norm), seed in product(cases, range(4)):
        coefs, intercepts, pairs = network(widths, activation, seed, batch_norm)
        X, Y = data(7, widths[0], widths[-1], loops.OUTPUTS[pair].targets, seed)
        options = options_of(activation, pair, residual, pairs, seed)
        slow = loops.cost_and_gradient(coefs, intercepts, X, Y, **options)
        fast = vectorized.cost_and_gradient(coefs, intercepts, X, Y, **options)
        # Components that cancel, such as gradients of biases before a batch normalisation, have the absolute error of
        # their terms. Three layers of sums of up to 9 products, each passed on by a normalisation with a scale of up to
        # 100, are off by at most some thousand units in the last place.
        size = max(1, np.abs(flatten(slow)).max())
        assert_allclose(flatten(fast), flatten(slow), rtol=1e-12, atol=1e-12 * size, err_msg=str(options))
        assert loops.cost(coefs, intercepts, X, Y, **options) == slow[0]
        assert vectorized.cost(coefs, intercepts, X, Y, **options) == fast[0]
        assert [np.shape(g) for g in fast[1]] == [W.shape for W in coefs]
        assert [np.shape(g) for g in fast[2]] == [b.shape for b in intercepts]
        assert len(fast) == (4 if batch_norm else 3)


@pytest.mark.parametrize("activation", loops.ACTIVATIONS)
def test_gradient_matches_central_differences(activation):
    cases = [case for case in CASES if case[1] == activation]
    for seed, (widths, _, pair, residual, batch_norm) in enumerate(cases):
        coefs, intercepts, pairs = network(widths, activation, seed, batch_norm)
        X, Y = data(7, widths[0], widths[-1], loops.OUTPUTS[pair].targets, seed)
        options = options_of(activation, pair, residual, pairs, seed)
        exact = flatten(vectorized.cost_and_gradient(coefs, intercepts, X, Y, **options)[1:])
        estimate = flatten(vectorized.numerical_gradient(coefs, intercepts, X, Y, epsilon=1e-5, **options))
        # The gradient of a softmax over one class is exactly 0 and needs an absolute tolerance.
        assert np.linalg.norm(estimate - exact) < 1e-6 * np.linalg.norm(exact) + 1e-10, (widths, options)


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("pair", loops.OUTPUTS)
def test_cost_and_output_error_match_formulas(reference, pair):
    coefs, intercepts, _ = network((3, 4, 2), "tanh")
    X, Y = data(6, 3, 2, loops.OUTPUTS[pair].targets)
    options = {"activation": "tanh", "output": pair[0], "loss": pair[1]}
    h = reference.forward(coefs, intercepts, X, **options)[-1]
    losses = {
        ("softmax", "log_loss"): lambda: -np.log(h[Y == 1]),
        ("logistic", "log_loss"): lambda: -(Y * np.log(h) + (1 - Y) * np.log(1 - h)),
        ("logistic", "squared_error"): lambda: (h - Y) ** 2 / 2,
        ("identity", "squared_error"): lambda: (h - Y) ** 2 / 2,
        ("exp", "poisson"): lambda: np.where(Y > 0, Y * np.log(np.maximum(Y, 1) / h), 0) - Y + h,
        ("identity", "absolute_error"): lambda: np.abs(h - Y),
        ("identity", "huber"): lambda: special.huber(1.0, h - Y),
        ("identity", "quantile"): lambda: np.abs(h - Y) / 2,
        ("identity", "cauchy"): lambda: np.log(1 + (h - Y) ** 2) / 2,
        ("ordered", "quantile"): lambda: np.abs(h - Y) / 2,
        ("exp", "gamma"): lambda: np.log(h / Y) + Y / h - 1,
        ("exp", "tweedie"): lambda: 2 * (np.sqrt(h) - np.sqrt(Y)) ** 2 / np.sqrt(h),
        ("logistic", "focal"): lambda: -np.where(Y == 1, (1 - h) ** 2 * np.log(h), h**2 * np.log(1 - h)),
        ("softmax", "focal"): lambda: -((1 - h[Y == 1]) ** 2) * np.log(h[Y == 1]),
    }[pair]
    squares = sum(np.sum(W**2) for W in coefs)
    assert_allclose(reference.cost(coefs, intercepts, X, Y, **options), losses().sum() / 6)
    for penalty, strength in [("mean", 0.3 / 12), ("sum", 0.3 / 2)]:
        J = reference.cost(coefs, intercepts, X, Y, alpha=0.3, penalty=penalty, **options)
        assert_allclose(J, losses().sum() / 6 + strength * squares)
    D = reference.backward(coefs, intercepts, X, Y, **options)[-1]
    Z = np.array(reference.pre_activations(coefs, intercepts, X, **options)[-1])
    slope = 1 / (1 + np.exp(-Z[:, 1:]))
    sign = np.sign(h - Y)

    def focal_slope(p):
        return p * (1 - p) * (2 * (1 - p) * np.log(p) - (1 - p) ** 2 / p)

    expected = {
        ("logistic", "squared_error"): lambda: (h - Y) * h * (1 - h),
        ("identity", "absolute_error"): lambda: sign,
        ("identity", "huber"): lambda: np.clip(h - Y, -1, 1),
        ("identity", "quantile"): lambda: sign / 2,
        ("identity", "cauchy"): lambda: (h - Y) / (1 + (h - Y) ** 2),
        ("ordered", "quantile"): lambda: np.column_stack([sign.sum(axis=1) / 2, slope * sign[:, 1:] / 2]),
        ("exp", "gamma"): lambda: 1 - Y / h,
        ("exp", "tweedie"): lambda: (h - Y) / np.sqrt(h),
        # With p the probability of the target: d/dz of -(1 - p)^2 log p, where dp/dz = +-p (1 - p).
        ("logistic", "focal"): lambda: (2 * Y - 1) * focal_slope(np.where(Y == 1, h, 1 - h)),
        ("softmax", "focal"): lambda: focal_slope(h[Y == 1])[:, np.newaxis] / (1 - h[Y == 1])[:, np.newaxis] * (Y - h),
    }.get(pair, lambda: h - Y)()
    assert_allclose(D, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("reference", REFERENCES)
def test_first_layer_gradient_scales_with_inputs(reference):
    """Inputs 1000 times larger with weights 1000 times smaller give the same Z but a larger gradient of W_1."""
    coefs, intercepts, _ = network((3, 4, 2), "tanh")
    X, Y = data(6, 3, 2, "one-hot")
    _, (dW_1, dW_2), dbs = reference.cost_and_gradient(coefs, intercepts, X, Y, activation="tanh")
    large = [coefs[0] / 1000, coefs[1]], intercepts, 1000 * X
    _, (dW_1_large, dW_2_large), dbs_large = reference.cost_and_gradient(*large, Y, activation="tanh")
    assert_allclose(dW_1_large, 1000 * dW_1, rtol=1e-10)
    assert_allclose(flatten([dW_2_large, dbs_large]), flatten([dW_2, dbs]), rtol=1e-10)


def test_numerical_gradients_agree():
    coefs, intercepts, pairs = network((2, 3, 3, 2), "tanh", batch_norm=True)
    X, Y = data(4, 2, 2, "one-hot")
    results = [
        reference.numerical_gradient(coefs, intercepts, X, Y, activation="tanh", batch_norm=pairs, residual=True)
        for reference in REFERENCES
    ]
    assert_allclose(flatten(results[0]), flatten(results[1]), atol=1e-10)


@pytest.mark.parametrize("reference", REFERENCES)
def test_one_activation_per_hidden_layer(reference):
    names = ["maxout", "tanh", "relu"]
    coefs, intercepts, _ = network((2, 3, 4, 3, 2), names)
    X, Y = data(5, 2, 2, "one-hot")
    options = {"activation": names, "maxout_pieces": PIECES}
    exact = reference.cost_and_gradient(coefs, intercepts, X, Y, **options)[1:]
    estimate = vectorized.numerical_gradient(coefs, intercepts, X, Y, epsilon=1e-5, **options)
    assert_allclose(flatten(exact), flatten(estimate), atol=1e-8)


@pytest.mark.parametrize("activation", loops.ACTIVATIONS)
def test_single_steps_match_full_pass(activation):
    coefs, intercepts, pairs = network((4, 4, 4, 3), activation, batch_norm=True)
    X, Y = data(5, 4, 3, "one-hot")
    options = options_of(activation, ("softmax", "log_loss"), True, pairs, 0)
    A = [reference.forward(coefs, intercepts, X, **options) for reference in REFERENCES]
    Z = [reference.pre_activations(coefs, intercepts, X, **options) for reference in REFERENCES]
    D = [reference.backward(coefs, intercepts, X, Y, **options) for reference in REFERENCES]
    for of_loops, of_vectorized in (A, Z, D):
        assert_allclose(flatten(of_vectorized), flatten(of_loops), atol=1e-12)
    for a, z, x in zip(A[1][1:-1], Z[1], A[1], strict=False):
        assert_allclose(a, vectorized.activate(activation, z, PIECES) + x)
    for reference, z, d in zip(REFERENCES, Z, D, strict=True):
        assert_allclose(reference.output_error(z[-1], Y), d[-1], atol=1e-15)
    _, coef_grads, intercept_grads, _ = vectorized.cost_and_gradient(coefs, intercepts, X, Y, **options)
    for l in range(3):
        dW, db = vectorized.accumulate_gradient(A[1][l], D[1][l], coefs[l], len(X))
        assert_array_equal(dW, coef_grads[l])
        assert_array_equal(db, intercept_grads[l])


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("pair", loops.OUTPUTS)
def test_backpropagate_with_the_output_error_matches_backward(reference, pair):
    coefs, intercepts, pairs = network((4, 4, 4, 3), "tanh", batch_norm=True)
    X, Y = data(7, 4, 3, loops.OUTPUTS[pair].targets)
    options = options_of("tanh", pair, True, pairs, 2)
    expected = reference.backward(coefs, intercepts, X, Y, **options)
    errors = reference.backpropagate(coefs, intercepts, X, expected[-1], **options)
    for ours, theirs in zip(errors, expected, strict=True):
        assert_array_equal(ours, theirs)
    with pytest.raises(ValueError, match=r"D must have shape \(7, 3\), got \(6, 3\)"):
        reference.backpropagate(coefs, intercepts, X, expected[-1][1:], **options)


@pytest.mark.parametrize("reference", REFERENCES)
def test_delta_recurrence_matches_formula(reference):
    coefs, intercepts, _ = network((3, 4, 2), "tanh")
    X, Y = data(5, 3, 2, "any")
    options = {"activation": "tanh", "output": "identity"}
    D_1, D_2 = reference.backward(coefs, intercepts, X, Y, **options)
    _, A_1, h = reference.forward(coefs, intercepts, X, **options)
    assert_allclose(D_2, h - Y)
    assert_allclose(D_1, np.array(reference.delta_recurrence(D_2, coefs[1])) * (1 - A_1**2))


@pytest.mark.parametrize("reference", REFERENCES)
def test_batch_normalisation_ignores_sample_weights(reference):
    coefs, intercepts, pairs = network((3, 4, 2), "relu", batch_norm=True)
    X, _ = data(50, 3, 2, "any")
    Z, _ = reference.pre_activations(coefs, intercepts, X, batch_norm=pairs, sample_weight=np.arange(50))
    ((gamma, beta),) = pairs
    assert_allclose(Z.mean(axis=0), beta, atol=1e-14)
    variance = (X @ coefs[0]).var(axis=0)
    assert_allclose(Z.std(axis=0), gamma * np.sqrt(variance / (variance + 1e-5)), rtol=1e-13)


@pytest.mark.parametrize("pair", loops.OUTPUTS)
def test_integer_sample_weights_match_repeated_rows(pair):
    coefs, intercepts, _ = network((3, 4, 2), "relu")
    X, Y = data(5, 3, 2, loops.OUTPUTS[pair].targets)
    counts = np.array([1, 0, 3, 2, 1])
    options = {"output": pair[0], "loss": pair[1], "alpha": 0.1}
    for reference in REFERENCES:
        weighted = reference.cost_and_gradient(coefs, intercepts, X, Y, sample_weight=counts, **options)
        repeated = reference.cost_and_gradient(
            coefs, intercepts, np.repeat(X, counts, axis=0), np.repeat(Y, counts, axis=0), **options
        )
        assert_allclose(flatten(weighted), flatten(repeated), rtol=1e-12, atol=1e-14)


def test_cost_matches_scikit_learn_losses():
    coefs, intercepts, _ = network((3, 4, 2), "relu")
    X, Y = data(6, 3, 2, "non-negative")
    weights = np.arange(1.0, 7.0)
    for output, theirs, factor in [("exp", poisson_loss, 1), ("identity", squared_loss, 2)]:
        J = vectorized.cost(coefs, intercepts, X, Y, output=output, sample_weight=weights)
        h = vectorized.forward(coefs, intercepts, X, output=output)[-1]
        assert_allclose(J, factor * theirs(Y, h, weights), rtol=1e-13)


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("z", [40.0, 1000.0])
def test_log_loss_is_exact_for_saturated_outputs(reference, z):
    eye, zero = [np.eye(2)], [np.zeros(2)]
    right, wrong = [[1.0, 0.0]], [[0.0, 1.0]]
    X = [[z, 0.0]]
    assert_allclose(reference.cost(eye, zero, X, right), math.log1p(math.exp(-z)), atol=1e-16)
    assert_allclose(reference.cost(eye, zero, X, wrong), z, rtol=1e-14)
    one = [np.ones((1, 1))], [np.zeros(1)]
    assert_allclose(reference.cost(*one, [[z]], [[1.0]], output="logistic"), math.log1p(math.exp(-z)), rtol=1e-14)
    assert_allclose(reference.cost(*one, [[-z]], [[1.0]], output="logistic"), z, rtol=1e-14)


def test_vectorized_keeps_float32_and_loops_use_float64():
    X, Y = data(9, 4, 3, "one-hot")
    for activation in loops.ACTIVATIONS:
        coefs, intercepts, pairs = network((4, 4, 4, 3), activation, batch_norm=True)
        options = options_of(activation, ("softmax", "log_loss"), True, pairs, 1)
        single = vectorized.cost_and_gradient(coefs, intercepts, X.astype(np.float32), Y, **options)
        double = loops.cost_and_gradient(coefs, intercepts, X.astype(np.float32), Y, **options)
        assert {g.dtype for g in [*single[1], *single[2]]} == {np.dtype(np.float32)}
        assert {g.dtype for g in [*double[1], *double[2]]} == {np.dtype(np.float64)}
        # Some hundred units in the last place of numbers below 2: two normalisations, each of sums of nine.
        assert_allclose(flatten(single), flatten(double), atol=5e-5)
    for pair, row in vectorized.OUTPUTS.items():
        X, Y = data(9, 4, 3, row.targets)
        coefs, intercepts, _ = network((4, 5, 3), "relu")
        options = {"output": pair[0], "loss": pair[1]}
        D = vectorized.backward(coefs, intercepts, X.astype(np.float32), Y, **options)
        fitted = vectorized.fit(coefs, intercepts, X.astype(np.float32), Y, epochs=2, **options)
        assert {a.dtype for a in [*D, *fitted[0], *fitted[1]]} == {np.dtype(np.float32)}
        slopes = vectorized.numerical_gradient(coefs, intercepts, X.astype(np.float32), Y, **options)
        assert {g.dtype for g in [*slopes[0], *slopes[1]]} == {np.dtype(np.float64)}


# ---- Optimizers and training ----


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("solver", ["sgd", "sgd, plain momentum", "adam"])
def test_optimizers_match_scikit_learn(reference, solver):
    rng = np.random.default_rng(0)
    w = [rng.normal(size=(3, 2)), rng.normal(size=2)]
    ours, theirs = [x.copy() for x in w], [x.copy() for x in w]
    hyper = _training.Hyper(0.05, 0.8, solver == "sgd", 0.85, 0.99, 1e-7)
    if solver == "adam":
        optimizer = AdamOptimizer(theirs, hyper.learning_rate_init, hyper.beta_1, hyper.beta_2, hyper.epsilon)
    else:
        optimizer = SGDOptimizer(
            theirs, hyper.learning_rate_init, momentum=hyper.momentum, nesterov=hyper.nesterovs_momentum
        )
    step, n_states = reference.OPTIMIZERS[solver.split(",")[0]]
    states = [[np.zeros_like(x) for _ in range(n_states)] for x in w]
    for t in range(1, 21):
        gradients = [rng.normal(size=x.shape) for x in w]
        optimizer.update_params(theirs, gradients)
        for x, g, state in zip(ours, gradients, states, strict=True):
            step(x, g, state, t, hyper)
    assert_allclose(flatten(ours), flatten(theirs), rtol=1e-13)


@pytest.mark.parametrize("reference", REFERENCES)
def test_gradient_descent_step_matches_sgd_without_momentum(reference):
    coefs, intercepts, _ = network((3, 4, 2), "relu")
    X, Y = data(6, 3, 2, "one-hot")
    before = flatten([coefs, intercepts])
    _, *gradients = reference.cost_and_gradient(coefs, intercepts, X, Y)
    stepped = reference.gradient_descent_step(coefs, intercepts, *gradients, 0.3)
    plain = {"solver": "sgd", "learning_rate_init": 0.3, "momentum": 0.0, "nesterovs_momentum": False}
    fitted = reference.fit(coefs, intercepts, X, Y, epochs=1, **plain)
    assert_allclose(flatten(stepped), before - 0.3 * flatten(gradients), rtol=1e-14)
    assert_allclose(flatten(fitted[:2]), flatten(stepped), rtol=1e-14)
    assert_array_equal(flatten([coefs, intercepts]), before)


def fit_of(reference, coefs, intercepts, *, X, Y, seed, **options):
    """`reference.fit` with a generator that starts from the same seed in every call."""
    rng = None if seed is None else np.random.default_rng(seed)
    return reference.fit(coefs, intercepts, X, Y, rng=rng, **options)


@pytest.mark.parametrize("batch_size", [1, 4, None])
@pytest.mark.parametrize("solver", loops.OPTIMIZERS)
def test_fits_agree(solver, batch_size, rounding_error):
    coefs, intercepts, pairs = network((3, 3, 2), "tanh", batch_norm=True)
    X, Y = data(10, 3, 2, "one-hot")
    weights = np.array([1.0, 2.0, 0.5, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 3.0])  # one batch of four rows has weight 0
    of_loops, of_vectorized = (
        partial(
            fit_of,
            reference,
            X=X,
            Y=Y,
            seed=None if batch_size == 4 else 5,
            epochs=3,
            batch_size=batch_size,
            solver=solver,
            learning_rate_init=0.05,
            activation="tanh",
            batch_norm=pairs,
            residual=True,
            alpha=0.1,
            sample_weight=weights,
        )
        for reference in REFERENCES
    )
    results = [fit(coefs, intercepts) for fit in (of_loops, of_vectorized)]
    assert len(results[0]) == 4
    assert np.isfinite(flatten(results[0])).all()
    tolerance = rounding_error(of_vectorized, (coefs, intercepts))
    assert_allclose(flatten(results[1]), flatten(results[0]), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("reference", REFERENCES)
def test_given_dropout_masks_belong_to_the_rows(reference):
    """Mini-batches of shuffled rows take the masks of their rows. The masks of the input are factors of X."""
    coefs, intercepts, _ = network((3, 2), "tanh")
    X, Y = data(10, 3, 2, "one-hot")
    mask = np.random.default_rng(0).integers(0, 3, X.shape)
    options = {"Y": Y, "seed": 1, "epochs": 2, "batch_size": 4, "learning_rate_init": 0.1}
    expected = fit_of(reference, coefs, intercepts, X=X * mask, **options)
    fitted = fit_of(reference, coefs, intercepts, X=X, dropout_masks=[mask], **options)
    assert_array_equal(flatten(fitted), flatten(expected))


@pytest.mark.parametrize("init_scale", [None, 0.2])
@pytest.mark.parametrize("activation", ["tanh", "logistic", ["maxout", "logistic"]])
@pytest.mark.parametrize("seeded", [np.random.RandomState, np.random.default_rng])
def test_initial_weights_match_estimators(activation, init_scale, seeded):
    units, names = (4, 5, 6, 3), (activation,) * 2 if isinstance(activation, str) else tuple(activation)
    options = {"activation": activation, "init_scale": init_scale, "maxout_pieces": PIECES}
    drawn = [reference.initial_weights(units, seeded(0), **options) for reference in REFERENCES]
    assert_array_equal(flatten(drawn[0]), flatten(drawn[1]))
    drawn_by_estimators = Network(units, names, "softmax", "log_loss", maxout_pieces=PIECES)
    init = "glorot" if init_scale is None else "uniform"
    w = initial_weights(drawn_by_estimators, init, init_scale, seeded(0), np.float64, activation)
    assert_array_equal(flatten(list(drawn_by_estimators.parts(w)[:2])), flatten(drawn[0]))
    for W, name in zip(drawn[0][0], [*names, names[-1]], strict=True):
        assert np.abs(W).max() <= (init_scale or np.sqrt((2 if name == "logistic" else 6) / sum(W.shape)))


def problems():
    """Return real data for every kind of output that scikit-learn trains."""
    iris, cancer, diabetes = (load(return_X_y=True) for load in (load_iris, load_breast_cancer, load_diabetes))
    X = scale(diabetes[0])
    return {
        "softmax": (MLPClassifier, {}, scale(iris[0]), iris[1]),
        "logistic": (MLPClassifier, {}, scale(cancer[0])[:150], cancer[1][:150]),
        "identity": (MLPRegressor, {}, X[:150], scale(diabetes[1][:150])),
        "exp": (MLPRegressor, {"loss": "poisson"}, X[:150], diabetes[1][:150] / 100),
    }


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize(
    ("output", "activation", "shuffle"),
    [
        ("softmax", "relu", False),
        ("softmax", "logistic", True),
        ("logistic", "tanh", True),
        ("identity", "relu", True),
        ("exp", "identity", False),
    ],
)
def test_fit_matches_scikit_learn(output, activation, shuffle, solver, weighted):
    estimator, parameters, X, y = problems()[output]
    weights = np.random.default_rng(0).uniform(0.2, 2, len(X)) if weighted else None
    rate = 0.01 if solver == "adam" else 0.001
    model = estimator(
        hidden_layer_sizes=(7, 5),
        activation=activation,
        solver=solver,
        alpha=0.05,
        batch_size=32,
        learning_rate_init=rate,
        max_iter=5,
        shuffle=shuffle,
        random_state=3,
        n_iter_no_change=100,
        **parameters,
    )
    with pytest.warns(ConvergenceWarning):
        model.fit(X, y, sample_weight=weights)
    Y = y.reshape(-1, 1) if estimator is MLPRegressor else LabelBinarizer().fit_transform(y)
    rng = check_random_state(3)
    coefs, intercepts, loss_curve = vectorized.fit(
        *vectorized.initial_weights((X.shape[1], 7, 5, Y.shape[1]), rng, activation=activation),
        X,
        Y,
        epochs=5,
        batch_size=32,
        solver=solver,
        learning_rate_init=rate,
        rng=rng if shuffle else None,
        activation=activation,
        output=output,
        alpha=0.05,
        sample_weight=weights,
    )
    assert_allclose(flatten(coefs), flatten(model.coefs_), rtol=1e-10, atol=1e-12)
    assert_allclose(flatten(intercepts), flatten(model.intercepts_), rtol=1e-10, atol=1e-12)
    assert_allclose(loss_curve, model.loss_curve_, rtol=1e-10)


# ---- Errors ----


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coefs": [np.ones((3, 4)), np.ones((5, 2))]}, r"coefs\[1\] must have shape \(4, n\).*got \(5, 2\)"),
        ({"coefs": [np.ones((2, 4)), np.ones((4, 2))]}, r"coefs\[0\] must have shape \(3, n\).*got \(2, 4\)"),
        ({"coefs": []}, "one entry for every layer, got 0 and 2"),
        ({"intercepts": [np.ones(4)]}, "one entry for every layer, got 2 and 1"),
        ({"intercepts": [np.ones(4), np.ones(3)]}, r"intercepts\[1\] must have shape \(2,\), got \(3,\)"),
        ({"X": np.ones(3)}, r"X must have shape \(m, n_features\)"),
        ({"X": np.ones((0, 3))}, r"X must have shape.*got \(0, 3\)"),
        ({"Y": np.eye(2)}, r"Y must have shape \(3, 2\), got \(2, 2\)"),
        ({"Y": np.full((3, 2), 0.5)}, "Y must hold only 0 and 1"),
        ({"Y": np.full((3, 2), np.nan), "output": "logistic"}, "Y must hold only 0 and 1"),
        ({"Y": np.ones((3, 2))}, "exactly one 1 in every row"),
        ({"Y": -np.ones((3, 2)), "output": "exp"}, "must not be negative"),
        ({"activation": "sine"}, r"activation must be one of \['identity', .*'maxout'\], got 'sine'"),
        ({"activation": ["relu", "tanh"]}, r"one per hidden layer \(1\), got 2"),
        ({"activation": ["sine"]}, "got 'sine'"),
        (
            {"activation": "maxout", "maxout_pieces": 3},
            r"coefs\[0\] must have a multiple of maxout_pieces=3 columns",
        ),
        ({"maxout_pieces": 0}, "maxout_pieces must be an integer >= 1, got 0"),
        (
            {"output": "sign"},
            r"output must be one of \['softmax', .*'exp', 'ordered'\], got 'sign'",
        ),
        (
            {"loss": "poisson"},
            r"loss \(with output='softmax'\) must be .*'log_loss', 'focal'\], got 'poisson'",
        ),
        ({"loss_parameter": 1.0}, "loss_parameter must be None for loss='log_loss', got 1.0"),
        (
            {"loss": "focal", "loss_parameter": -1.0},
            r"loss_parameter, gamma of loss='focal', must be one number or .* 2 output units in \[0, inf\), got -1.0",
        ),
        (
            {"output": "identity", "loss": "quantile", "loss_parameter": [0.1, 0.5, 0.9]},
            r"the quantile of .* one for each of 2 output units in \(0, 1\), got \[0.1, 0.5, 0.9\]",
        ),
        ({"output": "identity", "loss": "huber", "loss_parameter": np.nan}, r"delta of .* \(0, inf\), got nan"),
        ({"output": "exp", "loss": "tweedie", "loss_parameter": 0.5}, r"the power of .* \[1, inf\), got 0.5"),
        ({"output": "exp", "loss": "tweedie", "loss_parameter": 2}, "Y must be positive"),
        ({"output": "exp", "loss": "gamma"}, "Y must be positive"),
        ({"label_smoothing": 1.0}, r"label_smoothing must be in \[0, 1\), got 1.0"),
        ({"label_smoothing": np.nan}, r"label_smoothing must be in \[0, 1\), got nan"),
        ({"label_smoothing": 0.1, "output": "identity"}, "label_smoothing must be 0 with output='identity', got 0.1"),
        ({"penalty": "max"}, r"penalty must be one of \['mean', 'sum'\], got 'max'"),
        ({"alpha": -1.0}, "alpha must be a number >= 0, got -1.0"),
        ({"sample_weight": np.ones(2)}, r"sample_weight must have shape \(3,\), got \(2,\)"),
        ({"sample_weight": [1, -1, 1]}, "sample_weight must be non-negative"),
        ({"sample_weight": np.zeros(3)}, "with a positive sum"),
        ({"batch_norm": []}, "one .gamma, beta. for each of 1 hidden layers, got 0"),
        (
            {"batch_norm": [(np.ones(4), np.ones(3))]},
            r"beta of batch_norm\[0\] must have shape \(4,\)",
        ),
    ],
)
def test_invalid_arguments_raise(reference, change, message):
    arguments = {
        "coefs": [np.ones((3, 4)), np.ones((4, 2))],
        "intercepts": [np.ones(4), np.ones(2)],
        "X": np.ones((3, 3)),
        "Y": np.array([[1, 0], [0, 1], [1, 0]]),
    }
    for function in (reference.cost, reference.cost_and_gradient):
        with pytest.raises(ValueError, match=message):
            function(**(arguments | change))


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"solver": "lbfgs"}, r"solver must be one of \['sgd', 'adam'(, '\w+')*\], got 'lbfgs'"),
        ({"epochs": 0}, "epochs must be an integer >= 1, got 0"),
        ({"batch_size": 4}, "batch_size must be None or an integer from 1 to the 3 rows, got 4"),
        ({"learning_rate_init": 0}, "learning_rate_init must be a number > 0, got 0"),
    ],
)
def test_invalid_fit_arguments_raise(reference, change, message):
    arguments = {
        "coefs": [np.ones((3, 1))],
        "intercepts": [np.ones(1)],
        "X": np.ones((3, 3)),
        "Y": np.ones((3, 1)),
    }
    with pytest.raises(ValueError, match=message):
        reference.fit(**(arguments | {"epochs": 1, "output": "identity"} | change))
    with pytest.raises(ValueError, match="epsilon must be a number > 0, got 0"):
        reference.numerical_gradient(**arguments, epsilon=0, output="identity")


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"widths": [3]}, r"widths must be two or more integers >= 1, got \[3\]"),
        ({"widths": [3, 0]}, r"widths must be two or more integers >= 1, got \[3, 0\]"),
        ({"init_scale": 0}, "init_scale must be None or a number > 0, got 0"),
        ({"activation": "sine"}, "activation must be one of .* got 'sine'"),
        ({"activation": ["relu"]}, r"one per hidden layer \(0\), got 1"),
    ],
)
def test_invalid_initial_weights_arguments_raise(reference, change, message):
    with pytest.raises(ValueError, match=message):
        reference.initial_weights(**({"widths": [3, 2], "rng": np.random.default_rng(0)} | change))
