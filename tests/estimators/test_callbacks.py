"""Callbacks of scikit-learn: one task for a fit and one for each epoch, alone, in pipelines and in searches."""

import copy
import pickle
import warnings

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

from fastmlp import MLPAutoencoder, MLPClassifier, MLPRegressor
from fastmlp.callbacks import Checkpoint, History
from fastmlp.training._engine import Engine

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
INSTALLED = tuple(int(part) for part in sklearn.__version__.split(".")[:2])
since_1_9 = pytest.mark.skipif(INSTALLED < (1, 9), reason="scikit-learn has callbacks since 1.9")
SOLVERS = ["sgd", "adam", "lbfgs"]


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:300] / 16, y[:300]


class Recorder:
    """A callback that records its calls. With `propagated`, meta-estimators pass it to their estimators."""

    def __init__(self, stop_after=None):
        self.calls, self.stop_after = [], stop_after

    def setup(self, estimator, context):
        self.calls.append(("setup", context.task_name))

    def teardown(self, estimator, context):
        self.calls.append(("teardown", context.task_name))

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None):
        self.calls.append(("begin", context.task_name, context.task_id))
        self.seen = context, X, y, metadata

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.calls.append(("end", context.task_name, context.task_id, fitted_estimator))
        return context.task_name == "epoch" and context.task_id + 1 == self.stop_after


class Propagated(Recorder):
    max_propagation_depth = None


@since_1_9
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor, MLPAutoencoder])
def test_one_subtask_for_each_epoch(Estimator, solver, digits):
    X, y = digits
    recorder = Recorder()
    model = Estimator(hidden_layer_sizes=8, solver=solver, max_iter=4, random_state=0).set_callbacks(recorder)
    model.fit(X, y, sample_weight=np.ones(len(X)))
    names = [call[:3] for call in recorder.calls]
    epochs = [(what, "epoch", k) for k in range(4) for what in ("begin", "end")]
    assert names == [("setup", "fit"), ("begin", "fit", 0), *epochs, ("end", "fit", 0), ("teardown", "fit")]
    context, seen_X, seen_y, metadata = recorder.seen
    assert context.parent.max_subtasks == 4
    assert seen_X is X
    assert seen_y is y
    assert list(metadata) == ["sample_weight"]
    assert not {name for name in vars(model) if "callback_" in name or "progress" in name}


@since_1_9
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("options", [{}, {"batch_norm": True}, {"early_stopping": True, "n_iter_no_change": 50}])
def test_the_fitted_estimator_equals_that_of_a_shorter_fit(options, solver, digits):
    """And it is independent: neither does training change it, nor does training it further change the fit."""
    if solver == "lbfgs" and options:
        pytest.skip("for mini-batches")
    X, y = digits
    recorder = Recorder()
    params = {"hidden_layer_sizes": 8, "solver": solver, "random_state": 0, **options}
    model = MLPClassifier(**params, max_iter=4).set_callbacks(recorder).fit(X, y)
    fitted = [call[3] for call in recorder.calls if call[:2] == ("end", "epoch")]
    # Early stopping would return to the best of the shorter fit.
    last = {} if solver == "lbfgs" else {"restore_best_weights": False}
    for k, partly in enumerate(fitted, start=1):
        expected = MLPClassifier(**params, **last, max_iter=k).fit(X, y)
        for ours, theirs in zip(partly.coefs_, expected.coefs_, strict=True):
            assert_array_equal(ours, theirs)
        assert_array_equal(partly.predict_proba(X), expected.predict_proba(X))
        if solver != "lbfgs":
            assert partly.loss_curve_ == expected.loss_curve_
            assert (partly.n_iter_, partly.t_) == (k, expected.t_)
    before = [coef.copy() for coef in model.coefs_]
    if solver != "lbfgs" and not options.get("early_stopping"):
        fitted[0].partial_fit(X, y)
        expected = MLPClassifier(**params, max_iter=1).fit(X, y).partial_fit(X, y)
        assert fitted[0].loss_curve_ == expected.loss_curve_
        assert len(model.loss_curve_) == 4
    for ours, theirs in zip(model.coefs_, before, strict=True):
        assert_array_equal(ours, theirs)


