"""Both references and the kernels reproduce networks that are computed by hand, and known identities."""

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import scale

from fastmlp import MLPClassifier, cost_and_gradient
from fastmlp.reference import loops, vectorized

both_references = pytest.mark.parametrize("reference", [loops, vectorized])

# ---- Logic gates ----

INPUTS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
AND, OR, NOR = (-30, 20, 20), (-10, 20, 20), (10, -20, -20)


@both_references
@pytest.mark.parametrize(("gate", "truth"), [(AND, [0, 0, 0, 1]), (OR, [0, 1, 1, 1]), (NOR, [1, 0, 0, 0])])
def test_logic_gates(reference, gate, truth):
    bias, *weights = gate
    _, h = reference.forward([np.array([weights]).T], [[bias]], INPUTS, output="logistic")
    assert_allclose(h[:, 0], truth, atol=5e-5)  # logistic(-10) = 4.5e-5


@both_references
def test_xnor_network(reference):
    hidden = np.array([AND, NOR]).T
    output = np.array([OR]).T
    coefs, intercepts = [hidden[1:], output[1:]], [hidden[0], output[0]]
    _, A, h = reference.forward(coefs, intercepts, INPUTS, activation="logistic", output="logistic")
    assert_allclose(A, [[0, 1], [0, 0], [0, 0], [1, 0]], atol=5e-5)
    assert_allclose(h[:, 0], [1, 0, 0, 1], atol=6e-5)


@pytest.mark.parametrize(
    ("layers", "truth"),
    [([AND], [0, 0, 0, 1]), ([OR], [0, 1, 1, 1]), ([NOR], [1, 0, 0, 0]), ([(AND, NOR), OR], [1, 0, 0, 1])],
)
def test_kernels_compute_logic_gates(layers, truth):
    """The estimator starts from the weights of the gates; the learning rate is too small to change them."""
    arrays = [np.array(layer, float, ndmin=2).T for layer in layers]
    init = [a[1:] for a in arrays], [a[0] for a in arrays]
    hidden = (2,) * (len(layers) - 1)
    model = MLPClassifier(hidden, "logistic", solver="sgd", init=init, learning_rate_init=1e-300, max_iter=1)
    with pytest.warns(ConvergenceWarning):
        model.fit(INPUTS, truth)
    assert_allclose(model.predict_proba(INPUTS)[:, 1], truth, atol=6e-5)
    assert_array_equal(model.predict(INPUTS), truth)


# ---- The 2-3-2 network ----
#
# Logistic hidden units, softmax output, two samples. All weights are multiples of t = log 3 or u = log 2, so
# that every unit's value is a fraction: logistic(t) = 3/4, logistic(-t) = 1/4, softmax(u, 0) = (2/3, 1/3).

t, u = log(3), log(2)

X = np.array([[1, 2], [2, 4]])
Y = np.array([[0, 1], [1, 0]])
W_1 = np.array([[2 * t, t, 2 * t], [-t, -t, -t]])
B_1 = np.array([t, t, -t])
W_2 = np.array([[4 * u, 0], [0, 4 * u], [4 * u, 0]])
B_2 = np.array([0, u])
NETWORK = [W_1, W_2], [B_1, B_2]

# Sample 1: z = (2 - 2 + 1, 1 - 2 + 1, 2 - 2 - 1) t; sample 2: z = (4 - 4 + 1, 2 - 4 + 1, 4 - 4 - 1) t.
Z_1 = np.array([[t, 0, -t], [t, -t, -t]])
A_1 = np.array([[3 / 4, 1 / 2, 1 / 4], [3 / 4, 1 / 4, 1 / 4]])
# Sample 1: z = (3 + 1, 2 + 1) u; sample 2: z = (3 + 1, 1 + 1) u.
Z_2 = np.array([[4 * u, 3 * u], [4 * u, 2 * u]])
H = np.array([[2 / 3, 1 / 3], [4 / 5, 1 / 5]])
# The true classes have 1/3 and 4/5: J = (log 3 + log 5/4) / 2.
J = log(15 / 4) / 2

D_2 = np.array([[2 / 3, -2 / 3], [-1 / 5, 1 / 5]])
# D_2 W_2^T = (8/3, -8/3, 8/3) u and (-4/5, 4/5, -4/5) u, times a (1 - a): 3/16, but 1/4 where a = 1/2.
D_1 = np.array([[1 / 2, -2 / 3, 1 / 2], [-3 / 20, 3 / 20, -3 / 20]]) * u

