"""Networks trained on partitions have the weights of the local estimators, for any workers and partitions."""

import os
import pickle
import signal
from contextlib import redirect_stdout
from io import StringIO

import dask.array as da
import dask.dataframe as dd
import distributed
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits
from sklearn.preprocessing import scale
from sklearn.utils._param_validation import InvalidParameterError

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.distributed import DaskMLPClassifier, DaskMLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SETTINGS = {"hidden_layer_sizes": 12, "max_iter": 3, "batch_size": 150, "learning_rate_init": 0.01, "random_state": 0}
CLASSES = {"c": (MLPClassifier, DaskMLPClassifier), "r": (MLPRegressor, DaskMLPRegressor)}


def digits(dtype=np.float64, rows=400):
    X, y = load_digits(return_X_y=True)
    return (X[:rows] / 16).astype(dtype), y[:rows]


def diabetes(dtype=np.float64, rows=400):
    X, y = load_diabetes(return_X_y=True)
    return scale(X[:rows]).astype(dtype), scale(y[:rows])


def collections(X, y, chunks):
    return da.from_array(X, chunks=(chunks, -1)), da.from_array(y, chunks=chunks)


def weights(model):
    return [*model.coefs_, *model.intercepts_]


def assert_same_weights(first, second):
    for a, b in zip(weights(first), weights(second), strict=True):
        assert_array_equal(a, b)


def assert_close_weights(first, second, steps):
    """Up to rounding: a few last bits for each step, which the network may pass on enlarged."""
    for a, b in zip(weights(first), weights(second), strict=True):
        eps = np.finfo(a.dtype).eps
        assert_allclose(a, b, rtol=0, atol=20 * steps * eps * np.abs(b).max())


@pytest.fixture(scope="module")
def threads():
    """A cluster in this process, with as many threads as no other test has."""
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=3, processes=False, dashboard_address=":0") as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("kind", ["c", "r"])
def test_one_partition_gives_the_weights_of_the_local_estimator(kind, solver, dtype, threads):
    """To the last bit without a penalty; the penalty's rounding differs by one operation."""
    X, y = digits(dtype) if kind == "c" else diabetes(dtype)
    Local, Dask = CLASSES[kind]
    for alpha in (0.0, 0.01):
        local = Local(**SETTINGS, solver=solver, alpha=alpha).fit(X, y)
        model = Dask(**SETTINGS, solver=solver, alpha=alpha).fit(*collections(X, y, -1), client=threads)
        if alpha == 0:
            assert_same_weights(model, local)
            assert model.loss_ == local.loss_
        assert_close_weights(model, local, 9)
        assert model.loss_ == pytest.approx(local.loss_, rel=100 * float(np.finfo(dtype).eps))
        assert model.n_iter_ == local.n_iter_
        assert weights(model)[0].dtype == weights(local)[0].dtype


OPTIONS = [
    ("c", {"solver": "sgd", "nesterovs_momentum": False, "activation": "tanh"}),
    ("c", {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.3}),
    ("c", {"solver": "sgd", "learning_rate": "adaptive", "tol": 10.0, "n_iter_no_change": 1, "max_iter": 6}),
    ("c", {"tol": 10.0, "n_iter_no_change": 2, "max_iter": 20}),
    ("c", {"shuffle": False, "penalty_scaling": "sum", "alpha": 0.01}),
    ("c", {"batch_size": 1000, "random_state": np.random.RandomState(3)}),
    ("c", {"out_activation": "logistic", "loss": "squared_error", "activation": "maxout"}),
    ("c", {"hidden_layer_sizes": (64, 64), "residual": True, "init": "he", "activation": ["gelu", "relu"]}),
    ("r", {"solver": "lbfgs", "hidden_layer_sizes": ()}),
    ("r", {"random_state": np.random.RandomState(3)}),
    ("r", {"loss": "huber", "huber_delta": 0.3}),
    ("r", {"loss": "quantile", "quantile": 0.8}),
    ("r", {"loss": "cauchy", "solver": "lbfgs"}),
    ("c", {"loss": "focal", "focal_gamma": 1.5, "label_smoothing": 0.1}),
]


