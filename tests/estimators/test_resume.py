"""fit(..., resume_from=path) ends like a fit that was not interrupted, or with an error and an unchanged model."""

import functools
import json
import pickle
import re

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.metrics import log_loss, make_scorer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

from fastmlp import MLPAutoencoder, MLPClassifier, MLPRegressor
from fastmlp.callbacks import Checkpoint
from fastmlp.training._checkpoint import read_checkpoint, write_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
MAX_ITER = 6


class Keeping(Checkpoint):
    """Keeps the checkpoint of each epoch, as a file with its number."""

    def __init__(self, folder):
        super().__init__(folder / "0", every=1)

    def after_epoch(self, estimator, progress):
        self.path = self.path.with_name(str(progress.epoch))
        super().after_epoch(estimator, progress)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:250] / 16, y[:250]


def half(u):
    return 1 - u / 2


OPTIONS = {
    "plain": {},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False},
    "nesterov": {"solver": "sgd"},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling"},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 10.0, "n_iter_no_change": 1},
    "cosine": {"learning_rate": "cosine", "warmup": 0.2},
    "callable": {"learning_rate": half, "weight_decay": 0.1, "weight_decay_schedule": "linear"},
    "dropout": {"dropout": [0.1, 0.3], "dropout_schedule": "linear"},
    "batch norm": {"batch_norm": True},
    "clipping": {"max_grad_norm": 0.1, "learning_rate_multipliers": [1, (0.5, 2)]},
    "rows in order": {"shuffle": False},
    "full batch": {"batch_size": 250, "solver": "sgd"},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 1, "learning_rate_init": 0.05, "tol": 1.0},
    "best weights": {"restore_best_weights": True, "solver": "sgd", "learning_rate_init": 1.5},
    "stopped by the loss": {"tol": 10.0, "n_iter_no_change": 2},
    "average": {"average": 0.9, "batch_norm": True},
    "average with early stopping": {"average": True, "early_stopping": True, "n_iter_no_change": 20},
    "maxout": {"activation": "maxout", "hidden_layer_sizes": (6, 4)},
}


def assert_same_fit(ours, theirs):
    for name in ("coefs_", "intercepts_", *(["gammas_", "betas_"] if theirs.batch_norm else [])):
        for a, b in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            assert_array_equal(a, b)
            assert a.dtype == b.dtype
    assert_array_equal(ours._stats, theirs._stats)
    public = {name for name, value in vars(theirs).items() if name.endswith("_") and not isinstance(value, list)}
    assert public <= set(vars(ours))
    for name in public | {"loss_curve_", "validation_scores_", "validation_loss_curve_"}:
        assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)
    (mine, of_mine), (other, of_other) = ours._state.unpacked(), theirs._state.unpacked()
    # It is noted only if epochs are trained one by one, and found in the loss curve otherwise.
    assert {**mine, "best_epoch": None} == {**other, "best_epoch": None}
    for name, array in of_other.items():
        if name != "record":
            assert_array_equal(of_mine[name], array, err_msg=name)
    for name in set(of_other["record"].dtype.names) - {"epoch", "passes"}:  # which count within a call of a kernel
        assert_array_equal(of_mine["record"][name], of_other["record"][name], err_msg=name)


def check_every_epoch(model, tmp_path, X, *args, random_state=0, **fit_params):
    """Resume from the checkpoint of every epoch; all fits must end like the one that was not interrupted."""
    random = random_state if isinstance(random_state, int) else random_state()
    plain = clone(model).set_params(random_state=random).fit(X, *args, **fit_params)
    drawn = None if isinstance(random, int) else random.randint(1 << 30, size=700)
    random = random_state if isinstance(random_state, int) else random_state()
    expected = clone(model).set_params(random_state=random).set_callbacks(Keeping(tmp_path))
    expected.fit(X, *args, **fit_params)
    assert_same_fit(expected, plain)
    files = sorted(tmp_path.iterdir(), key=lambda path: int(path.name))
    assert len(files) == plain.n_iter_
    for path in files:
        # A generator of the user is taken to where it was at the checkpoint.
        random = random_state if isinstance(random_state, int) else random_state()
        resumed = clone(model).set_params(random_state=random).fit(X, *args, resume_from=path, **fit_params)
        assert_same_fit(resumed, plain)
        if drawn is not None:
            assert_array_equal(random.randint(1 << 30, size=700), drawn)
    return plain


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_classifier(dtype, option, digits, tmp_path):
    X, y = digits
    params = {"hidden_layer_sizes": 7, "batch_size": 60, "max_iter": MAX_ITER, **OPTIONS[option]}
    model = check_every_epoch(MLPClassifier(**params), tmp_path, X.astype(dtype), y)
    assert (model.n_iter_ < MAX_ITER) == (option in ("early stopping", "stopped by the loss"))


