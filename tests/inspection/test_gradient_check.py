"""The gradient check confirms right gradients, finds wrong ones, and recognises kinks."""

from itertools import product

import numpy as np
import pytest
from sklearn.datasets import load_digits

from fastmlp import MLPClassifier, MLPRegressor, check_gradient
from fastmlp.inspection._objective import Objective
from fastmlp.reference import vectorized

PIECES = 3


@pytest.mark.parametrize("activation", vectorized.ACTIVATIONS)
@pytest.mark.parametrize("penalty", ["mean", pytest.param("sum", marks=pytest.mark.slow)])
def test_backpropagation_is_right_for_every_network(penalty, activation):
    """Outputs, losses, penalties, batch normalisation and residuals: within 1e-6 at the default step."""
    switches = product(vectorized.OUTPUTS, [False, True], [False, True])
    for seed, (pair, batch_norm, residual) in enumerate(switches):
        rng = np.random.default_rng(seed)
        columns = [4 * (PIECES if activation == "maxout" else 1)] * 2 + [3]
        coefs = [rng.normal(scale=0.6, size=(4, c)) for c in columns]
        intercepts = [rng.normal(scale=0.3, size=c) for c in columns]
        pairs = [(rng.uniform(0.5, 1.5, c), rng.normal(scale=0.3, size=c)) for c in columns[:-1]]
        X = rng.normal(size=(7, 4))
        Y = {
            "one-hot": np.eye(3)[rng.integers(3, size=7)],
            "binary": rng.integers(2, size=(7, 3)),
            "any": rng.normal(size=(7, 3)),
            "non-negative": rng.poisson(1.0, size=(7, 3)),
            "tweedie": rng.poisson(1.0, size=(7, 3)),
            "positive": rng.gamma(2.0, size=(7, 3)),
        }[vectorized.OUTPUTS[pair].targets]
        check = check_gradient(
            (coefs, intercepts),
            X,
            Y,
            activation=activation,
            output=pair[0],
            loss=pair[1],
            alpha=0.3,
            penalty=penalty,
            sample_weight=rng.uniform(size=7) if seed % 2 else None,
            batch_norm=pairs if batch_norm else None,
            residual=residual,
            maxout_pieces=PIECES,
        )
        assert check, f"{pair} {penalty} {batch_norm} {residual}\n{check}"
        assert check.relative < 1e-6
        assert sum(row.checked for row in check.arrays) > 0.95 * sum(row.size for row in check.arrays)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "strings", "multilabel", "regression", "outputs", "poisson"])
def test_estimators_are_checked_as_fit_would_train_them(problems, kind):
    estimator, _, X, y, params = problems[kind]
    model = estimator(
        hidden_layer_sizes=(4, 4), activation="tanh", alpha=0.1, random_state=0, solver="lbfgs", max_iter=8, **params
    )
    model.set_params(batch_norm=True, residual=True, penalty_scaling="sum")
    some = np.linspace(0, len(X) - 1, 40).astype(int)
    weights = np.random.default_rng(0).uniform(size=40)
    before = vars(model).copy()
    check = check_gradient(model, X[some], y[some], sample_weight=weights, max_params=30)
    assert check, check
    assert vars(model) == before
    names = [
        f"{part}[{l}]" for part, n in [("coefs", 3), ("intercepts", 3), ("gammas", 2), ("betas", 2)] for l in range(n)
    ]
    assert [row.name for row in check.arrays] == names
    assert max(row.checked for row in check.arrays) <= 30
    with pytest.warns(match="converge"):
        model.fit(X, y)
    # The first rows of wine are all of one class: the data given for a fitted estimator may lack classes.
    fitted = check_gradient(model, X[:40], y[:40], sample_weight=weights, max_params=30)
    assert fitted, fitted
    assert [row.size for row in fitted.arrays] == [row.size for row in check.arrays]
    assert [row.absolute for row in fitted.arrays] != [row.absolute for row in check.arrays]


def test_the_check_is_in_float64_for_float32_data():
    X, y = load_digits(return_X_y=True)
    model = MLPClassifier((8,), activation="gelu", random_state=0, out_activation="logistic", loss="squared_error")
    check = check_gradient(model, X[:50].astype(np.float32) / 16, y[:50])
    assert check
    assert check.relative < 1e-7


def test_biases_before_batch_normalisation_have_no_gradient():
    X, y = load_digits(return_X_y=True)
    check = check_gradient(MLPClassifier(5, batch_norm=True, random_state=0), X[:50] / 16, y[:50])
    row = next(row for row in check.arrays if row.name == "intercepts[0]")
    assert row.ok
    assert row.absolute < 1e-9


