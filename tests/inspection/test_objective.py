"""The public cost and gradient: the kernels match both reference implementations for every network and option."""

import inspect
import sys
import weakref
from functools import partial
from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier as TheirClassifier

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor, cost, cost_and_gradient
from fastmlp.inspection import _objective
from fastmlp.reference import loops, vectorized

PIECES = 3


def flatten(nested):
    """Return all numbers of a nested result as one vector."""
    if isinstance(nested, (list, tuple)):
        return np.concatenate([flatten(part) for part in nested]) if len(nested) else np.empty(0)
    return np.ravel(nested)


def problem(widths, activation, pair, seed, dtype=np.float64, m=7, residual=False, batch_norm=False):
    """Return arguments and options of `cost`; penalty, alpha and sample weights vary with the seed."""
    rng = np.random.default_rng(seed)
    pieces = [PIECES if activation == "maxout" else 1] * (len(widths) - 2) + [1]
    columns = [n * p for n, p in zip(widths[1:], pieces, strict=True)]
    coefs = [rng.normal(size=(n, c)) / np.sqrt(n) for n, c in zip(widths, columns, strict=False)]
    intercepts = [rng.normal(scale=0.3, size=c) for c in columns]
    pairs = [(rng.uniform(0.5, 1.5, c), rng.normal(scale=0.3, size=c)) for c in columns[:-1]]
    X, K = rng.normal(size=(m, widths[0])), widths[-1]
    Y = {
        "one-hot": np.eye(K)[rng.integers(K, size=m)],
        "binary": rng.integers(2, size=(m, K)).astype(float),
        "any": rng.normal(size=(m, K)),
        "non-negative": rng.poisson(1.0, size=(m, K)).astype(float),
        "tweedie": rng.poisson(1.0, size=(m, K)).astype(float),
        "positive": rng.gamma(2.0, size=(m, K)),
    }[vectorized.OUTPUTS[pair].targets]
    weights = rng.uniform(0, 2, m)
    weights[0] = 0
    options = {
        "activation": activation,
        "output": pair[0],
        "loss": pair[1],
        "alpha": 0.3 * (seed % 3),
        "penalty": ("mean", "sum")[seed % 2],
        "sample_weight": weights if seed // 2 % 2 else None,
        "residual": residual,
        "batch_norm": [(g.astype(dtype), b.astype(dtype)) for g, b in pairs] if batch_norm else None,
        "maxout_pieces": PIECES,
    }
    return [
        [W.astype(dtype) for W in coefs],
        [b.astype(dtype) for b in intercepts],
        X.astype(dtype),
        Y,
    ], options


def test_signatures_match_the_reference():
    for name in ("cost", "cost_and_gradient"):
        ours, theirs = (
            [(p.name, p.kind, p.default) for p in inspect.signature(f).parameters.values()]
            for f in (getattr(fastmlp, name), getattr(vectorized, name))
        )
        # Dropout is for training, which the kernels do, and for the references.
        assert ours == [parameter for parameter in theirs if parameter[0] != "dropout_masks"]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("activation", vectorized.ACTIVATIONS)