@pytest.mark.parametrize("generator", [np.random.MT19937, np.random.PCG64, np.random.Philox])
@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"dropout": 0.2}, {"batch_size": 500}], ids=str)
@pytest.mark.filterwarnings("ignore:Got `batch_size` less than 1 or larger")
def test_a_generator_of_the_user(options, generator, digits, tmp_path):
    model = MLPClassifier(5, max_iter=3, **options)
    check_every_epoch(model, tmp_path, *digits, random_state=lambda: np.random.RandomState(generator(7)))


def test_the_global_generator(digits, tmp_path):
    """Another process draws other numbers; the fit ends the same, and the generator of this process does not move."""
    X, y = digits
    before = np.random.get_state()  # noqa: NPY002 -- what random_state=None uses
    try:
        np.random.seed(3)  # noqa: NPY002
        params = {"hidden_layer_sizes": 5, "max_iter": MAX_ITER, "early_stopping": True}
        expected = MLPClassifier(**params).set_callbacks(Keeping(tmp_path)).fit(X, y)
        np.random.seed(4)  # noqa: NPY002
        state = np.random.get_state()  # noqa: NPY002
        resumed = MLPClassifier(**params).fit(X, y, resume_from=tmp_path / "2")
        np.testing.assert_equal(np.random.get_state(), state)  # noqa: NPY002
    finally:
        np.random.set_state(before)  # noqa: NPY002
    assert_same_fit(resumed, expected)


@pytest.mark.parametrize("container", [scipy.sparse.csr_array, scipy.sparse.csc_array, np.asfortranarray])
def test_containers(container, digits, tmp_path):
    X, y = digits
    check_every_epoch(MLPClassifier(5, max_iter=3, batch_size=60), tmp_path, container(X), y)


def test_sample_weights_and_validation_data(digits, tmp_path, rng):
    X, y = digits
    weight = rng.uniform(0.5, 2, size=len(y))
    scorer = make_scorer(log_loss, response_method="predict_proba", greater_is_better=False, labels=range(10))
    model = MLPClassifier(5, max_iter=5, early_stopping=True, scoring=scorer, learning_rate_init=0.05)
    validation = {"X_val": X[200:], "y_val": y[200:], "sample_weight_val": weight[200:]}
    check_every_epoch(model, tmp_path, X[:200], y[:200], sample_weight=weight[:200], **validation)


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_regressor(loss, tmp_path):
    X, y = load_diabetes(return_X_y=True)
    model = MLPRegressor(loss, 5, max_iter=4)
    check_every_epoch(model, tmp_path, scale(X), np.column_stack([y, y[::-1]]) / 100)


def test_labels_that_are_strings(tmp_path):
    X, y = load_breast_cancer(return_X_y=True)
    check_every_epoch(MLPClassifier(5, max_iter=3), tmp_path, scale(X), np.array(["no", "yes"])[y])


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("tied", [False, True])
def test_autoencoder(tied, solver, digits, tmp_path):
    model = MLPAutoencoder((5,), tied_weights=tied, solver=solver, max_iter=4, batch_size=60)
    check_every_epoch(model, tmp_path, digits[0])


@pytest.mark.parametrize("n_jobs", [(1, 2), (2, 1)])
def test_any_number_of_threads(n_jobs, digits, tmp_path):
    X, y = digits
    params = {"hidden_layer_sizes": 300, "max_iter": 3, "random_state": 0}
    expected = MLPClassifier(**params, n_jobs=n_jobs[0]).set_callbacks(Keeping(tmp_path)).fit(X, y)
    resumed = MLPClassifier(**params, n_jobs=n_jobs[1], verbose=False, warm_start=True)
    assert_same_fit(resumed.fit(X, y, resume_from=str(tmp_path / "1")), expected)


def test_an_interrupted_warm_start_can_be_resumed(digits, tmp_path):
    """The earlier weights are in the checkpoint, so a new estimator can continue it, and so can one that is fitted."""
    X, y = digits
    model = MLPClassifier(5, max_iter=4, early_stopping=True, warm_start=True, random_state=0)
    first = clone(model).fit(X, y)
    expected = pickle.loads(pickle.dumps(first)).set_callbacks(Keeping(tmp_path)).fit(X, y)
    for start in (clone(model), pickle.loads(pickle.dumps(first)), expected.set_callbacks()):
        assert_same_fit(start.fit(X, y, resume_from=tmp_path / "2"), expected)


