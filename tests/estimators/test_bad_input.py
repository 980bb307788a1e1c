"""Invalid input raises scikit-learn's types of error, which name the parameter, its value and what is allowed."""

import inspect
import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn.neural_network
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import InvalidParameterError

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.training import _memory

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

NAMES = ["MLPClassifier", "MLPRegressor"]
# Each parameter is set to each of these values: wrong types, values below and above the range, and non-finite numbers.
VALUES = {
    "string": "fast",
    "bytes": b"adam",
    "list": [1.5, 2],
    "empty list": [],
    "dictionary": {},
    "complex": 1 + 1j,
    "array": np.array([0.5, 1.0]),
    "true": True,
    "minus one": -1,
    "zero": 0,
    "small": -1e-9,
    "half": 0.5,
    "one": 1,
    "one and a half": 1.5,
    "large": 10**30,
    "nan": np.nan,
    "inf": np.inf,
    "minus inf": -np.inf,
    "none": None,
}
# These parameters allow large values, which take long or much memory; other tests check them.
TOO_LARGE = ("max_iter", "max_fun", "hidden_layer_sizes", "batch_size")
SHARED = [
    (name, parameter, value)
    for name in NAMES
    for parameter in inspect.signature(getattr(sklearn.neural_network, name)).parameters
    for value in VALUES
    if parameter != "activation" and not (value == "large" and parameter in TOO_LARGE)
]


def outcome(function, *args):
    """Return type and text of the exception of a call, or None; sets in the text are sorted."""
    try:
        function(*args)
    except Exception as error:
        ordered = re.sub(r"{[^}]*}", lambda found: str(sorted(found.group()[1:-1].split(", "))), str(error))
        return type(error), ordered
    return None


def small(problem):
    return problem.X[::6], problem.y[::6]


def kind_of(name):
    return "multiclass" if name == "MLPClassifier" else "regression"


@pytest.mark.parametrize(("name", "parameter", "value"), SHARED)
def test_invalid_shared_parameters_raise_the_errors_of_scikit_learn(name, parameter, value, problems):
    X, y = small(problems[kind_of(name)])
    params = {"max_iter": 2, "hidden_layer_sizes": 3, "random_state": 0, parameter: VALUES[value]}
    outcomes = [outcome(getattr(package, name)(**params).fit, X, y) for package in (fastmlp, sklearn.neural_network)]
    if parameter == "hidden_layer_sizes" and outcomes[1] is not None and outcomes[1][0] is TypeError:
        # scikit-learn fails later ("an integer is required"): fastmlp raises the same type with a better text.
        assert outcomes[0][0] is TypeError
        assert "hidden_layer_sizes must be integers > 0, got" in outcomes[0][1]
    elif parameter in ("learning_rate", "loss") and outcomes[1] is not None:
        # The text lists the allowed values, of which there are more here.
        assert outcomes[0][0] is outcomes[1][0]
        assert f"The {parameter!r} parameter of" in outcomes[0][1]
    else:
        assert outcomes[0] == outcomes[1]
    if outcomes[0] is not None and value != "empty list":
        assert parameter in outcomes[0][1]


@pytest.mark.parametrize("sizes", [np.array(3), np.array(2.5), np.array("a")])
def test_an_array_without_dimensions_is_no_list_of_sizes(sizes, problems):
    X, y = small(problems["multiclass"])
    with pytest.raises(TypeError, match="hidden_layer_sizes must be integers > 0, got array"):
        MLPClassifier(sizes).fit(X, y)


OWN = {
    "activation": ["swish", None, 3, ["relu", "relu"], ["swish"], [None], [], np.nan],
    "n_jobs": [0, 1.5, "2", np.nan, np.inf],
    "penalty_scaling": ["median", None, 1],
    "init": ["zeros", None, 1, np.nan],
    "init_scale": [0, -1.0, "small", None, np.nan],
    "maxout_pieces": [1, 0, -2, 2.5, None, "two", np.nan],
    "batch_norm": ["yes", None, 2],
    "residual": ["no", None, -1],
}
OWN_OF_CLASSIFIERS = {
    "out_activation": ["tanh", None, 1],
    "loss": ["hinge", None, "poisson"],
}