def test_kernels_match_the_reference(activation, dtype, rounding_error):
    """Shapes smaller and larger than the tiles of the kernels; the reference computes in float64."""
    # The first network has no layer as wide as its input, so it cannot be residual.
    networks = [((2, 5, 3), False), *product([(4, 4, 4, 1), (20, 33, 33, 17)], [False, True])]
    cases = product(networks, vectorized.OUTPUTS, [False, True])
    for seed, ((widths, residual), pair, batch_norm) in enumerate(cases):
        (coefs, intercepts, X, Y), options = problem(
            widths, activation, pair, seed, dtype, residual=residual, batch_norm=batch_norm
        )
        ours = cost_and_gradient(coefs, intercepts, X, Y, **options)
        reference = partial(vectorized.cost_and_gradient, X=X.astype(float), Y=Y, **options)
        theirs, tolerance = reference(coefs, intercepts), rounding_error(reference, (coefs, intercepts), dtype)
        assert_allclose(flatten(ours), flatten(theirs), rtol=tolerance, atol=tolerance, err_msg=f"{widths, options}")
        assert {g.dtype for g in [*ours[1], *ours[2]]} == {np.dtype(dtype)}
        assert [g.shape for g in ours[1]] == [W.shape for W in coefs]
        assert [g.shape for g in ours[2]] == [b.shape for b in intercepts]
        assert len(ours) == (4 if batch_norm else 3)
        assert cost(coefs, intercepts, X, Y, **options) == ours[0]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_networks_without_hidden_layer_match_the_reference(dtype, rounding_error):
    for seed, pair in enumerate(vectorized.OUTPUTS):
        (coefs, intercepts, X, Y), options = problem((3, 2), "relu", pair, seed, dtype)
        ours = cost_and_gradient(coefs, intercepts, X, Y, **options)
        reference = partial(loops.cost_and_gradient, X=X, Y=Y, **options)
        tolerance = rounding_error(reference, (coefs, intercepts), dtype)
        assert_allclose(flatten(ours), flatten(reference(coefs, intercepts)), rtol=tolerance, atol=tolerance)


