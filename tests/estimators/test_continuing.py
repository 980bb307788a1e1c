"""Training in parts: `partial_fit` on chunks, and `warm_start` with one epoch in each call of `fit`."""

import copy
import pickle
import weakref

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.preprocessing import scale

from fastmlp import MLPAutoencoder, MLPClassifier, MLPRegressor
from fastmlp.estimators import _fitting

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SGD, ADAM = {"solver": "sgd"}, {"solver": "adam"}


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:300] / 16, y[:300]


def assert_same_weights(ours, theirs):
    for name in ("coefs_", "intercepts_"):
        for a, b in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            assert_array_equal(a, b)


def assert_same_training(ours, theirs):
    """The same weights, and the next passes give the same."""
    assert_same_weights(ours, theirs)
    assert_array_equal(ours._stats, theirs._stats)
    for name in ("t_", "n_iter_", "loss_curve_", "loss_", "best_loss_", "best_epoch_"):
        assert getattr(ours, name) == getattr(theirs, name), name
    (mine, of_mine), (other, of_other) = ours._state.unpacked(), theirs._state.unpacked()
    assert mine == other
    for name in ("m", "v"):
        assert_array_equal(of_mine[name], of_other[name])
    for name in set(of_other["record"].dtype.names) - {"epoch", "passes"}:
        assert_array_equal(of_mine["record"][name], of_other["record"][name], err_msg=name)


# ---- partial_fit on chunks


@pytest.fixture
def prepared(monkeypatch):
    """A list with one entry for each call that has prepared its training instead of reusing the last preparations."""
    calls, check = [], _fitting._checked_data

    def counted(model, *args):
        calls.append(type(model).__name__)
        return check(model, *args)

    monkeypatch.setattr(_fitting, "_checked_data", counted)
    return calls


PROBLEMS = {
    "multiclass": (MLPClassifier, lambda: (load_digits().data[:300] / 16, load_digits().target[:300])),
    "binary": (MLPClassifier, lambda: (scale(load_breast_cancer().data[:300]), load_breast_cancer().target[:300])),
    "regression": (
        lambda **params: MLPRegressor(**params),
        lambda: (scale(load_diabetes().data[:300]), load_diabetes().target[:300] / 100),
    ),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("chunk", [1, 5, 60, 150])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_chunks_equal_one_fit_over_the_same_mini_batches(problem, chunk, solver, dtype, prepared):
    Estimator, load = PROBLEMS[problem]
    X, y = load()
    X = X.astype(dtype)
    params = {"hidden_layer_sizes": (7, 4), "solver": solver, "shuffle": False, "random_state": 0}
    batch = min(chunk, 30)
    expected = Estimator(**params, batch_size=batch, max_iter=1).fit(X, y)
    prepared.clear()
    model = Estimator(**params, batch_size=batch)
    classes = {"classes": np.unique(y)} if problem != "regression" else {}
    for start in range(0, 300, chunk):
        model.partial_fit(X[start : start + chunk], y[start : start + chunk], **classes)
    assert_same_weights(model, expected)
    assert model.t_ == expected.t_
    assert len(prepared) == 1  # only the first call


@pytest.mark.parametrize("wrong", [None, -1, 10, 70_000])
def test_large_chunks_are_checked_as_small_ones(wrong, monkeypatch, digits, prepared):
    """Their labels are counted instead of searched for."""
    monkeypatch.setattr("fastmlp.estimators._continuation.MANY_ROWS", 50)
    X, y = digits
    models = [MLPClassifier(6, random_state=0).partial_fit(X[:100], y[:100], classes=range(10)) for _ in range(2)]
    prepared.clear()
    if wrong is None:
        models[0].partial_fit(X[100:200], y[100:200])
        assert not prepared
        each_prepared(models[1], [lambda model: model.partial_fit(X[100:200], y[100:200])])
        assert_same_training(*models)
    else:
        with pytest.raises(ValueError, match="has classes not in"):
            models[0].partial_fit(X[:100], with_value(y[:100], wrong))


def each_prepared(model, calls):
    """Make the calls with a model that cannot reuse preparations."""
    for call in calls:
        model.__dict__.pop("_continuation", None)
        call(model)
    return model


OPTIONS = {
    "shuffled": {"batch_size": 16},
    "a list of layers": {"hidden_layer_sizes": [6, 3], "batch_size": 16},
    "rows in order": {"shuffle": False, "batch_size": 16},
    "full batch": {},
    "dropout": {"dropout": 0.3, "batch_size": 16},
    "batch norm": {"batch_norm": True, "batch_size": 16},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "batch_size": 16},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 10.0, "n_iter_no_change": 1},
    "cosine": {"learning_rate": "cosine", "warmup": 0.2, "max_iter": 5, "batch_size": 16},
    "clipping": {"max_grad_norm": 0.05, "weight_decay": 0.1, "batch_size": 16},
    "maxout": {"activation": "maxout"},
    "average": {"average": 0.9, "batch_norm": True, "batch_size": 16},
    "list of dropout": {"dropout": [0.1, 0.2], "batch_size": 16},
}