@since_1_9
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_callback_that_returns_true_stops_the_fit(solver, digits):
    X, y = digits
    params = {"hidden_layer_sizes": 8, "solver": solver, "random_state": 0}
    recorder = Recorder(stop_after=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no convergence warning, for it was stopped on purpose
        model = MLPClassifier(**params, max_iter=20).set_callbacks(recorder, Recorder()).fit(X, y)
    expected = MLPClassifier(**params, max_iter=3).fit(X, y)
    assert model.n_iter_ == 3
    for ours, theirs in zip(model.coefs_, expected.coefs_, strict=True):
        assert_array_equal(ours, theirs)
    assert recorder.calls[-2][:2] == ("end", "fit")


@since_1_9
def test_early_stopping_restores_the_best_weights_after_a_stop(digits):
    X, y = digits
    params = {"hidden_layer_sizes": 8, "random_state": 0, "early_stopping": True, "learning_rate_init": 0.1}
    stopped = MLPClassifier(**params).set_callbacks(Recorder(stop_after=6)).fit(X, y)
    expected = MLPClassifier(**params, max_iter=6).fit(X, y)
    for ours, theirs in zip(stopped.coefs_, expected.coefs_, strict=True):
        assert_array_equal(ours, theirs)


@pytest.mark.parametrize("solver", SOLVERS)
def test_callbacks_do_not_change_the_weights(solver, digits):
    X, y = digits
    params = {"hidden_layer_sizes": (9, 5), "solver": solver, "max_iter": 6, "random_state": 0, "batch_size": 50}
    plain = MLPClassifier(**params).fit(X, y)
    watched = MLPClassifier(**params).set_callbacks(History()).fit(X, y)
    for ours, theirs in zip(plain.coefs_, watched.coefs_, strict=True):
        assert_array_equal(ours, theirs)


def test_without_callbacks_epochs_are_not_trained_one_by_one(digits, monkeypatch):
    calls = []
    run = Engine.run

    def counted(self, team, epochs, *args):
        calls.append(epochs)
        return run(self, team, epochs, *args)

    monkeypatch.setattr(Engine, "run", counted)
    model = MLPClassifier(8, max_iter=5, random_state=0)
    model.fit(*digits)
    assert calls == [5]
    model.set_callbacks(History()).fit(*digits)
    assert calls[1:] == [1] * 5
    model.set_callbacks().fit(*digits)  # removes them
    assert calls[6:] == [5]


@since_1_9
def test_progress_bar_and_scoring_monitor(digits, capsys):
    from sklearn.callback import ProgressBar, ScoringMonitor

    X, y = digits
    monitor = ScoringMonitor(scoring=["accuracy", "neg_log_loss"])
    params = {"hidden_layer_sizes": 8, "random_state": 0}
    MLPClassifier(**params, max_iter=5).set_callbacks(ProgressBar(), monitor).fit(X, y)
    printed = capsys.readouterr().out
    assert "MLPClassifier - fit" in printed
    assert "100%" in printed
    frame = monitor.get_logs().data_as_pandas
    epochs = frame[frame["task_name"] == "epoch"]
    expected = [MLPClassifier(**params, max_iter=k).fit(X, y).score(X, y) for k in range(1, 6)]
    assert epochs["accuracy"].tolist() == expected
    assert frame[frame["task_name"] == "fit"]["accuracy"].tolist() == expected[-1:]


@since_1_9
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_pipeline_in_a_grid_search(n_jobs, digits, capsys):
    """An auto-propagated callback reaches the network; one that is set on the network sees all its fits."""
    from sklearn.callback import ProgressBar, ScoringMonitor

    X, y = digits
    monitor = ScoringMonitor(scoring="accuracy")
    network = MLPClassifier(8, max_iter=3, random_state=0).set_callbacks(monitor)
    grid = {"mlpclassifier__alpha": [1e-4, 1e-2]}
    search = GridSearchCV(make_pipeline(StandardScaler(), network), grid, cv=3, n_jobs=n_jobs)
    search.set_callbacks(ProgressBar(max_propagation_depth=None))
    search.fit(X, y)
    printed = capsys.readouterr().out
    assert "GridSearchCV" in printed
    if n_jobs == 1:
        assert "MLPClassifier - fit" in printed
    frame = monitor.get_logs().data_as_pandas
    epochs = frame[frame["task_name"] == "epoch"]
    # Two candidates in three folds, and the fit with the best.
    assert len(epochs) == (2 * 3 + 1) * 3
    assert epochs["parent_task_id_path"].nunique() == 7
    refit = epochs[epochs["task_id_path"].map(len) == epochs["task_id_path"].map(len).min()]
    assert refit["accuracy"].iloc[-1] == search.score(X, y)
    plain = GridSearchCV(make_pipeline(StandardScaler(), clone(network).set_callbacks()), grid, cv=3).fit(X, y)
    assert_array_equal(search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"])


@since_1_9
def test_propagation(digits):
    X, y = digits
    recorder = Propagated()
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(8, max_iter=2, random_state=0)).set_callbacks(recorder)
    pipeline.fit(X, y)
    begun = [call[1] for call in recorder.calls if call[0] == "begin"]
    assert begun.count("epoch") == 2
    assert "_skl_callbacks" not in vars(pipeline[-1])
    assert [call[0] for call in recorder.calls].count("setup") == 1


@since_1_9
def test_clones_and_copies_keep_the_callbacks(digits):
    history = History()
    model = MLPClassifier(8, max_iter=2).set_callbacks(history)
    assert clone(model)._skl_callbacks == [history]
    assert copy.copy(model)._skl_callbacks == [history]
    model.fit(*digits)
    loaded = pickle.loads(pickle.dumps(model))
    assert_array_equal(loaded.predict(digits[0]), model.predict(digits[0]))


@since_1_9
def test_an_error_in_a_callback_ends_the_fit(digits):
    class Failing(Recorder):
        def on_fit_task_end(self, estimator, context):
            if context.task_name == "epoch" and context.task_id == 1:
                raise OSError("no space left")

    X, y = digits
    failing = Failing()
    model = MLPClassifier(8, max_iter=5, random_state=0).set_callbacks(failing)
    with pytest.raises(OSError, match="no space left"):
        model.fit(X, y)
    assert failing.calls[-1] == ("teardown", "fit")
    assert model.n_iter_ == 2
    assert not hasattr(model, "_callback_fit_ctx")
    model.set_callbacks().partial_fit(X, y)


@since_1_9
def test_an_error_in_the_data_tears_down_and_changes_nothing(digits):
    X, y = digits
    recorder = Recorder()
    model = MLPClassifier(8, max_iter=2, random_state=0).fit(X, y).set_callbacks(recorder)
    before = [coef.copy() for coef in model.coefs_]
    with pytest.raises(ValueError, match="contains NaN"):
        model.fit(np.full_like(X, np.nan), y)
    assert recorder.calls[-1] == ("teardown", "fit")
    for ours, theirs in zip(model.coefs_, before, strict=True):
        assert_array_equal(ours, theirs)
    assert not hasattr(model, "_callback_fit_ctx")


def test_partial_fit_calls_no_callbacks(digits):
    X, y = digits
    history = History()
    MLPClassifier(8, random_state=0).set_callbacks(history).partial_fit(X, y, classes=range(10))
    assert len(history.frame()) == 0


@pytest.mark.parametrize(
    "bad",
    [3, None, "ProgressBar", History, object(), [History()], np.nan],
    ids=lambda callback: type(callback).__name__,
)
def test_objects_that_are_not_callbacks_are_refused(bad, digits):
    model = MLPClassifier(8).set_callbacks(History())
    before = model._skl_callbacks
    with pytest.raises(TypeError, match="set_callbacks takes instances with the methods setup, teardown, on_fit_task"):
        model.set_callbacks(bad)
    assert model._skl_callbacks is before


def test_callbacks_of_fastmlp_need_an_estimator_of_fastmlp(digits):
    if INSTALLED < (1, 9):
        pytest.skip("pipelines have callbacks since scikit-learn 1.9")
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(8)).set_callbacks(History())
    with pytest.raises(TypeError, match=r"History must be set on an estimator of fastmlp, such as the last.*Pipeline"):
        pipeline.fit(*digits)