def test_training_can_be_interrupted_more_than_once(digits, tmp_path):
    X, y = digits
    params = {"hidden_layer_sizes": 5, "max_iter": MAX_ITER, "early_stopping": True, "random_state": 0}
    expected = MLPClassifier(**params).set_callbacks(Keeping(tmp_path)).fit(X, y)
    for epoch in (2, 3, 4):
        (tmp_path / str(epoch + 1)).unlink()
        resumed = MLPClassifier(**params).set_callbacks(Keeping(tmp_path))
        assert_same_fit(resumed.fit(X, y, resume_from=tmp_path / str(epoch)), expected)


def test_partial_fit_continues_a_fit_that_was_resumed(digits, tmp_path):
    X, y = digits
    params = {"hidden_layer_sizes": 5, "max_iter": 3, "random_state": 0}
    expected = MLPClassifier(**params).set_callbacks(Keeping(tmp_path)).fit(X, y)
    resumed = MLPClassifier(**params).fit(X, y, resume_from=tmp_path / "2")
    assert_same_fit(resumed.partial_fit(X, y), expected.partial_fit(X, y))


def test_pipeline(digits, tmp_path):
    X, y = digits
    network = MLPClassifier(5, max_iter=4, random_state=0)
    expected = make_pipeline(StandardScaler(), clone(network).set_callbacks(Keeping(tmp_path))).fit(X, y)
    resumed = make_pipeline(StandardScaler(), network).fit(X, y, mlpclassifier__resume_from=tmp_path / "2")
    assert_same_fit(resumed[-1], expected[-1])


# ---- What is refused


@pytest.fixture
def written(digits, tmp_path):
    """An estimator and a checkpoint of its fit after the second of six epochs."""
    model = MLPClassifier(7, max_iter=MAX_ITER, random_state=0)
    clone(model).set_callbacks(Keeping(tmp_path)).fit(*digits)
    return model, tmp_path / "2"


def refused(model, fitted_X, fitted_y, path, error=ValueError, **fit_params):
    """Return the text of the error of a fit that is resumed; the fitted model must stay as it was."""
    model = clone(model).fit(fitted_X, fitted_y)
    before = {name: pickle.dumps(value) for name, value in vars(model).items() if name != "_packed"}
    with pytest.raises(error) as caught:
        model.fit(**{"X": fitted_X, "y": fitted_y, **fit_params}, resume_from=path)
    assert {name: pickle.dumps(value) for name, value in vars(model).items() if name != "_packed"} == before
    model.predict(fitted_X)
    text = str(caught.value)
    assert text.count("\n") == 0
    return text


CHANGES = {
    "alpha": 0.5,
    "activation": "tanh",
    "hidden_layer_sizes": (7, 7),
    "solver": "sgd",
    "max_iter": 9,
    "random_state": 1,
    "early_stopping": True,
    "dropout": 0.1,
    "batch_norm": True,
    "learning_rate": half,
    "scoring": "accuracy",
}


@pytest.mark.parametrize("name", CHANGES)
def test_other_parameters_are_refused(name, written, digits):
    model, path = written
    text = refused(model.set_params(**{name: CHANGES[name]}), *digits, path)
    assert f"was written with {name}=" in text
    assert f"but this fit has {name}=" in text


def decayed(fraction, power):
    return (1 - fraction) ** power


class Decay:
    """A schedule without `__repr__`."""

    def __init__(self, power):
        self.power = power

    def __call__(self, fraction):
        return decayed(fraction, self.power)


@pytest.mark.parametrize("schedule", [lambda power: functools.partial(decayed, power=power), Decay])
def test_equal_schedules_are_the_same_schedule(schedule, digits, tmp_path):
    """Another process has equal objects at other addresses."""
    path = tmp_path / "file"
    whole = MLPClassifier(5, learning_rate=schedule(2), max_iter=5, random_state=0)
    whole.set_callbacks(Checkpoint(path, every=2)).fit(*digits)
    again = MLPClassifier(5, learning_rate=schedule(2), max_iter=5, random_state=0).fit(*digits, resume_from=path)
    assert_array_equal(again.coefs_[0], whole.coefs_[0])
    with pytest.raises(ValueError, match="was written with learning_rate="):
        MLPClassifier(5, learning_rate=schedule(3), max_iter=5, random_state=0).fit(*digits, resume_from=path)