@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [
        (name, parameter, value)
        for name in NAMES
        for parameter, values in (OWN | (OWN_OF_CLASSIFIERS if name == "MLPClassifier" else {})).items()
        for value in values
    ],
)
def test_invalid_own_parameters_are_refused(name, parameter, value, problems):
    X, y = small(problems[kind_of(name)])
    with pytest.raises(InvalidParameterError) as error:
        getattr(fastmlp, name)(hidden_layer_sizes=3, max_iter=2, **{parameter: value}).fit(X, y)
    text = str(error.value)
    assert f"'{parameter}' parameter" in text
    assert " must " in text
    one = value[0] if parameter == "activation" and isinstance(value, list) and len(value) == 1 else value
    assert repr(one) in text


def test_impossible_combinations_are_refused(problems):
    X, y = small(problems["multiclass"])
    two = np.where(y > 4, "high", "low")
    labels = np.column_stack([y > 4, y % 2 == 0]).astype(int)
    for target in (two, labels):
        with pytest.raises(ValueError, match=r"out_activation='softmax' needs three .*allowed here are 'auto' and"):
            MLPClassifier(out_activation="softmax").fit(X, target)
    for out_activation in ("auto", "softmax"):
        with pytest.raises(ValueError, match=r"loss='squared_error' does not go with softmax.*choose loss='log_loss'"):
            MLPClassifier(out_activation=out_activation, loss="squared_error").fit(X, y)
    with pytest.raises(ValueError, match=r"'residual' parameter needs .* as wide as its input, got .*\[64, 5, 7\]"):
        MLPClassifier(hidden_layer_sizes=(5, 7), residual=True).fit(X, y)


def test_invalid_initial_arrays_are_refused(problems, rng):
    X, y = small(problems["regression"])
    coefs = [rng.normal(size=(10, 4)), rng.normal(size=(4, 1))]
    intercepts = [np.zeros(4), np.zeros(1)]
    model = MLPRegressor(hidden_layer_sizes=4, max_iter=1)

    def refused(init):
        with pytest.raises(ValueError) as error:
            clone(model).set_params(init=init).fit(X, y)
        return str(error.value)

    assert "coefs must have the shapes [(10, 4), (4, 1)]" in refused(([coefs[0].T, coefs[1]], intercepts))
    assert "coefs must have the shapes" in refused(([coefs[0]], intercepts))
    assert "intercepts must have the shapes [(4,), (1,)]" in refused((coefs, [np.zeros(3), np.zeros(1)]))
    assert "coefs must be finite" in refused(([coefs[0] * np.nan, coefs[1]], intercepts))
    assert "a pair (coefs, intercepts)" in refused((coefs,))
    assert "a pair (coefs, intercepts)" in refused(["glorot", "he", "lecun"])
    with pytest.warns(UserWarning, match="hidden layer 1 are equal, .* remain identical throughout training"):
        clone(model).set_params(init=([np.full((10, 4), 0.1), coefs[1]], intercepts)).fit(X, y)


def with_value(X, value):
    X = X.astype(np.result_type(X, np.asarray(value))) if not isinstance(value, str) else X.astype(object)
    X[3, 1] = value
    return X