@pytest.mark.parametrize("option", OPTIONS)
def test_reused_preparations_give_the_same_weights(option, digits):
    X, y = digits
    params = {"hidden_layer_sizes": 6, "random_state": 0, **OPTIONS[option]}
    calls = [lambda model: model.partial_fit(X[:50], y[:50], classes=range(10))]
    calls += [lambda model, k=k: model.partial_fit(X[k : k + 50], y[k : k + 50]) for k in range(50, 250, 50)]
    model = MLPClassifier(**params)
    for call in calls:
        call(model)
    assert_same_training(model, each_prepared(MLPClassifier(**params), calls))


@pytest.mark.parametrize("generator", [np.random.MT19937, np.random.PCG64])
@pytest.mark.parametrize("batch_size", ["auto", 16])
def test_the_generator_of_the_user_advances_as_without_reuse(batch_size, generator, digits):
    X, y = digits
    models = [
        MLPClassifier(6, batch_size=batch_size, random_state=np.random.RandomState(generator(3))) for _ in range(2)
    ]
    calls = [lambda model: model.partial_fit(X[:50], y[:50], classes=range(10))] * 4
    for call in calls:
        call(models[0])
    each_prepared(models[1], calls)
    assert_same_training(*models)
    assert_array_equal(*(model.random_state.randint(1 << 30, size=700) for model in models))


def replace_first(model):
    model.coefs_ = [model.coefs_[0] + 0.25, *model.coefs_[1:]]


def replace_element(model):
    model.coefs_[1] = model.coefs_[1] + 0.25


def change_numbers(model):
    model.coefs_[1][...] += 0.25
    model.intercepts_[0][...] = 0.5


def through_pickle(model):
    model.__dict__.update(pickle.loads(pickle.dumps(model)).__dict__)
    model.__dict__.pop("_continuation", None)