@pytest.mark.filterwarnings("ignore:Got `batch_size` less than 1 or larger")
@pytest.mark.parametrize(("kind", "options"), OPTIONS)
def test_partitions_change_nothing_but_rounding(kind, options, threads):
    X, y = digits() if kind == "c" else diabetes()
    local, dask = (Class(**{**SETTINGS, **options}) for Class in CLASSES[kind])
    local = clone(local).fit(X, y)
    model = clone(dask).fit(*collections(X, y, (90, 10, 300)), client=threads)
    assert_close_weights(model, local, 3 * local.n_iter_ * 3)
    assert model.n_iter_ == local.n_iter_
    assert model.loss_ == pytest.approx(local.loss_, rel=1e-12)
    if model.solver != "lbfgs":
        assert_allclose(model.loss_curve_, local.loss_curve_, rtol=1e-12)
        assert model.t_ == local.t_


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_weights_depend_on_neither_workers_nor_their_speed(solver, client, threads):
    X, y = digits()
    data = collections(X, y, 100)
    model = DaskMLPClassifier(**SETTINGS, solver=solver)
    first = clone(model).fit(*data, client=client)  # two processes
    assert_same_weights(first, clone(model).fit(*data, client=threads))
    assert_same_weights(first, clone(model).fit(*data))  # the default client, the one made last


@pytest.mark.parametrize("params", [{"loss": "gamma"}, {"loss": "tweedie", "power": 1.2}], ids=str)
def test_losses_of_positive_targets(params, threads):
    X, y = diabetes()
    y = y - y.min() + 1
    local = MLPRegressor(**SETTINGS, **params).fit(X, y)
    model = DaskMLPRegressor(**SETTINGS, **params).fit(*collections(X, y, 90), client=threads)
    assert_close_weights(model, local, 9)
    assert model.loss_ == pytest.approx(local.loss_, rel=1e-12)
    y[200] = -0.5
    with pytest.raises(ValueError, match=r"Partition 2: loss='(gamma|tweedie)'.* needs y >=? 0, got -0.5"):
        model.fit(*collections(X, y, 90), client=threads)


@pytest.mark.parametrize("quantile", [[0.1, 0.9], np.array([0.1, 0.9]), (0.5,)], ids=str)
def test_several_quantiles_are_refused(quantile, threads):
    model = DaskMLPRegressor(loss="quantile", quantile=quantile)
    with pytest.raises(ValueError, match="DaskMLPRegressor does not support several quantiles, got quantile="):
        model.fit(*collections(*diabetes(), 200), client=threads)


def test_sample_weights(threads, rng):
    X, y = digits()
    sample_weight = rng.uniform(0, 2, len(y))
    sample_weight[:160] = 0  # some partitions have a mini-batch without weight, one has no weight at all
    data = collections(X, y, 80)
    local = MLPClassifier(**SETTINGS, shuffle=False).fit(X, y, sample_weight)
    model = DaskMLPClassifier(**SETTINGS, shuffle=False)
    model.fit(*data, sample_weight=da.from_array(sample_weight, chunks=80), client=threads)
    assert_close_weights(model, local, 9)