@pytest.mark.parametrize("error", [1e-4, 1.0])
def test_a_wrong_gradient_is_found(monkeypatch, error):
    X, y = load_digits(return_X_y=True)
    model = MLPClassifier(5, random_state=0)
    right = Objective.cost_and_gradient

    def wrong(objective):
        J, g = right(objective)
        last = objective.network.parts(g).coefs[1]
        last[2, 3] += error * np.abs(last).max()
        return J, g

    assert check_gradient(model, X[:50] / 16, y[:50])
    monkeypatch.setattr(Objective, "cost_and_gradient", wrong)
    check = check_gradient(model, X[:50] / 16, y[:50])
    assert not check
    assert [row.name for row in check.arrays if not row.ok] == ["coefs[1]"]
    assert sum("WRONG" in line for line in str(check).splitlines()) == 1
    assert str(check).endswith("gradient not confirmed: central differences, eps=0.0001, tol=1e-06")


@pytest.mark.parametrize("distance", [0, 0.01, 1 / 48, 0.03, 0.06, 0.1, 0.3, 0.7, 0.999, 1.001])
@pytest.mark.parametrize("side", [-1, 1])
def test_a_kink_is_never_reported_as_wrong(distance, side):
    """One relu unit whose kink is `distance` steps away, for its weight and for its bias."""
    z = side * distance * 1e-4
    network = [[[0.5 + z]], [[2.0]]], [[-0.5], [0.3]]
    check = check_gradient(network, [[1.0]], [[4.0]], output="identity")
    assert "WRONG" not in str(check)
    first, last = check.arrays[0], check.arrays[1]
    assert last.ok
    near, far = distance <= 1 / 16, distance > 1 / 8
    if near:
        assert (first.kinks, first.checked, first.ok) == (1, 0, False)
        assert not check
        assert str(check).splitlines()[1].endswith("unknown")
    if far:
        assert (first.kinks, first.ok) == (0, True)
        assert check


def test_a_wrong_gradient_is_found_next_to_kinks(monkeypatch):
    """Two relu units, one exactly at its kink."""
    network = [[[0.5, 0.7]], [[2.0], [1.0]]], [[-0.5, 0.1], [0.3]]
    check = check_gradient(network, [[1.0]], [[4.0]], output="identity")
    assert check
    assert check.kinks == 2  # weight and bias of the first unit
    right = Objective.cost_and_gradient
    monkeypatch.setattr(Objective, "cost_and_gradient", lambda self: (right(self)[0], 1.001 * right(self)[1]))
    check = check_gradient(network, [[1.0]], [[4.0]], output="identity")
    assert not any(row.ok for row in check.arrays)
    assert check.kinks == 2


def test_table():
    check = check_gradient([[[[2.0]]], [[0.0]]], [[1.0], [3.0]], [[1.0], [1.0]], output="identity")
    lines = str(check).splitlines()
    assert lines[0].split() == ["array", "size", "checked", "kinks", "absolute", "relative", "verdict"]
    assert [line.split()[:4] for line in lines[1:-1]] == [
        ["coefs[0]", "1", "1", "0"],
        ["intercepts[0]", "1", "1", "0"],
    ]
    assert lines[-1] == "gradient right: central differences, eps=0.0001, tol=1e-06"
    assert repr(check) == str(check)


def test_samples_are_drawn_from_random_state():
    X, y = load_digits(return_X_y=True)
    model = MLPRegressor(hidden_layer_sizes=5, random_state=0)
    checks = [
        check_gradient(model, X[:50] / 16, y[:50], max_params=10, random_state=seed).arrays[0].absolute
        for seed in (0, 0, 1)
    ]
    assert checks[0] == checks[1] != checks[2]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"eps": 0}, "eps must be a number > 0, got 0"),
        ({"eps": np.nan}, "eps must be a number > 0, got nan"),
        ({"tol": -1.0}, "tol must be a number > 0, got -1.0"),
        ({"max_params": 0}, "max_params must be None or an integer >= 1, got 0"),
        ({"max_params": 1.5}, "max_params must be None or an integer >= 1, got 1.5"),
        ({"alpha": 1.0}, r"\['alpha'\] go with arrays only"),
        ({"model": ([], [], [])}, r"model must be an estimator or a pair \(coefs, intercepts\), got 3 items"),
        ({"model": MLPClassifier(5, solver="newton")}, "The 'solver' parameter of MLPClassifier must be"),
        ({"X": np.full((4, 2), np.nan)}, "Input X contains NaN"),
        (
            {"model": ([[[1e200]] * 2], [[0.0]]), "output": "identity"},
            "The cost is not finite at these weights",
        ),
    ],
)
def test_bad_input_is_refused(bad, message):
    given = {"model": MLPClassifier(5), "X": np.ones((4, 2)), "y": [0, 1, 0, 1]} | bad
    if isinstance(given["model"], tuple):
        given["y"] = [[0], [1], [0], [1]]
    with pytest.raises(ValueError, match=message):
        check_gradient(**given)
