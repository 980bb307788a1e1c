"""The same seed gives the same weights as scikit-learn, in float64 to 1e-7 of the largest number in each array.

The bound is part of the documentation. The measured differences are about 1e-13, and larger on CPUs for which
scikit-learn's BLAS sums in another order; the rest is a margin for Adam, which enlarges the rounding of gradients that
are nearly zero.
"""

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

TOLERANCE = 1e-7
KINDS = ["binary", "multiclass", "strings", "multilabel", "regression", "outputs", "poisson"]
ACTIVATIONS = ["identity", "logistic", "tanh", "relu"]
SOLVERS = {
    "sgd": {"solver": "sgd", "momentum": 0},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False},
    "nesterov": {"solver": "sgd"},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.2},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.01, "n_iter_no_change": 2},
    "adam": {"solver": "adam"},
}
COMMON = {
    "hidden_layer_sizes": (11, 6),
    "learning_rate_init": 0.01,
    "alpha": 0.01,
    "batch_size": 32,
    "max_iter": 20,
    "random_state": 3,
}
# Options of both packages; a function takes X, y and returns what else `fit` gets.
OPTIONS = {
    "no hidden layer": {"hidden_layer_sizes": ()},
    "no hidden layer, and the range of logistic units": {"hidden_layer_sizes": (), "activation": "logistic"},
    "one hidden layer as an integer": {"hidden_layer_sizes": 17},
    "three hidden layers": {"hidden_layer_sizes": [9, 1, 5]},
    "no penalty": {"alpha": 0},
    "strong penalty": {"alpha": 30.0},
    "rows in order": {"shuffle": False},
    "single rows": {"batch_size": 1, "max_iter": 3, "learning_rate_init": 1e-3},
    "batches that leave a rest": {"batch_size": 37},
    "auto batches": {"batch_size": "auto"},
    "stopped by the loss": {"tol": 0.05, "n_iter_no_change": 1, "max_iter": 60},
    "never stopped": {"tol": 1e3, "n_iter_no_change": np.inf},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 2, "validation_fraction": 0.2, "max_iter": 60},
    "early stopping, any score will do": {"early_stopping": True, "tol": 0, "n_iter_no_change": 2, "max_iter": 40},
    "early stopping, adaptive": {
        "early_stopping": True,
        "learning_rate": "adaptive",
        "n_iter_no_change": 1,
        "tol": 0.05,
        "max_iter": 40,
    },
    "other moments": {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-4, "momentum": 0.3},
    "no moments": {"beta_1": 0.0, "beta_2": 0.0, "momentum": 1.0, "learning_rate_init": 1e-3, "max_iter": 5},
}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(autouse=True)
def skip_what_scikit_learn_lacks(request, needs_sklearn):
    """Skip comparisons with an older scikit-learn that lacks a loss, sample weights, or early stopping on strings."""
    params = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    if params.get("kind") == "poisson":
        needs_sklearn("1.7", "the parameter loss of MLPRegressor")
    if params.get("weighted") or request.node.originalname in ("test_sample_weight", "test_partial_fit"):
        needs_sklearn("1.7", "sample_weight of its multilayer perceptrons")
    if params.get("kind") == "strings" and params.get("option", "").startswith("early stopping"):
        needs_sklearn("1.7", "early stopping on labels that are strings")


def difference(ours, theirs):
    """Return the largest difference, relative to the largest number of `theirs`."""
    ours, theirs = np.asarray(ours, float), np.asarray(theirs, float)
    assert ours.shape == theirs.shape
    if theirs.size == 0:
        return 0.0
    top = np.abs(theirs).max()
    return np.abs(ours - theirs).max() / (top if top > 0 else 1.0)


def same(name, ours, theirs):
    """Whether two values of an attribute are equal, numbers up to the tolerance."""
    if theirs is None or isinstance(theirs, (str, int)):
        return ours == theirs
    return difference(ours, theirs) <= TOLERANCE


def assert_parity(ours, theirs, X, record):
    """Compare all public attributes and the predictions."""
    worst = max(
        difference(a, b)
        for mine, other in ((ours.coefs_, theirs.coefs_), (ours.intercepts_, theirs.intercepts_))
        for a, b in zip(mine, other, strict=True)
    )
    record(worst)
    assert worst <= TOLERANCE
    public = {name for name in vars(theirs) if name.endswith("_") and not name.startswith("_")}
    assert public <= set(vars(ours))
    for name in public - {"coefs_", "intercepts_", "classes_", "feature_names_in_"}:
        assert same(name, getattr(ours, name), getattr(theirs, name)), name
    assert type(ours.predict(X)) is type(theirs.predict(X))
    assert ours.predict(X).dtype == theirs.predict(X).dtype
    if hasattr(theirs, "classes_"):
        assert_array_equal(ours.classes_, theirs.classes_)
        assert_array_equal(ours.predict(X), theirs.predict(X))
        assert difference(ours.predict_proba(X), theirs.predict_proba(X)) <= TOLERANCE
        assert difference(ours.predict_log_proba(X), theirs.predict_log_proba(X)) <= TOLERANCE
    else:
        assert difference(ours.predict(X), theirs.predict(X)) <= TOLERANCE