@pytest.mark.parametrize("kind", ["binary", "multilabel", "outputs", "strings"])
def test_kinds_of_targets(kind, threads):
    X, y = digits()
    targets = {
        "binary": y % 2,
        "multilabel": np.column_stack([y % 2, y > 4, y == 3]).astype(int),
        "outputs": X[:, 10:13] - 0.5,
        "strings": np.array(["null", "eins", "zwei"])[y % 3],
    }
    y = targets[kind]
    Local, Dask = CLASSES["r" if kind == "outputs" else "c"]
    local = Local(**SETTINGS).fit(X, y)
    data = da.from_array(X, chunks=(100, -1)), da.from_array(y, chunks=(100, *(-1,) * (y.ndim - 1)))
    model = Dask(**SETTINGS).fit(*data, client=threads)
    assert_close_weights(model, local, 9)
    assert model.n_outputs_ == local.n_outputs_
    assert model.out_activation_ == local.out_activation_
    predicted = model.predict(data[0])
    assert isinstance(predicted, da.Array)
    assert predicted.chunks[0] == (100,) * 4
    computed = predicted.compute(scheduler="threads")
    assert_array_equal(computed, model.predict(X))
    assert computed.shape == y.shape
    if kind == "outputs":
        assert_allclose(computed, local.predict(X), atol=1e-12)
    else:
        assert_array_equal(computed, local.predict(X))
        assert_array_equal(model.classes_, local.classes_)
        proba = model.predict_proba(data[0])
        assert proba.shape == local.predict_proba(X).shape
        assert_array_equal(proba.compute(scheduler="threads"), model.predict_proba(X))
        assert_array_equal(model.predict_log_proba(data[0]).compute(scheduler="threads"), model.predict_log_proba(X))


def test_data_frames(client):
    X, y = digits()
    frame = pd.DataFrame(X).add_prefix("pixel").assign(digit=y, weight=1.0 + y)
    frame.index = frame.index * 3 + 1
    data = dd.from_pandas(frame, npartitions=3)
    features = [name for name in frame if name.startswith("pixel")]
    model = DaskMLPClassifier(**SETTINGS).fit(data[features], data["digit"], data["weight"])
    local = MLPClassifier(**SETTINGS).fit(frame[features], frame["digit"], frame["weight"])
    assert_close_weights(model, local, 9)
    assert_array_equal(model.feature_names_in_, features)
    predicted = model.predict(data[features])
    assert isinstance(predicted, dd.Series)
    pd.testing.assert_series_equal(predicted.compute(), pd.Series(local.predict(frame[features]), frame.index))
    proba = model.predict_proba(data[features]).compute()
    expected = pd.DataFrame(model.predict_proba(frame[features]), frame.index, model.classes_)
    pd.testing.assert_frame_equal(proba, expected)
    assert model.score(data[features], data["digit"]) == model.score(frame[features], frame["digit"])
    # Without divisions the lengths of the partitions are compared on the workers.
    unknown = data.clear_divisions()
    assert_same_weights(
        DaskMLPClassifier(**SETTINGS).fit(unknown[features], unknown["digit"], unknown["weight"]), model
    )
    # An array of a frame has chunks of unknown lengths.
    array = data[features].to_dask_array(), data["digit"].to_dask_array()
    assert_same_weights(DaskMLPClassifier(**SETTINGS).fit(*array, data["weight"]), model)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["c", "r"])
def test_scores_are_those_of_local_data(kind, weighted, client, rng):
    X, y = digits() if kind == "c" else diabetes()
    model = CLASSES[kind][1](**SETTINGS).fit(*collections(X, y, 200))
    sample_weight = rng.uniform(0, 1, len(y)) if weighted else None
    lazy = da.from_array(sample_weight, chunks=130) if weighted else None
    score = model.score(*collections(X, y, 130), sample_weight=lazy)
    assert score == pytest.approx(model.score(X, y, sample_weight), rel=1e-12)


@pytest.mark.parametrize("value", [1.0, 0.1])
def test_score_of_a_constant_target_is_that_of_local_data(value, client):
    """The mean of 0.1 over partitions is rounded to another number."""
    X, y = diabetes()
    model = DaskMLPRegressor(**SETTINGS).fit(*collections(X, y, 200))
    constant = np.full(len(y), value)
    assert model.score(*collections(X, constant, 130)) == model.score(X, constant) == 0.0


def test_the_model_also_predicts_local_data(client):
    X, y = digits()
    model = DaskMLPClassifier(**SETTINGS).fit(*collections(X, y, 200))
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert_array_equal(again.predict(list(X)), model.predict(X))
    assert clone(model).get_params() == model.get_params()
    with pytest.raises(AttributeError, match="has no callbacks"):
        DaskMLPClassifier().set_callbacks()
    with pytest.raises(AttributeError, match="warm_start=True"):
        model.partial_fit(X, y)