BAD_DATA = {
    "nan in X": lambda X, y: (with_value(X, np.nan), y),
    "inf in X": lambda X, y: (with_value(X, np.inf), y),
    "minus inf in X": lambda X, y: (with_value(X, -np.inf), y),
    "nan in sparse X": lambda X, y: (scipy.sparse.csr_array(with_value(X, np.nan)), y),
    "beyond float64": lambda X, y: (X.astype(np.longdouble) * np.longdouble("1e4000"), y),
    "string in X": lambda X, y: (with_value(X, "seven"), y),
    "X of strings": lambda X, y: (np.full(X.shape, "seven"), y),
    "complex X": lambda X, y: (with_value(X, 1j), y),
    "X missing": lambda X, y: (None, y),
    "X a number": lambda X, y: (3.0, y),
    "X a vector": lambda X, y: (X[:, 0], y),
    "X a cube": lambda X, y: (X[None], y),
    "X ragged": lambda X, y: ([[1.0, 2.0], [3.0]] * (len(y) // 2), y[: len(y) // 2 * 2]),
    "no rows": lambda X, y: (X[:0], y[:0]),
    "no columns": lambda X, y: (X[:, :0], y),
    "fewer targets": lambda X, y: (X, y[1:]),
    "y missing": lambda X, y: (X, None),
    "nan in y": lambda X, y: (X, np.where(np.arange(len(y)) == 3, np.nan, y)),
    "inf in y": lambda X, y: (X, np.where(np.arange(len(y)) == 3, np.inf, y)),
    "complex y": lambda X, y: (X, y + 1j),
    "y a cube": lambda X, y: (X, np.zeros((len(y), 2, 2))),
    "y ragged": lambda X, y: (X, [[0], [1, 2]] * (len(y) // 2)),
    "mixed columns": lambda X, y: (pd.DataFrame(X[:, :2], columns=["a", 1]), y),
}
GOOD_DATA = {
    "X of objects": lambda X, y: (X.astype(object), y),
    "one row": lambda X, y: (X[:1], y[:1]),
    "one class": lambda X, y: (X, np.ones_like(y)),
    "column y": lambda X, y: (X, y[:, None]),
    "sparse y": lambda X, y: (X, scipy.sparse.csr_array(np.column_stack([y > 0, y > 1, y < 1]).astype(int))),
    "COO": lambda X, y: (scipy.sparse.coo_array(X), y),
    "empty CSR": lambda X, y: (scipy.sparse.csr_array(X.shape), y),
    "half precision": lambda X, y: (X.astype(np.float16), y),
    "integers": lambda X, y: ((X * 16).astype(np.int8), y),
    "other byte order": lambda X, y: (X.astype(">f8"), y),
}


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("change", BAD_DATA)
@pytest.mark.parametrize("name", NAMES)
def test_invalid_data_raise_the_errors_of_scikit_learn(name, change, solver, problems):
    X, y = BAD_DATA[change](*small(problems[kind_of(name)]))
    ours, theirs = (
        outcome(getattr(package, name)(solver=solver, max_iter=2).fit, X, y)
        for package in (fastmlp, sklearn.neural_network)
    )
    assert theirs is not None
    assert ours == theirs


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("change", GOOD_DATA)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
def test_unusual_data_are_treated_as_in_scikit_learn(name, change, solver, problems):
    X, y = GOOD_DATA[change](*small(problems[kind_of(name)]))
    ours, theirs = (
        getattr(package, name)(solver=solver, max_iter=2, hidden_layer_sizes=5, random_state=0).fit(X, y)
        for package in (fastmlp, sklearn.neural_network)
    )
    for a, b in zip(ours.coefs_, theirs.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)
    predicted = [model.predict(X) for model in (ours, theirs)]
    predicted = [p.toarray() if scipy.sparse.issparse(p) else p for p in predicted]
    assert_array_equal(np.round(predicted[0], 6), np.round(predicted[1], 6))


def test_regression_targets_must_be_numbers(problems):
    """scikit-learn's regressor fails in the first update; fastmlp raises an error before training."""
    X, y = small(problems["regression"])
    with pytest.raises(TypeError, match="y must be numbers, got an array of <U"):
        MLPRegressor().fit(X, y.astype(str))


def test_poisson_targets_must_not_be_negative(problems):
    X, y = small(problems["poisson"])
    with pytest.raises(ValueError, match=r"loss='poisson' needs y >= 0, got -3\.0"):
        MLPRegressor(loss="poisson").fit(X, np.where(np.arange(len(y)) == 3, -3.0, y))
    MLPRegressor(loss="poisson", max_iter=2).fit(X, np.zeros(len(y)))


def test_unsorted_and_duplicate_entries_of_sparse_matrices(problems):
    """They are sorted and summed in a copy; the input is not changed."""
    X, y = small(problems["multiclass"])
    m, d = X.shape
    backwards = scipy.sparse.csr_array(
        (X[:, ::-1].ravel(), np.tile(np.arange(d)[::-1], m), np.arange(0, m * d + 1, d)), shape=(m, d)
    )
    double = scipy.sparse.csr_array(
        (np.repeat(X.ravel() / 2, 2), np.tile(np.repeat(np.arange(d), 2), m), np.arange(0, 2 * m * d + 1, 2 * d)),
        shape=(m, d),
    )
    model = MLPClassifier(max_iter=3, random_state=0)
    expected = clone(model).fit(X, y)
    for sparse in (backwards, double):
        before = sparse.data.copy(), sparse.indices.copy()
        fitted = clone(model).fit(sparse, y)
        np.testing.assert_allclose(fitted.coefs_[0], expected.coefs_[0], rtol=1e-9)
        np.testing.assert_allclose(fitted.predict_proba(sparse), expected.predict_proba(X), rtol=1e-9)
        assert_array_equal(sparse.data, before[0])
        assert_array_equal(sparse.indices, before[1])


WEIGHTS = {
    "too few": lambda m: np.ones(m - 1),
    "nan": lambda m: np.full(m, np.nan),
    "inf": lambda m: np.full(m, np.inf),
    "strings": lambda m: np.full(m, "one"),
    "a column": lambda m: np.ones((m, 1)),
    "complex": lambda m: np.full(m, 1j),
    "all zero": lambda m: np.zeros(m),
}


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("name", NAMES)
def test_invalid_sample_weights_raise_the_errors_of_scikit_learn(name, weights, solver, problems, needs_sklearn):
    if weights == "all zero":
        needs_sklearn("1.9", "an error for sample weights that are all zero")
    needs_sklearn("1.7", "sample_weight of its multilayer perceptrons")
    X, y = small(problems[kind_of(name)])
    ours, theirs = (
        outcome(getattr(package, name)(solver=solver, max_iter=2).fit, X, y, WEIGHTS[weights](len(y)))
        for package in (fastmlp, sklearn.neural_network)
    )
    assert theirs is not None
    assert ours == theirs


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("too few", r"sample_weight\.shape == \(49,\), expected \(50,\)!"),
        ("nan", "Input sample_weight contains NaN"),
        ("a column", "Sample weights must be 1D array or scalar, got 2D array"),
        ("all zero", "Sample weights must contain at least one non-zero number"),
    ],
)
def test_sample_weights_are_refused_under_every_version_of_scikit_learn(weights, message, problems):
    X, y = problems["regression"].X[:50], problems["regression"].y[:50]
    with pytest.raises(ValueError, match=message):
        MLPRegressor(max_iter=2).fit(X, y, WEIGHTS[weights](50))


def test_a_single_sample_weight_applies_to_all_rows(problems):
    X, y = problems["regression"].X[:50], problems["regression"].y[:50]
    one, ones, zero = (MLPRegressor(max_iter=2, random_state=0) for _ in range(3))
    assert_array_equal(one.fit(X, y, 2).coefs_[0], ones.fit(X, y, np.full(50, 2.0)).coefs_[0])
    with pytest.raises(ValueError, match="Sample weights must contain at least one non-zero number"):
        zero.fit(X, y, 0)


def test_a_batch_without_weight_changes_nothing(problems, needs_sklearn):
    """scikit-learn divides by zero in this case."""
    needs_sklearn("1.7", "sample_weight of its multilayer perceptrons")
    problem = problems["regression"]
    X, y = small(problem)
    weight = np.ones(len(y))
    weight[10:20] = 0
    options = {"batch_size": 10, "shuffle": False, "max_iter": 4, "random_state": 0}
    with pytest.raises(ZeroDivisionError):
        problem.theirs(**options).fit(X, y, weight)
    all_rows = MLPRegressor(**options).fit(X, y, weight)
    without = MLPRegressor(**options).fit(np.delete(X, np.s_[10:20], 0), np.delete(y, np.s_[10:20]))
    assert_array_equal(all_rows.coefs_[0], without.coefs_[0])


def predictions(problems, name):
    X, y = small(problems[kind_of(name)])
    models = [getattr(package, name)(max_iter=2).fit(X, y) for package in (fastmlp, sklearn.neural_network)]
    return X, y, models


@pytest.mark.parametrize("name", NAMES)
def test_prediction_refuses_what_scikit_learn_refuses(name, problems):
    X, y, models = predictions(problems, name)
    for other in (
        X[:, :-1],
        np.column_stack([X, X]),
        X[0],
        X[:0],
        with_value(X, np.nan),
        with_value(X, 1j),
        np.full(X.shape, "seven"),
        None,
    ):
        ours, theirs = (outcome(model.predict, other) for model in models)
        assert theirs is not None
        assert ours == theirs
    ours, theirs = (outcome(model.score, X, y[1:]) for model in models)
    assert ours == theirs
    unfitted = getattr(fastmlp, name)()
    for method in ("predict", "score") if name == "MLPRegressor" else ("predict", "predict_proba", "score"):
        with pytest.raises(NotFittedError, match="is not fitted yet"):
            getattr(unfitted, method)(*((X, y) if method == "score" else (X,)))


@pytest.mark.parametrize(
    "calls",
    [
        [{}],
        [{"classes": [0, 1]}],
        [{"classes": []}],
        [{"classes": ["a", "b"]}],
        [{"classes": range(10)}, {"classes": range(9)}],
        [{"classes": range(10)}, {"y": 11}],
    ],
)
def test_unknown_classes_raise_the_errors_of_scikit_learn(calls, problems):
    X, y = small(problems["multiclass"])
    outcomes = []
    for package in (fastmlp, sklearn.neural_network):
        model = package.MLPClassifier()
        for call in calls[:-1]:
            model.partial_fit(X, y, **call)
        last = dict(calls[-1])
        target = np.where(np.arange(len(y)) == 3, last.pop("y"), y) if "y" in last else y
        outcomes.append(outcome(lambda model=model, target=target, last=last: model.partial_fit(X, target, **last)))
    assert outcomes[1] is not None
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("name", NAMES)
def test_early_stopping_requires_enough_rows_for_validation(name, problems, needs_sklearn):
    needs_sklearn("1.7", "an error for a validation set that is too small")
    X, y = small(problems[kind_of(name)])
    for params, rows in (({"validation_fraction": 0.0}, 40), ({"validation_fraction": 0.9999}, 40), ({}, 4)):
        ours, theirs = (
            outcome(getattr(package, name)(early_stopping=True, max_iter=2, **params).fit, X[:rows], y[:rows])
            for package in (fastmlp, sklearn.neural_network)
        )
        assert theirs is not None
        assert ours == theirs
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        getattr(fastmlp, name)(early_stopping=True).partial_fit(
            X, y, **({"classes": range(10)} if y[0] % 1 == 0 else {})
        )


# ---- Memory


def test_networks_too_large_for_the_memory_are_refused(problems):
    X, y = small(problems["regression"])
    for sizes in (10**9, (10**6, 10**6), 10**15, 10**30):
        with pytest.raises(
            MemoryError,
            match=r"hidden_layer_sizes=.* with 10 features .* GiB to train; this machine or its",
        ):
            MLPRegressor(hidden_layer_sizes=sizes).fit(X, y)
        with pytest.raises(MemoryError, match="choose smaller hidden layers"):
            MLPRegressor(hidden_layer_sizes=sizes, solver="lbfgs").fit(X.astype(np.float32), y)


@pytest.mark.parametrize(
    ("said", "smaller"), [("1000000", True), ("max", False), ("9223372036854771712", False), (None, False)]
)
def test_the_memory_limit_of_a_container_is_respected(said, smaller, tmp_path, monkeypatch):
    """Beyond it, the operating system would end the process without an error."""
    machine = _memory._memory()
    limit = tmp_path / "memory.max"
    if said is not None:
        limit.write_text(said + "\n")
    monkeypatch.setattr(_memory, "MEMORY_LIMITS", (limit,))
    _memory._memory.cache_clear()
    try:
        assert _memory._memory() == (1e6 if smaller else machine)
    finally:
        _memory._memory.cache_clear()


def test_activations_too_large_for_the_memory_are_refused(monkeypatch, problems):
    """A wide layer between one feature and one output has few weights, but many activations."""
    monkeypatch.setattr("fastmlp.training._memory._memory", lambda: 1e8)
    X, y = problems["regression"].X[:200, :1], problems["regression"].y[:200]
    with pytest.raises(MemoryError, match="hidden_layer_sizes=50000 with 1 features"):
        MLPRegressor(hidden_layer_sizes=50_000, max_iter=1).fit(X, y)
    MLPRegressor(hidden_layer_sizes=50_000, max_iter=1, batch_size=10).fit(X[:20], y[:20])