CHANGES = {
    "penalty": lambda model, X, y: model.set_params(alpha=3.0),
    "layers": lambda model, X, y: model.set_params(hidden_layer_sizes=[6]),
    "penalty scaling": lambda model, X, y: model.set_params(penalty_scaling="sum"),
    "learning rate": lambda model, X, y: model.set_params(learning_rate_init=1.0),
    "seed": lambda model, X, y: model.set_params(random_state=5),
    "threads": lambda model, X, y: model.set_params(n_jobs=2),
    "all arrays": lambda model, X, y: replace_first(model),
    "one array": lambda model, X, y: replace_element(model),
    "numbers": lambda model, X, y: change_numbers(model),
    "other rows": lambda model, X, y: model.partial_fit(X[:7], y[:7]),
    "float32": lambda model, X, y: model.partial_fit(X[:50].astype(np.float32), y[:50]),
    "Fortran order": lambda model, X, y: model.partial_fit(np.asfortranarray(X[:50]), y[:50]),
    "lists": lambda model, X, y: model.partial_fit(X[:50].tolist(), y[:50].tolist()),
    "floats": lambda model, X, y: model.partial_fit(X[:50], y[:50].astype(float)),
    "unsigned": lambda model, X, y: model.partial_fit(X[:50], y[:50].astype(np.uint8)),
    "column": lambda model, X, y: model.partial_fit(X[:50], y[:50, None].ravel()),
    "sparse": lambda model, X, y: model.partial_fit(scipy.sparse.csr_array(X[:50]), y[:50]),
    "weights": lambda model, X, y: model.partial_fit(X[:50], y[:50], np.linspace(0, 1, 50)),
    "weights by name": lambda model, X, y: model.partial_fit(X[:50], y[:50], sample_weight=np.linspace(0, 1, 50)),
    "epochs": lambda model, X, y: model.partial_fit(X[:50], y[:50], n_epochs=3),
    "classes again": lambda model, X, y: model.partial_fit(X[:50], y[:50], classes=np.arange(10)),
    "classes by place": lambda model, X, y: model.partial_fit(X[:50], y[:50], None, list(range(10))),
    "names": lambda model, X, y: model.partial_fit(X=X[:50], y=y[:50]),
    "fit": lambda model, X, y: model.fit(X, y),
    "prediction": lambda model, X, y: model.predict(X),
    "pickle": lambda model, X, y: through_pickle(model),
    "copy": lambda model, X, y: copy.deepcopy(model).partial_fit(X, y),
    "shallow copy": lambda model, X, y: copy.copy(model).predict(X),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changes_between_two_calls_take_effect(change, digits):
    """The result is the same as without reused preparations."""
    X, y = digits
    params = {"hidden_layer_sizes": 6, "batch_size": 16 if change != "other rows" else "auto", "random_state": 0}

    def some(model):
        return model.partial_fit(X[50:100], y[50:100])

    calls = [lambda model: model.partial_fit(X[:50], y[:50], classes=range(10)), some, some]
    calls += [lambda model: CHANGES[change](model, X, y), some, some]
    model = MLPClassifier(**params)
    for call in calls:
        call(model)
    assert_same_training(model, each_prepared(MLPClassifier(**params), calls))
    assert_array_equal(model.predict_proba(X), each_prepared(MLPClassifier(**params), calls).predict_proba(X))


def with_value(array, value):
    array = array.astype(np.result_type(array, value))
    array.flat[7] = value
    return array


BAD = {
    "NaN": lambda X, y: {"X": with_value(X, np.nan)},
    "infinite": lambda X, y: {"X": with_value(X, np.inf)},
    "columns": lambda X, y: {"X": X[:, :9]},
    "no rows": lambda X, y: {"X": X[:0], "y": y[:0]},
    "a vector": lambda X, y: {"X": X[0]},
    "strings": lambda X, y: {"X": X.astype(str)[:, :3]},
    "complex": lambda X, y: {"X": X + 1j},
    "lengths": lambda X, y: {"y": y[1:]},
    "unknown class": lambda X, y: {"y": with_value(y, 11)},
    "negative class": lambda X, y: {"y": with_value(y, -1)},
    "NaN in y": lambda X, y: {"y": with_value(y.astype(float), np.nan)},
    "y missing": lambda X, y: {"y": None},
    "other classes": lambda X, y: {"classes": range(9)},
    "classes of another kind": lambda X, y: {"classes": "ten"},
    "weights": lambda X, y: {"sample_weight": np.ones(3)},
    "NaN weights": lambda X, y: {"sample_weight": np.full(len(y), np.nan)},
    "no epochs": lambda X, y: {"n_epochs": 0},
    "epochs": lambda X, y: {"n_epochs": 1.0},
    "epochs as text": lambda X, y: {"n_epochs": "1"},
    "NaN epochs": lambda X, y: {"n_epochs": np.nan},
    "unknown argument": lambda X, y: {"rows": 3},
}


def outcome(model, X, y, bad):
    args = {"X": X, "y": y, **bad}
    try:
        model.partial_fit(args.pop("X"), args.pop("y"), **args)
    except Exception as error:
        return type(error), str(error)
    return None


@pytest.mark.parametrize("bad", BAD)
def test_bad_input_raises_the_same_error_in_every_call(bad, digits):
    X, y = digits[0][:50], digits[1][:50]
    model = MLPClassifier(6, random_state=0).partial_fit(X, y, classes=range(10)).partial_fit(X, y)
    before = pickle.dumps(model)
    found = outcome(model, X, y, BAD[bad](X, y))
    prepared_anew = pickle.loads(before)
    assert found == outcome(prepared_anew, X, y, BAD[bad](X, y))
    assert found is not None
    assert pickle.dumps(model) == before
    assert_same_training(model.partial_fit(X, y), pickle.loads(before).partial_fit(X, y))


@pytest.mark.parametrize("name", ["alpha", "batch_size", "activation", "dropout", "solver"])
def test_bad_parameters_between_two_calls_are_refused(name, digits):
    X, y = digits[0][:50], digits[1][:50]
    bad = {"alpha": "x", "batch_size": 0.5, "activation": ["tanh", "tanh"], "dropout": [0.1], "solver": "lbfgs"}[name]
    model = MLPClassifier(6, random_state=0).partial_fit(X, y, classes=range(10)).partial_fit(X, y)
    before = model.coefs_[0].copy()
    model.set_params(**{name: bad})
    message = "no attribute" if name == "solver" else f"'{name}' parameter"
    with pytest.raises((ValueError, AttributeError), match=message):
        model.partial_fit(X, y)
    assert_array_equal(model.coefs_[0], before)


def test_divergence_keeps_the_last_finite_weights(digits):
    X = digits[0][:50]
    y = np.linspace(-1, 1, 50)
    model = MLPRegressor(hidden_layer_sizes=6, activation="identity", solver="sgd", random_state=0)
    model.partial_fit(X, y).partial_fit(X, y)
    before = [coef.copy() for coef in model.coefs_]
    with pytest.raises(ValueError, match="Training diverged in epoch 1"):
        model.partial_fit(X, y * 1e300)
    for ours, theirs in zip(model.coefs_, before, strict=True):
        assert_array_equal(ours, theirs)
    model.partial_fit(X, y)
    assert np.isfinite(model.predict(X)).all()


def test_no_data_are_kept(digits):
    X, y = digits[0][:50].copy(), digits[1][:50].copy()
    model = MLPClassifier(6, random_state=0).partial_fit(X, y, classes=range(10))
    kept = [weakref.ref(X), weakref.ref(y)]
    for _ in range(2):
        model.partial_fit(X, y)
    del X, y
    assert [reference() for reference in kept] == [None, None]


def test_a_pickle_has_no_buffers(digits):
    X, y = digits
    model = MLPClassifier(6, random_state=0).partial_fit(X, y, classes=range(10))
    size = len(pickle.dumps(model))
    for _ in range(3):
        model.partial_fit(X, y)
    # Four floats of the loss curve, of nine bytes each.
    assert len(pickle.dumps(model)) <= size + 100


def test_partial_fit_trains_all_epochs_despite_the_stopping_rule(digits):
    """The caller determines the number of passes. The stopping rule only lowers an adaptive learning rate."""
    X, y = digits
    params = {"hidden_layer_sizes": 6, "shuffle": False, "tol": 1e3, "n_iter_no_change": 1, "random_state": 0}
    for options in ({}, {"solver": "sgd", "learning_rate": "adaptive"}):
        many = MLPClassifier(**params, **options).partial_fit(X, y, classes=range(10), n_epochs=8)
        one = MLPClassifier(**params, **options)
        for _ in range(8):
            one.partial_fit(X, y, classes=range(10))
        assert len(many.loss_curve_) == 8
        assert_same_weights(many, one)


# ---- warm_start, one epoch at a time

EPOCH_OPTIONS = {
    "adam": ADAM,
    "sgd": SGD,
    "momentum": {**SGD, "nesterovs_momentum": False},
    "adaptive": {**SGD, "learning_rate": "adaptive", "tol": 10.0, "n_iter_no_change": 1},
    "invscaling": {**SGD, "learning_rate": "invscaling"},
    "dropout": {"dropout": 0.2},
    "batch norm": {"batch_norm": True},
    "rows in order": {"shuffle": False},
    "full batch": {"batch_size": 300},
    "clipping": {"max_grad_norm": 0.1, "weight_decay": 0.1},
    "average": {"average": 0.9, "batch_norm": True},
}


@pytest.mark.parametrize("option", EPOCH_OPTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_loop_of_epochs_equals_one_fit(dtype, option, digits):
    X, y = digits
    params = {"hidden_layer_sizes": (8, 5), "batch_size": 64, "random_state": 0, **EPOCH_OPTIONS[option]}
    whole = MLPClassifier(**params, max_iter=6).fit(X.astype(dtype), y)
    loop = MLPClassifier(**params, max_iter=1, warm_start=True)
    for _ in range(6):
        loop.fit(X.astype(dtype), y)
    assert_same_weights(loop, whole)
    assert_array_equal(loop._stats, whole._stats)
    assert (loop.loss_curve_, loop.t_, loop.best_epoch_) == (whole.loss_curve_, whole.t_, whole.best_epoch_)
    assert loop.n_iter_ == 1


@pytest.mark.parametrize("generator", [np.random.MT19937, np.random.PCG64])
def test_a_loop_with_a_generator_of_the_user(generator, digits):
    X, y = digits
    whole, loop = (
        MLPClassifier(8, batch_size=64, random_state=np.random.RandomState(generator(1)), **options)
        for options in ({"max_iter": 4}, {"max_iter": 1, "warm_start": True})
    )
    whole.fit(X, y)
    for _ in range(4):
        loop.fit(X, y)
    assert_same_weights(loop, whole)
    assert_array_equal(loop.random_state.randint(1 << 30, size=700), whole.random_state.randint(1 << 30, size=700))


@pytest.mark.parametrize("tied", [False, True])
def test_a_loop_of_an_autoencoder(tied, digits):
    params = {"hidden_layer_sizes": (8,), "tied_weights": tied, "batch_size": 64, "random_state": 0}
    whole = MLPAutoencoder(**params, max_iter=4).fit(digits[0])
    loop = MLPAutoencoder(**params, max_iter=1, warm_start=True)
    for _ in range(4):
        loop.fit(digits[0])
    assert_same_weights(loop, whole)


def test_validation_data_do_not_interrupt_a_loop(digits):
    X, y = digits
    params = {"hidden_layer_sizes": 8, "random_state": 0}
    whole = MLPClassifier(**params, max_iter=5).fit(X[:200], y[:200], X_val=X[200:], y_val=y[200:])
    loop = MLPClassifier(**params, max_iter=1, warm_start=True)
    for _ in range(5):
        loop.fit(X[:200], y[:200], X_val=X[200:], y_val=y[200:])
    assert_same_weights(loop, whole)
    assert loop.validation_scores_ == whole.validation_scores_


def test_a_loop_continues_after_pickling(digits):
    X, y = digits
    params = {"hidden_layer_sizes": 8, "batch_size": 64, "random_state": 0}
    whole = MLPClassifier(**params, max_iter=4).fit(X, y)
    loop = MLPClassifier(**params, max_iter=1, warm_start=True)
    for _ in range(4):
        loop = pickle.loads(pickle.dumps(loop.fit(X, y)))
    assert_same_weights(loop, whole)


def test_a_loop_over_other_rows(digits):
    """Another number of rows begins with its own order; optimizer and generator continue."""
    X, y = digits
    y = y % 2
    loop = MLPClassifier(8, batch_size=64, shuffle=False, max_iter=1, warm_start=True, random_state=0)
    passes = MLPClassifier(8, batch_size=64, shuffle=False, random_state=0)
    for stop in (300, 200, 300):
        loop.fit(X[:stop], y[:stop])
        passes.partial_fit(X[:stop], y[:stop], classes=[0, 1])
    assert_same_weights(loop, passes)


def as_in_scikit_learn(model, X, y):
    """A fit with a new optimizer and generator."""
    model.__dict__.pop("_last_epoch", None)
    return model.fit(X, y)


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate_init": 0.01},
        {"beta_1": 0.5},
        {"solver": "sgd"},
        {"random_state": 1},
        {"max_iter": 2},
        {"early_stopping": True},
        {"restore_best_weights": True},
        {"learning_rate": "cosine"},
        {"dropout_schedule": "linear"},
        {"warm_start": False},
    ],
    ids=str,
)
def test_other_fits_begin_with_a_new_optimizer(change, digits):
    X, y = digits
    models = [MLPClassifier(8, batch_size=64, max_iter=1, warm_start=True, random_state=0) for _ in range(2)]
    for model in models:
        model.fit(X, y).fit(X, y).set_params(**change)
    models[0].fit(X, y)
    as_in_scikit_learn(models[1], X, y)
    assert_same_training(*models)


def test_a_loop_does_not_continue_an_ordinary_fit(digits):
    """The first epoch after an ordinary fit begins with a new optimizer, as in scikit-learn."""
    X, y = digits
    models = [MLPClassifier(8, batch_size=64, max_iter=3, random_state=0) for _ in range(2)]
    for model in models:
        model.fit(X, y).set_params(max_iter=1, warm_start=True)
    models[0].fit(X, y)
    as_in_scikit_learn(models[1], X, y)
    assert_same_training(*models)


def test_clones_begin_anew(digits):
    X, y = digits
    loop = MLPClassifier(8, max_iter=1, warm_start=True, random_state=0).fit(X, y)
    assert_same_weights(clone(loop).fit(X, y), MLPClassifier(8, max_iter=1, random_state=0).fit(X, y))