# A_1^T D_2 / 2, first column: (3/4 2/3 - 3/4 1/5) / 2, (1/2 2/3 - 1/4 1/5) / 2, (1/4 2/3 - 1/4 1/5) / 2.
DW_2 = np.array([[7 / 40, -7 / 40], [17 / 120, -17 / 120], [7 / 120, -7 / 120]])
DB_2 = np.array([7 / 30, -7 / 30])
# X^T D_1 / 2, first row: (1/2 - 2 3/20) / 2, (-2/3 + 2 3/20) / 2, as the first; the second row is twice that.
DW_1 = np.array([[1 / 10, -11 / 60, 1 / 10], [1 / 5, -11 / 30, 1 / 5]]) * u
DB_1 = np.array([7 / 40, -31 / 120, 7 / 40]) * u

exactly = {"rtol": 1e-13, "atol": 1e-15}


def check_all(actual, expected):
    for ours, by_hand in zip(actual, expected, strict=True):
        assert_allclose(ours, by_hand, **exactly)


@both_references
def test_232_forward(reference):
    check_all(reference.pre_activations(*NETWORK, X, activation="logistic"), [Z_1, Z_2])
    check_all(reference.forward(*NETWORK, X, activation="logistic"), [X, A_1, H])
    assert_allclose(reference.cost(*NETWORK, X, Y, activation="logistic"), J, **exactly)


@both_references
def test_232_backward(reference):
    assert_allclose(reference.output_error(Z_2, Y), D_2, **exactly)
    check_all(reference.backward(*NETWORK, X, Y, activation="logistic"), [D_1, D_2])
    cost, coef_grads, intercept_grads = reference.cost_and_gradient(*NETWORK, X, Y, activation="logistic")
    assert_allclose(cost, J, **exactly)
    check_all(coef_grads, [DW_1, DW_2])
    check_all(intercept_grads, [DB_1, DB_2])


def test_232_kernel_gradients():
    cost, coef_grads, intercept_grads = cost_and_gradient(*NETWORK, X, Y, activation="logistic")
    assert_allclose(cost, J, **exactly)
    check_all(coef_grads, [DW_1, DW_2])
    check_all(intercept_grads, [DB_1, DB_2])


@both_references
@pytest.mark.parametrize(("penalty", "divisor"), [("mean", 2), ("sum", 1)])
def test_232_penalty(reference, penalty, divisor):
    cost, coef_grads, intercept_grads = reference.cost_and_gradient(
        *NETWORK, X, Y, activation="logistic", alpha=3.0, penalty=penalty
    )
    # The squares of the weights add up to 12 t^2 and 48 u^2.
    assert_allclose(cost, J + 3 / 2 * (12 * t * t + 48 * u * u) / divisor, **exactly)
    check_all(coef_grads, [DW_1 + 3 * W_1 / divisor, DW_2 + 3 * W_2 / divisor])
    check_all(intercept_grads, [DB_1, DB_2])


@both_references
def test_232_sample_weights(reference):
    """With weights 3 and 1, m is 4."""
    cost, coef_grads, intercept_grads = reference.cost_and_gradient(
        *NETWORK, X, Y, activation="logistic", sample_weight=[3, 1]
    )
    assert_allclose(cost, (3 * log(3) + log(5 / 4)) / 4, **exactly)
    # First column of dW_2: (3 3/4 2/3 - 3/4 1/5) / 4, (3 1/2 2/3 - 1/4 1/5) / 4, (3 1/4 2/3 - 1/4 1/5) / 4.
    assert_allclose(coef_grads[1][:, 0], [27 / 80, 19 / 80, 9 / 80], **exactly)
    assert_allclose(intercept_grads[1], [9 / 20, -9 / 20], **exactly)
    assert_allclose(intercept_grads[0], np.array([27 / 80, -37 / 80, 27 / 80]) * u, **exactly)


@both_references
def test_232_gradient_check_and_step(reference):
    coef_grads, intercept_grads = reference.numerical_gradient(*NETWORK, X, Y, activation="logistic")
    for ours, by_hand in zip([*coef_grads, *intercept_grads], [DW_1, DW_2, DB_1, DB_2], strict=True):
        assert np.linalg.norm(ours - by_hand) < 1e-7 * np.linalg.norm(by_hand)
    coefs, intercepts = reference.gradient_descent_step(*NETWORK, [DW_1, DW_2], [DB_1, DB_2], 0.5)
    check_all(coefs, [W_1 - DW_1 / 2, W_2 - DW_2 / 2])
    check_all(intercepts, [B_1 - DB_1 / 2, B_2 - DB_2 / 2])


# ---- Logistic regression: no hidden layer ----