def test_kernels_match_the_reference_with_loops(rounding_error):
    """All options at once."""
    for pair in loops.OUTPUTS:
        (coefs, intercepts, X, Y), options = problem((4, 4, 4, 3), "maxout", pair, 5, residual=True, batch_norm=True)
        ours = cost_and_gradient(coefs, intercepts, X, Y, **options)
        reference = partial(loops.cost_and_gradient, X=X, Y=Y, **options)
        tolerance = rounding_error(reference, (coefs, intercepts))
        assert_allclose(flatten(ours), flatten(reference(coefs, intercepts)), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_many_rows_are_one_batch(batch_norm, rounding_error):
    """More rows than one pass of the kernel takes, so that the gradient is summed over several passes."""
    (coefs, intercepts, X, Y), options = problem(
        (30, 200, 200, 5), "tanh", ("softmax", "log_loss"), 5, m=6000, residual=True, batch_norm=batch_norm
    )
    ours = cost_and_gradient(coefs, intercepts, X, Y, **options)
    reference = partial(vectorized.cost_and_gradient, X=X, Y=Y, **options)
    tolerance = rounding_error(reference, (coefs, intercepts))
    assert_allclose(flatten(ours), flatten(reference(coefs, intercepts)), rtol=tolerance, atol=tolerance)


def test_one_activation_per_hidden_layer(rounding_error):
    (coefs, intercepts, X, Y), options = problem((4, 5, 6, 3), "relu", ("softmax", "log_loss"), 1)
    options["activation"] = ["gelu", "tanh"]
    ours = cost_and_gradient(coefs, intercepts, X, Y, **options)
    reference = partial(vectorized.cost_and_gradient, X=X, Y=Y, **options)
    tolerance = rounding_error(reference, (coefs, intercepts))
    assert_allclose(flatten(ours), flatten(reference(coefs, intercepts)), rtol=tolerance, atol=tolerance)


def test_lists_integers_and_read_only_arrays_are_accepted_and_not_changed():
    args, options = problem((4, 5, 3), "relu", ("softmax", "log_loss"), 0)
    expected = flatten(cost_and_gradient(*args, **options))
    for array in [*args[0], *args[1], *args[2:]]:
        array.setflags(write=False)
    assert_array_equal(flatten(cost_and_gradient(*args, **options)), expected)
    fortran = (
        [np.asfortranarray(W) for W in args[0]],
        args[1],
        np.asfortranarray(args[2]),
        args[3].astype(int),
    )
    assert_array_equal(flatten(cost_and_gradient(*fortran, **options)), expected)
    lists = [W.tolist() for W in args[0]], [b.tolist() for b in args[1]], args[2].tolist(), args[3].tolist()
    assert_array_equal(flatten(cost_and_gradient(*lists, **options)), expected)


def test_losses_are_not_capped():
    """`fit` reports log losses of at most 36 (float64), as scikit-learn does; J is not capped."""
    for z in (40.0, 1000.0):
        assert cost([[[1.0]]], [[0.0]], [[-z]], [[1]], output="logistic") == z
        assert cost([np.eye(2)], [np.zeros(2)], [[z, 0.0]], [[0, 1]]) == z


def test_overflow_is_nan():
    J, (dW,), (db,) = cost_and_gradient([[[1.0]]], [[0.0]], [[1e200]], [[0.0]], output="identity")
    assert np.isnan([J, *dW.ravel(), *db]).all()
    assert np.isnan(cost([[[1.0]]], [[0.0]], [[1e200]], [[0.0]], output="identity"))


def test_cost_of_fitted_weights_is_the_reported_loss():
    X, y = load_digits(return_X_y=True)
    X, y = X[:300] / 16, y[:300]
    for estimator in (MLPClassifier, TheirClassifier):
        clf = estimator((12,), alpha=5.0, solver="lbfgs", max_iter=2000, random_state=0).fit(X, y)
        J, *gradients = cost_and_gradient(clf.coefs_, clf.intercepts_, X, np.eye(10)[y], alpha=5.0)
        assert_allclose(J, clf.loss_, rtol=1e-10)
        assert np.abs(flatten(gradients)).max() < 1e-3
    reg = MLPRegressor(hidden_layer_sizes=8, alpha=5.0, solver="lbfgs", max_iter=2000, random_state=0)
    reg.fit(X[:, 1:], X[:, 3])
    J = cost(reg.coefs_, reg.intercepts_, X[:, 1:], X[:, 3:4], output="identity", alpha=5.0)
    assert_allclose(J, reg.loss_, rtol=1e-10)


VALID = {"coefs": [np.ones((2, 3)), np.ones((3, 2))], "intercepts": [np.zeros(3), np.zeros(2)]}
VALID |= {"X": np.ones((4, 2)), "Y": np.eye(2)[[0, 1, 0, 1]]}


@pytest.mark.parametrize("function", [cost, cost_and_gradient])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"coefs": [np.ones((2, 3)), np.ones((4, 2))]}, r"coefs\[1\] must have shape \(3, n\).*got \(4, 2\)"),
        (
            {"coefs": [np.ones((2, 3))]},
            "coefs and intercepts must have one entry for every layer, got 1 and 2",
        ),
        ({"intercepts": [np.zeros(2), np.zeros(2)]}, r"intercepts\[0\] must have shape \(3,\), got \(2,\)"),
        ({"coefs": [np.full((2, 3), np.nan), np.ones((3, 2))]}, "coefs must be finite"),
        ({"X": np.ones((4, 3))}, r"coefs\[0\] must have shape \(3, n\)"),
        ({"X": np.ones(4)}, r"X must have shape \(m, n_features\)"),
        ({"X": np.full((4, 2), np.inf)}, "X must be finite"),
        ({"Y": np.ones((4, 3))}, r"Y must have shape \(4, 2\), got \(4, 3\)"),
        ({"Y": np.full((4, 2), 0.5)}, "Y must hold only 0 and 1 for a log loss"),
        ({"Y": np.full((4, 2), 2), "output": "logistic"}, "Y must hold only 0 and 1 for a log loss"),
        ({"Y": np.ones((4, 2))}, "Y must have exactly one 1 in every row for output='softmax'"),
        ({"Y": np.full((4, 2), np.nan), "output": "identity"}, "Y must be finite"),
        ({"Y": np.full((4, 2), -1), "output": "exp"}, "Y must not be negative"),
        ({"activation": "step"}, r"activation must be one of \['identity', .*got 'step'"),
        ({"activation": ["relu", "step"]}, "activation must be one of .*got 'step'"),
        (
            {"activation": ["relu", "tanh"]},
            r"activation must be one name or one per hidden layer \(1\), got 2",
        ),
        ({"output": "tanh"}, r"output must be one of \['softmax', .*got 'tanh'"),
        (
            {"loss": "hinge"},
            r"loss \(with output='softmax'\) must be one of \['auto', 'log_loss', 'focal'\], got 'hinge'",
        ),
        ({"loss": "squared_error"}, r"loss \(with output='softmax'\) must be one of"),
        ({"alpha": -1}, "alpha must be a number >= 0, got -1"),
        ({"alpha": np.nan}, "alpha must be a number >= 0, got nan"),
        ({"penalty": "max"}, r"penalty must be one of \['mean', 'sum'\], got 'max'"),
        ({"sample_weight": [1, 1]}, r"sample_weight must have shape \(4,\)"),
        ({"sample_weight": [1, 1, 1, -1]}, "sample_weight must be non-negative with a positive sum"),
        ({"sample_weight": [1, 1, 1, np.inf]}, "sample_weight must be finite"),
        ({"residual": True}, r"residual=True needs a hidden layer as wide as its input, got .*\(2, 3\)"),
        ({"maxout_pieces": 1}, "maxout_pieces must be an integer >= 2, got 1"),
        ({"activation": "maxout"}, r"coefs\[0\] must have a multiple of maxout_pieces=2 columns, got 3"),
        ({"batch_norm": []}, r"batch_norm must hold one \(gamma, beta\) for each of 1 hidden layers, got 0"),
        ({"batch_norm": [(np.ones(2), np.ones(3))]}, r"gamma of batch_norm\[0\] must have shape \(3,\)"),
    ],
)
def test_bad_input_is_refused(function, bad, message):
    with pytest.raises(ValueError, match=message):
        function(**VALID | bad)