def test_warm_start_continues_training(threads):
    X, y = digits()
    local, model = MLPClassifier(**SETTINGS, warm_start=True), DaskMLPClassifier(**SETTINGS, warm_start=True)
    for _ in range(2):
        local.fit(X, y)
        model.fit(*collections(X, y, 200), client=threads)
    assert_close_weights(model, local, 18)
    assert_allclose(model.loss_curve_, local.loss_curve_, rtol=1e-12)
    assert len(model.loss_curve_) == 6
    with pytest.raises(ValueError, match="same classes"):
        model.fit(*collections(X, y % 5, 200), client=threads)
    with pytest.raises(ValueError, match="same network"):
        model.set_params(hidden_layer_sizes=7).fit(*collections(X, y, 200), client=threads)
    assert_close_weights(model, local, 18)


class Killer(StringIO):
    """Kills a worker when epoch 2 is reported."""

    def __init__(self, pids):
        super().__init__()
        self.pids, self.killed = pids, False

    def write(self, text):
        if "Iteration 2," in text and not self.killed:
            os.kill(self.pids[0], signal.SIGKILL)
            self.killed = True
        return super().write(text)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system kills in another way")
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_lost_worker_changes_nothing(solver, cluster, client):
    X, y = digits()
    data = collections(X, y, 100)
    model = DaskMLPClassifier(**{**SETTINGS, "max_iter": 6, "batch_size": 400}, solver=solver)
    expected = clone(model).fit(*data, client=client)
    workers = client.run(os.getpid)
    killer = Killer(list(workers.values()))
    with redirect_stdout(killer):
        found = clone(model).set_params(verbose=True).fit(*data, client=client)
    assert killer.killed
    assert found.n_iter_ == 6
    assert_same_weights(found, expected)
    assert found.loss_ == expected.loss_
    client.wait_for_workers(2, timeout=1200)  # the nanny has started another
    assert client.run(os.getpid) != workers


def test_progress_is_printed_and_divergence_reported(threads, capsys):
    X, y = diabetes()
    data = collections(X, y, 200)
    DaskMLPRegressor(**SETTINGS, verbose=True).fit(*data, client=threads)
    assert "Iteration 3, loss = " in capsys.readouterr().out
    model = DaskMLPRegressor(**{**SETTINGS, "learning_rate_init": 1e200}, solver="sgd")
    with pytest.raises(ValueError, match=r"diverged in epoch 1, mini-batch \d"):
        model.fit(*data, client=threads)
    assert all(np.isfinite(a).all() for a in weights(model))
    model = DaskMLPRegressor(**SETTINGS, solver="lbfgs")
    with pytest.raises(ValueError, match="cost of the initial weights is not finite"):
        model.fit(data[0] * 1e200, data[1] * 1e200, client=threads)


def test_ctrl_c_keeps_the_weights_so_far(threads):
    class Interrupter(StringIO):
        def write(self, text):
            if "Iteration 2," in text:
                raise KeyboardInterrupt
            return super().write(text)

    X, y = digits()
    model = DaskMLPClassifier(**SETTINGS, verbose=True)
    with redirect_stdout(Interrupter()), pytest.warns(UserWarning, match="interrupted by user"):
        model.fit(*collections(X, y, 200), client=threads)
    two = MLPClassifier(**{**SETTINGS, "max_iter": 2}).fit(X, y)
    assert_close_weights(model, two, 6)
    assert model.n_iter_ == 2