def pair(problem, **params):
    params = {**COMMON, **problem.params, **params}
    return problem.ours(**params), problem.theirs(**params)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_weights(activation, solver, kind, problems, record):
    problem = problems[kind]
    ours, theirs = pair(problem, **{"activation": activation, **SOLVERS[solver]})
    ours.fit(problem.X, problem.y)
    theirs.fit(problem.X, problem.y)
    assert_parity(ours, theirs, problem.X, record)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", ["nesterov", "adam"])
@pytest.mark.parametrize("option", OPTIONS)
def test_options(option, solver, kind, problems, record):
    problem = problems[kind]
    ours, theirs = pair(problem, **{**SOLVERS[solver], **OPTIONS[option]})
    ours.fit(problem.X, problem.y)
    theirs.fit(problem.X, problem.y)
    assert_parity(ours, theirs, problem.X, record)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", ["momentum", "adam"])
def test_sample_weight(solver, kind, early_stopping, problems, rng, record):
    problem = problems[kind]
    weight = rng.uniform(0.1, 3, size=len(problem.y))
    weight[::7] = 0
    ours, theirs = pair(problem, **SOLVERS[solver], early_stopping=early_stopping)
    ours.fit(problem.X, problem.y, sample_weight=weight)
    theirs.fit(problem.X, problem.y, sample_weight=weight)
    assert_parity(ours, theirs, problem.X, record)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("kind", KINDS)
def test_warm_start(kind, solver, problems, record):
    problem = problems[kind]
    # A small rate: the gradient of a pixel that is always 0 consists of the penalty only. Adam brings its weights to
    # zero, where a new Adam would take full steps in the direction of rounding errors.
    slow = {"warm_start": True, "max_iter": 8, "learning_rate_init": 0.002}
    ours, theirs = pair(problem, **{**SOLVERS[solver], **slow})
    for _ in range(3):
        ours.fit(problem.X, problem.y)
        theirs.fit(problem.X, problem.y)
    assert_parity(ours, theirs, problem.X, record)
    assert ours.t_ == 3 * 8 * len(problem.y) or ours.n_iter_ < 8
    # Another penalty, another order and other rows.
    for model in (ours, theirs):
        model.set_params(alpha=1.0, shuffle=False, batch_size=50)
        model.fit(problem.X[::-1], problem.y[::-1])
    assert_parity(ours, theirs, problem.X, record)