def test_dropout_is_for_the_references():
    with pytest.raises(ValueError, match=r"dropout_masks is for fastmlp\.reference only"):
        cost_and_gradient([[[1.0]]], [[0.0]], [[1.0]], [[1.0]], output="identity", dropout_masks=[[[0.0]]])


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_repeated_calls_do_not_depend_on_each_other():
    """A thread keeps the memory of its last call, which the next call uses if only numbers differ."""
    calls = [
        problem(widths, "relu", ("softmax", "log_loss"), seed, dtype, m)
        for dtype in (np.float64, np.float32)
        for widths in ((3, 4, 2), (3, 5, 2))
        for m in (7, 9)
        for seed in range(12)
    ]
    calls += [
        problem((3, 4, 2), name, pair, 0, batch_norm=batch_norm)
        for name, pair, batch_norm in [
            ("relu", ("softmax", "log_loss"), True),
            ("tanh", ("softmax", "log_loss"), False),
            ("relu", ("logistic", "log_loss"), False),
        ]
    ]
    fresh = []
    for args in calls:
        _objective._kept.objective = None
        fresh.append(flatten(cost_and_gradient(*args[0], **args[1])))
    overflow = [np.full((3, 4), 1e300), np.full((4, 2), 1e300)]
    for i in np.random.default_rng(0).permutation(2 * len(calls)):
        arrays, options = calls[i // 2]
        if i % 5 == 0:
            assert np.isnan(cost(overflow, [np.ones(4), np.ones(2)], *calls[0][0][2:], alpha=0.0))
        assert_array_equal(flatten(cost_and_gradient(*arrays, **options)), fresh[i // 2])
        assert cost(*arrays, **options) == fresh[i // 2][0]


def test_results_and_data_belong_to_the_caller():
    (coefs, intercepts, X, Y), options = problem((3, 4, 2), "relu", ("softmax", "log_loss"), 0)
    first = cost_and_gradient(coefs, intercepts, X, Y, **options)
    kept, copy = _objective._kept.objective, flatten(first).copy()
    assert kept is not None
    cost_and_gradient([2 * W for W in coefs], intercepts, X, Y, **options)
    assert _objective._kept.objective is kept
    assert_array_equal(flatten(first), copy)
    references = [sys.getrefcount(array) for array in (X, Y, *coefs)]
    cost_and_gradient(coefs, intercepts, X, Y, **options)
    assert [sys.getrefcount(array) for array in (X, Y, *coefs)] == references
    alive = weakref.ref(X)
    del X, Y
    assert alive() is None


def test_large_objectives_are_not_kept():
    (coefs, intercepts, X, Y), options = problem((3, 4, 2), "relu", ("softmax", "log_loss"), 0, m=100_000)
    cost_and_gradient(coefs, intercepts, X, Y, **options)
    assert _objective._kept.objective is None