@pytest.mark.skipif(INSTALLED >= (1, 9), reason="for scikit-learn 1.6 to 1.8")
def test_older_scikit_learn_refuses_other_callbacks():
    with pytest.raises(RuntimeError, match=r"set_callbacks needs scikit-learn >= 1\.9 .* is installed"):
        MLPClassifier(8).set_callbacks(Recorder())


def test_callbacks_of_fastmlp_work_in_a_pipeline_of_any_version(digits, tmp_path):
    X, y = digits
    history, path = History(), tmp_path / "network"
    network = MLPClassifier(8, max_iter=3, random_state=0).set_callbacks(history, Checkpoint(path, every=1))
    make_pipeline(StandardScaler(), network).fit(X, y)
    assert history.frame()["loss"].tolist() == network.loss_curve_
    assert path.is_file()


def test_regression_scores_of_the_validation_data_are_recorded():
    X, y = load_diabetes(return_X_y=True)
    X, y = scale(X), scale(y)
    history = History()
    model = MLPRegressor(hidden_layer_sizes=8, max_iter=4, random_state=0).set_callbacks(history)
    model.fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:])
    assert history.frame()["validation_score"].tolist() == model.validation_scores_
    assert history.frame()["validation_loss"].tolist() == model.validation_loss_curve_