@pytest.mark.parametrize("after_fit", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("kind", KINDS)
def test_partial_fit(kind, solver, after_fit, problems, rng, record):
    problem = problems[kind]
    X, y = problem.X, problem.y
    ours, theirs = pair(problem, **SOLVERS[solver])
    if after_fit:
        ours.fit(X, y)
        theirs.fit(X, y)
    classes = {}
    if hasattr(ours, "predict_proba"):
        classes = {"classes": np.arange(y.shape[1]) if y.ndim == 2 else np.unique(y)}
    for part in (slice(0, 101), slice(101, 140), slice(60, None), slice(None)):
        weight = rng.uniform(0.5, 2, size=len(X[part]))
        ours.partial_fit(X[part], y[part], sample_weight=weight, **classes)
        theirs.partial_fit(X[part], y[part], sample_weight=weight, **classes)
        classes = {}
    assert_parity(ours, theirs, X, record)


@pytest.mark.parametrize("change", [{"learning_rate_init": 0.1}, {"momentum": 0.1, "beta_1": 0.1}, {"solver": None}])
@pytest.mark.parametrize("solver", ["nesterov", "invscaling", "adam"])
def test_partial_fit_keeps_the_settings_of_its_optimizer(solver, change, problems, record):
    """Parameters of the optimizer that change between two passes take effect in the next `fit`, as in scikit-learn."""
    problem = problems["regression"]
    ours, theirs = pair(problem, **SOLVERS[solver])
    other = "adam" if ours.solver == "sgd" else "sgd"
    for model in (ours, theirs):
        model.partial_fit(problem.X, problem.y)
        model.set_params(**{name: other if name == "solver" else value for name, value in change.items()})
        for _ in range(2):
            model.partial_fit(problem.X, problem.y)
    assert_parity(ours, theirs, problem.X, record)


@pytest.mark.parametrize("generator", [np.random.MT19937, np.random.PCG64])
@pytest.mark.parametrize("batch_size", [32, 1000])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("kind", ["binary", "regression"])
@pytest.mark.filterwarnings("ignore:Got `batch_size` less than 1 or larger")
def test_random_state_instance(kind, early_stopping, shuffle, batch_size, generator, problems, record):
    """Training draws as many numbers from a generator of the user as scikit-learn does, for any bit generator."""
    problem = problems[kind]
    options = {"early_stopping": early_stopping, "shuffle": shuffle, "batch_size": batch_size, "max_iter": 7}
    ours, theirs = pair(problem, **options)
    for model in (ours, theirs):
        model.random_state = np.random.RandomState(generator(5))
        model.random_state.uniform(size=3)
        for _ in range(2):
            model.fit(problem.X, problem.y)
    assert_parity(ours, theirs, problem.X, record)
    assert_array_equal(ours.random_state.randint(1 << 30, size=700), theirs.random_state.randint(1 << 30, size=700))


def test_global_random_state(problems, record):
    """random_state=None draws as many numbers from NumPy's global generator as scikit-learn does."""
    problem = problems["multiclass"]
    ours, theirs = pair(problem, random_state=None, max_iter=3)
    shared = np.random.mtrand._rand
    before = shared.get_state(legacy=False)
    try:
        ours.fit(problem.X, problem.y)
        after = shared.randint(1 << 30, size=5)
        shared.set_state(before)
        theirs.fit(problem.X, problem.y)
        assert_array_equal(after, shared.randint(1 << 30, size=5))
    finally:
        shared.set_state(before)
    assert_parity(ours, theirs, problem.X, record)


@pytest.mark.parametrize("batch_size", [None, 1000])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("solver", ["nesterov", "adam"])
@pytest.mark.parametrize("kind", KINDS)
def test_full_batch(kind, solver, weighted, batch_size, problems, rng, record):
    problem = problems[kind]
    m = len(problem.y)
    ours, theirs = pair(problem, **SOLVERS[solver], batch_size=batch_size or m)
    weights = {"sample_weight": rng.uniform(0.1, 3, size=m)} if weighted else {}
    for model in (ours, theirs):
        if batch_size:
            with pytest.warns(UserWarning, match="larger than sample size. It is going to be clipped"):
                model.fit(problem.X, problem.y, **weights)
        else:
            model.fit(problem.X, problem.y, **weights)
    assert_parity(ours, theirs, problem.X, record)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize(
    "container", [scipy.sparse.csr_array, scipy.sparse.csc_array, scipy.sparse.csr_matrix, scipy.sparse.csc_matrix]
)
@pytest.mark.parametrize("kind", ["multiclass", "outputs"])
def test_sparse(kind, container, early_stopping, problems, record):
    problem = problems[kind]
    X = container(problem.X * (abs(problem.X) >= np.median(abs(problem.X))))
    ours, theirs = pair(problem, early_stopping=early_stopping)
    ours.fit(X, problem.y)
    theirs.fit(X, problem.y)
    assert_parity(ours, theirs, X, record)


LBFGS = {"solver": "lbfgs", "max_iter": 15}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "outputs"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_lbfgs(activation, kind, weighted, problems, rng, record):
    """The final loss is compared: iterates of L-BFGS drift apart more quickly than those of the other solvers."""
    problem = problems[kind]
    weights = {"sample_weight": rng.uniform(0.1, 3, size=len(problem.y))} if weighted else {}
    ours, theirs = pair(problem, **LBFGS, activation=activation)
    ours.fit(problem.X, problem.y, **weights)
    theirs.fit(problem.X, problem.y, **weights)
    worst = difference([ours.loss_], [theirs.loss_])
    record(worst)
    assert worst <= TOLERANCE
    assert ours.n_iter_ == theirs.n_iter_


def test_lbfgs_with_several_outputs(problems, record):
    """scikit-learn's loss is the mean over the outputs, its gradient that of the sum: only the minimum is the same."""
    problem = problems["outputs"]
    ours, theirs = pair(problem, solver="lbfgs", hidden_layer_sizes=(), alpha=0, max_iter=500, tol=1e-9)
    ours.fit(problem.X, problem.y)
    theirs.fit(problem.X, problem.y)
    worst = difference([ours.loss_], [theirs.loss_])
    record(worst)
    assert worst <= TOLERANCE


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("kind", KINDS)
def test_float32(kind, solver, problems):
    """In float32 the rounding differs.

    The distance of scikit-learn's float32 from its own float64 shows the effect of rounding: about 5e-7 here. The two
    may differ by twice that; the bound is 30 times it.
    """
    problem = problems[kind]
    ours, theirs = pair(problem, solver=solver, activation="tanh", max_iter=10)
    X = problem.X.astype(np.float32)
    ours.fit(X, problem.y)
    theirs.fit(X, problem.y)
    exact = clone(theirs).fit(X.astype(np.float64), problem.y)
    parts = [[*model.coefs_, *model.intercepts_] for model in (ours, theirs, exact)]
    rounding = max(difference(other, true) for other, true in zip(*parts[1:], strict=True))
    for mine, other in zip(*parts[:2], strict=True):
        assert mine.dtype == other.dtype == np.float32
        assert difference(mine, other) < 30 * rounding
    assert difference(ours.loss_curve_, theirs.loss_curve_) < 30 * rounding


def test_warnings_match_scikit_learn(problems):
    problem = problems["binary"]
    texts = []
    for model in pair(problem, max_iter=2):
        with pytest.warns(ConvergenceWarning) as caught:
            model.fit(problem.X, problem.y)
        texts.append([str(warning.message) for warning in caught])
    assert texts[0] == texts[1]