@pytest.mark.parametrize("C", [0.1, 10.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_is_zero_at_logistic_regression_optimum(C, weighted):
    """scikit-learn minimises C sum loss + ||w||^2 / 2: C m J with alpha = 1/C."""
    features, target = load_breast_cancer(return_X_y=True)
    features = scale(features)
    weights = np.random.default_rng(0).uniform(0.5, 2, len(target)) if weighted else None
    model = LogisticRegression(C=C, tol=1e-10, solver="newton-cholesky").fit(features, target, weights)
    network = [model.coef_.T], [model.intercept_]
    for reference in (loops, vectorized):
        options = {"output": "logistic", "alpha": 1 / C, "sample_weight": weights}
        _, *gradients = reference.cost_and_gradient(*network, features, target[:, np.newaxis], **options)
        for (gradient,) in gradients:
            assert_allclose(gradient, 0, atol=1e-9)
        h = reference.forward(*network, features, output="logistic")[-1]
        assert_allclose(h[:, 0], model.predict_proba(features)[:, 1], atol=1e-12)


@both_references
def test_gradient_is_zero_at_multinomial_regression_optimum(reference):
    features, target = load_iris(return_X_y=True)
    model = LogisticRegression(tol=1e-10, solver="newton-cholesky").fit(features, target)
    network = [model.coef_.T], [model.intercept_]
    _, *gradients = reference.cost_and_gradient(*network, features, np.eye(3)[target], alpha=1.0)
    for (gradient,) in gradients:
        assert_allclose(gradient, 0, atol=1e-9)
    assert_allclose(reference.forward(*network, features)[-1], model.predict_proba(features), atol=1e-12)


# ---- Softmax ----

seeds = st.integers(0, 2**32 - 1)


def softmax_layer(seed, n_classes, spread):
    """Random features, one-hot targets, weights and biases."""
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(5, 3)),
        np.eye(n_classes)[rng.integers(n_classes, size=5)],
        rng.normal(scale=spread, size=(3, n_classes)),
        rng.normal(scale=spread, size=n_classes),
        rng.normal(scale=spread, size=4),
    )


@both_references
@settings(deadline=None, max_examples=50)
@given(seed=seeds, n_classes=st.integers(1, 6), spread=st.floats(0, 100))
def test_softmax_is_invariant_to_a_common_shift(reference, seed, n_classes, spread):
    features, target, W, b, vector = softmax_layer(seed, n_classes, spread)
    before = reference.cost_and_gradient([W], [b], features, target)
    after = reference.cost_and_gradient([W - vector[1:, np.newaxis]], [b - vector[0]], features, target)
    for ours, theirs in zip(before, after, strict=True):
        assert_allclose(np.ravel(ours), np.ravel(theirs), atol=1e-12 * (1 + spread))


@both_references
@settings(deadline=None, max_examples=50)
@given(seed=seeds, spread=st.floats(0, 100))
def test_two_class_softmax_matches_one_logistic_unit(reference, seed, spread):
    features, target, W, b, _ = softmax_layer(seed, 2, spread)
    one = [W[:, 1:] - W[:, :1]], [b[1:] - b[:1]]
    cost, (dW,), (db,) = reference.cost_and_gradient([W], [b], features, target)
    cost_of_one, (dW_of_one,), (db_of_one,) = reference.cost_and_gradient(
        *one, features, target[:, 1:], output="logistic"
    )
    assert_allclose(cost, cost_of_one, atol=1e-12 * (1 + spread))
    assert_allclose(dW[:, 1:], dW_of_one, atol=1e-12 * (1 + spread))
    assert_allclose(db[1:], db_of_one, atol=1e-12 * (1 + spread))
    assert_allclose(
        reference.forward([W], [b], features)[-1][:, 1:],
        reference.forward(*one, features, output="logistic")[-1],
        atol=1e-12 * (1 + spread),
    )


# ---- Symmetry ----


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("activation", ["logistic", "relu", "tanh"])
def test_equal_weights_keep_hidden_units_identical(activation, solver):
    features, target = load_iris(return_X_y=True)
    features, target = scale(features)[::5], np.eye(3)[target[::5]]
    equal = [np.full((4, 3), 0.1), np.full((3, 3), 0.1)], [np.full(3, 0.1), np.full(3, 0.1)]
    options = {"epochs": 20, "batch_size": 6, "solver": solver, "activation": activation}
    coefs, intercepts, loss_curve = loops.fit(*equal, features, target, learning_rate_init=0.05, **options)
    assert loss_curve[-1] < 0.9 * loss_curve[0]
    for k in (1, 2):
        assert_array_equal(coefs[0][:, k], coefs[0][:, 0])
        assert_array_equal(coefs[1][k], coefs[1][0])
        assert intercepts[0][k] == intercepts[0][0]

    rng = np.random.default_rng(0)
    mixed = [W + rng.uniform(-0.1, 0.1, W.shape) for W in equal[0]], equal[1]
    coefs, _, _ = loops.fit(*mixed, features, target, learning_rate_init=0.05, **options)
    assert np.abs(coefs[0] - coefs[0][:, :1]).max() > 0.05