def test_a_generator_instead_of_a_seed_is_refused(written, digits):
    model, path = written
    text = refused(model.set_params(random_state=np.random.RandomState(0)), *digits, path)
    assert "was written with random_state=0, but this fit has random_state='RandomState(MT19937)'" in text


def test_a_generator_does_not_move_if_a_checkpoint_is_refused(digits, tmp_path):
    X, y = digits
    model = MLPClassifier(5, max_iter=3, random_state=np.random.RandomState(0)).set_callbacks(Keeping(tmp_path))
    model.fit(X, y)
    state = model.random_state.get_state()
    with pytest.raises(ValueError, match="other data"):
        model.fit(X + 1, y, resume_from=tmp_path / "2")
    np.testing.assert_equal(model.random_state.get_state(), state)


def test_another_network_is_refused(written, digits):
    model, path = written
    X, y = digits
    assert "holds a network with units=[64, 7, 10], but this fit has units=[63, 7, 10]" in refused(
        model, X, y, path, X=X[:, 1:]
    )
    assert "holds a network with units=[64, 7, 10], but this fit has units=[64, 7, 1]" in refused(
        model, X, y, path, y=y > 4
    )


def test_another_estimator_is_refused(written, digits):
    _, path = written
    text = refused(MLPRegressor(hidden_layer_sizes=7, max_iter=2), *digits, path)
    assert "was written by MLPClassifier, and this is MLPRegressor" in text


def test_another_dtype_is_refused(written, digits):
    model, path = written
    X, y = digits
    assert "was trained in float64, this fit is in float32" in refused(model, X, y, path, X=X.astype(np.float32))


def changed(array, value=None):
    array = array.copy()
    array.flat[-1] = np.nextafter(array.flat[-1], 1) if value is None else value
    return array


@pytest.mark.parametrize("change", ["X", "y", "order", "rows", "weights", "labels"])
def test_other_data_are_refused(change, written, digits):
    model, path = written
    X, y = digits
    others = {
        "X": {"X": changed(X)},
        "y": {"y": changed(y, (y[-1] + 1) % 10)},
        "order": {"X": X[::-1], "y": y[::-1]},
        "rows": {"X": X[:-1], "y": y[:-1]},
        "weights": {"sample_weight": np.ones(len(y))},
        "labels": {"y": y + 1},
    }
    text = refused(model, X, y, path, **others[change])
    assert "was written for other data: X, y, sample_weight or the validation data have changed" in text


@pytest.mark.parametrize("change", ["X_val", "y_val", "sample_weight_val", "none"])
def test_other_validation_data_are_refused(change, digits, tmp_path):
    X, y = digits
    validation = {"X_val": X[:50], "y_val": y[:50], "sample_weight_val": np.ones(50)}
    model = MLPClassifier(5, max_iter=3, random_state=0)
    clone(model).set_callbacks(Keeping(tmp_path)).fit(X, y, **validation)
    others = {
        "X_val": {**validation, "X_val": changed(X[:50])},
        "y_val": {**validation, "y_val": changed(y[:50], (y[49] + 1) % 10)},
        "sample_weight_val": {**validation, "sample_weight_val": np.full(50, 2.0)},
        "none": {},
    }
    assert "other data" in refused(model, X, y, tmp_path / "2", **others[change])
    assert_same_fit(
        clone(model).fit(X, y, resume_from=tmp_path / "2", **validation), clone(model).fit(X, y, **validation)
    )


def rewrite(path, change):
    """Write a checkpoint with a changed header or changed arrays, with right checksums."""
    snapshot = read_checkpoint(path)
    header, arrays = json.loads(json.dumps(snapshot.header)), dict(snapshot.arrays)
    change(header, arrays)
    write_checkpoint(path, snapshot._replace(header=header, arrays=arrays))