def bad_inputs():
    X, y = digits(rows=60)
    good = collections(X, y, 30)
    frame = pd.DataFrame(X).add_prefix("x").assign(y=y)
    lengths = dd.from_pandas(frame, npartitions=2).clear_divisions()
    other = dd.from_pandas(frame.iloc[:50], npartitions=2).clear_divisions()
    empty = good[0][da.from_array(np.arange(60) < 30, chunks=30)], good[1][da.from_array(np.arange(60) < 30, chunks=30)]
    nan = X.copy()
    nan[45, 3] = np.nan
    features = [name for name in frame if name != "y"]
    return {
        "no collection": ((X, y), {}, TypeError, "X must be a Dask array, data frame or series, got ndarray"),
        "local y": ((good[0], y), {}, TypeError, "y must be a Dask array"),
        "chunked columns": ((good[0].rechunk((30, 16)), good[1]), {}, ValueError, "columns in 4 chunks"),
        "one dimension": ((good[1], good[1]), {}, ValueError, "X must have two dimensions"),
        "partitions": ((good[0], good[1].rechunk(20)), {}, ValueError, "same partitions: X has 2, y has 3"),
        "rows": ((good[0], good[1].rechunk(((20, 40),))), {}, ValueError, r"X has \(30, 30\), y has \(20, 40\)"),
        "unknown rows": (
            (lengths[features], other["y"]),
            {},
            ValueError,
            r"Partition \d has 30 rows in X, 25 in y",
        ),
        "divisions": (
            (dd.from_pandas(frame[features], npartitions=2), dd.from_pandas(frame["y"].iloc[5:], npartitions=2)),
            {},
            ValueError,
            "same divisions",
        ),
        "empty partition": (empty, {}, ValueError, "Partition 1 is empty"),
        "NaN": ((da.from_array(nan, chunks=(30, -1)), good[1]), {}, ValueError, "Partition 1: Input X contains NaN"),
        "continuous labels": ((good[0], good[1] + 0.5), {}, ValueError, r"Partition \d: Unknown label type"),
        "text": (
            (dd.from_pandas(frame[features].assign(x3="text"), npartitions=2), good[1]),
            {},
            ValueError,
            r"Partition \d: could not convert string to float",
        ),
        "negative weights": (
            (*good, da.from_array(np.full(60, -1.0), chunks=30)),
            {},
            ValueError,
            r"Partition \d: Negative values",
        ),
        "no weights": ((*good, da.zeros(60, chunks=30)), {}, ValueError, "positive sum"),
        "early stopping": (good, {"early_stopping": True}, ValueError, "does not support early_stopping=True"),
        "batch norm": (good, {"batch_norm": True}, ValueError, "does not support batch_norm=True"),
        "dropout": (good, {"dropout": 0.5}, ValueError, r"does not support dropout=0\.5; allowed is 0"),
        "schedule": (good, {"learning_rate": "cosine"}, ValueError, "does not support learning_rate='cosine'"),
        "class weights": (
            good,
            {"class_weight": "balanced"},
            ValueError,
            "not support class_weight='balanced'; allowed",
        ),
        "list": (good, {"dropout": np.zeros(2)}, InvalidParameterError, "'dropout' parameter"),
        "parameter": (good, {"alpha": -1.0}, ValueError, "'alpha' parameter"),
        "residual": (good, {"residual": True}, ValueError, "'residual' parameter"),
        "client": (good, {"client": "tcp://"}, TypeError, r"client must be a distributed\.Client"),
    }


@pytest.mark.parametrize("name", bad_inputs())
def test_bad_input_gets_one_clear_error(name, threads):
    arguments, options, error, message = bad_inputs()[name]
    client = options.pop("client", threads)
    X, y = digits()
    model = DaskMLPClassifier(**SETTINGS).fit(*collections(X, y, 400), client=threads)
    before = {key: value for key, value in model.__dict__.items() if key.endswith("_")}
    model.set_params(**options)
    with pytest.raises(error, match=message):
        model.fit(*arguments, client=client)
    for key, value in before.items():
        assert model.__dict__[key] is value


def test_without_a_client():
    with pytest.raises(ValueError, match="needs a Dask client"):
        DaskMLPClassifier().fit(*collections(*digits(), 200))


def test_predictions_refuse_chunked_columns(threads):
    X, y = digits()
    model = DaskMLPClassifier(**SETTINGS).fit(*collections(X, y, 400), client=threads)
    with pytest.raises(ValueError, match="columns in 4 chunks"):
        model.predict(da.from_array(X, chunks=(100, 16)))