REWRITTEN = {
    "format": (
        lambda header, arrays: header.update(format=2),
        "has the format 2; this version of fastmlp reads the format 1 only",
    ),
    "no format": (lambda header, arrays: header.clear(), "has the format None"),
    "version": (
        lambda header, arrays: header.update(fastmlp="9.9.9"),
        r"was written by fastmlp 9\.9\.9; fastmlp .* cannot continue",
    ),
    "weights": (lambda header, arrays: arrays.update(w=arrays["w"][1:]), "holds w of shape"),
    "dtype of the weights": (lambda header, arrays: arrays.update(w=arrays["w"].astype("f4")), "dtype float32"),
    "state": (lambda header, arrays: arrays.pop("state_m"), "does not hold what this training needs"),
    "numbers": (lambda header, arrays: header.pop("state"), "does not hold what this training needs"),
    "best": (lambda header, arrays: header.pop("best"), "does not hold what this training needs"),
    "more": (lambda header, arrays: arrays.update(more=np.ones(3)), "does not hold what this training needs"),
    "row numbers": (
        lambda header, arrays: arrays.update(row_order=arrays["row_order"] + np.int32(1)),
        "an order of rows that is not a permutation",
    ),
    "row twice": (
        lambda header, arrays: arrays.update(row_order=np.zeros_like(arrays["row_order"])),
        "an order of rows that is not a permutation",
    ),
    "generator": (lambda header, arrays: header.pop("generator"), "no valid state of the random generator"),
    "kind of generator": (
        lambda header, arrays: header["generator"].update(bit_generator="os"),
        "no valid state of the random generator",
    ),
    "place in the generator": (
        lambda header, arrays: header["generator"]["state"].update(pos=10**6),
        "no valid state of the random generator",
    ),
    "earlier generator": (
        lambda header, arrays: header.pop("generator_before_split"),
        "no valid state of the random generator",
    ),
}


@pytest.mark.parametrize("name", REWRITTEN)
def test_a_file_with_other_contents_is_refused(name, written, digits):
    model, path = written
    change, message = REWRITTEN[name]
    rewrite(path, change)
    text = refused(model, *digits, path)
    assert re.search(message, text)


def test_every_damage_is_refused(written, digits, rng):
    """Cut off anywhere, or with one byte changed anywhere in what is read."""
    model, path = written
    data = path.read_bytes()
    for length in [0, 1, 30, *rng.integers(0, len(data), 40).tolist(), len(data) - 1]:
        path.write_bytes(data[:length])
        assert "is damaged or not a checkpoint of fastmlp" in refused(model, *digits, path)
    path.write_bytes(data)
    intact = read_checkpoint(path)
    for place in rng.integers(0, len(data), 200).tolist():
        wrong = bytearray(data)
        wrong[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(wrong)
        try:
            snapshot = read_checkpoint(path)
        except ValueError as error:
            assert "is damaged or not a checkpoint of fastmlp" in str(error)  # noqa: PT017 -- it may also be intact
        else:
            # A byte that says nothing, such as the date of a member.
            assert snapshot.header == intact.header
            assert {name: array.tobytes() for name, array in snapshot.arrays.items()} == {
                name: array.tobytes() for name, array in intact.arrays.items()
            }


@pytest.mark.parametrize("contents", [b"", b"text", b"PK\x03\x04", pickle.dumps({"w": 1}), b"\x93NUMPY"], ids=str)
def test_another_file_is_refused(contents, written, digits):
    model, path = written
    path.write_bytes(contents)
    assert "is damaged or not a checkpoint of fastmlp" in refused(model, *digits, path)


def test_no_pickle_is_loaded(written, digits, tmp_path):
    """An array of objects would run code when it is read."""
    model, path = written

    class Harmful:
        def __reduce__(self):
            return (tmp_path / "harm").touch, ()

    with open(path, "wb") as file:
        np.savez(file, header=np.frombuffer(b"{}", np.uint8), w=np.array([Harmful()], dtype=object))
    assert "is damaged or not a checkpoint of fastmlp" in refused(model, *digits, path)
    assert not (tmp_path / "harm").exists()


def test_arrays_of_other_kinds_are_refused(written, digits):
    model, path = written
    rewrite(path, lambda header, arrays: arrays.update(w=np.array(["text"])))
    assert "is damaged or not a checkpoint of fastmlp: it has other contents" in refused(model, *digits, path)


def test_missing_files_and_wrong_types(written, digits, tmp_path):
    model, path = written
    text = refused(model, *digits, tmp_path / "missing", FileNotFoundError)
    assert text == f"resume_from={str(tmp_path / 'missing')!r}: there is no such file."
    refused(model, *digits, tmp_path, OSError)
    for wrong in (3, True, b"file", [path], np.nan):
        assert "resume_from must be None, a str or a path, got" in refused(model, *digits, wrong, TypeError)


def test_lbfgs_cannot_be_resumed(written, digits):
    model, path = written
    text = refused(model.set_params(solver="lbfgs"), *digits, path)
    assert text == "resume_from needs solver='sgd' or solver='adam', got 'lbfgs'."
