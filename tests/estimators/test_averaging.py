"""The exponential moving average of the weights."""

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.utils._param_validation import InvalidParameterError

from fastmlp import MLPAutoencoder, MLPClassifier, MLPRegressor
from fastmlp.callbacks import Checkpoint
from fastmlp.reference import loops, vectorized
from fastmlp.training import _engine, _workspace

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ROWS = {"batch_size": 50, "shuffle": False, "random_state": 0}


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:150] / 16, y[:150]


def arrays_of(model):
    stats = [model._stats] if model.batch_norm else []
    return [*model.coefs_, *model.intercepts_, *getattr(model, "gammas_", []), *getattr(model, "betas_", []), *stats]


def assert_same_weights(one, other):
    for ours, theirs in zip(arrays_of(one), arrays_of(other), strict=True):
        assert_array_equal(ours, theirs)


def assert_weights(model, expected, **tolerance):
    for ours, theirs in zip(arrays_of(model), expected, strict=True):
        assert_allclose(ours, theirs, **tolerance)


def weights_after_each_batch(model, X, y):
    """Train the same network without an average, batch by batch; return copies of its weights and statistics."""
    plain = clone(model).set_params(average=False)
    found = []
    for _ in range(model.max_iter):
        for start in range(0, len(X), 50):
            plain.partial_fit(X[start : start + 50], y[start : start + 50], classes=np.arange(10))
            found.append([a.copy() for a in arrays_of(plain)])
    return found


# ---- The formula


@pytest.mark.parametrize("decay", [0.2, 0.9, True, 0.9999])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("params", [{}, {"batch_norm": True}, {"max_grad_norm": 0.3}, {"weight_decay": 0.1}], ids=str)
def test_weights_are_the_corrected_average(params, solver, decay, digits):
    """Weights, gamma, beta and running statistics: (1 - d) / (1 - d^t) sum_s d^(t - s) of the values after step s."""
    X, y = digits
    model = MLPClassifier(12, solver=solver, learning_rate_init=0.05, max_iter=4, average=decay, **ROWS, **params)
    history = weights_after_each_batch(model, X, y)
    d = 0.99 if decay is True else decay
    powers = d ** np.arange(len(history) - 1, -1, -1.0)
    expected = [np.tensordot(powers / powers.sum(), np.stack(values), 1) for values in zip(*history, strict=True)]
    assert_weights(model.fit(X, y), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("reference", [loops, vectorized])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_training_matches_the_references(solver, reference, digits):
    X, y = digits
    X, y, weights = X[:60], y[:60], np.linspace(0, 2, 60)
    options = {"solver": solver, "batch_size": 20, "learning_rate_init": 0.02, "alpha": 0.01}
    model = MLPClassifier(5, average=0.8, max_iter=3, random_state=0, **options).fit(X, y, sample_weight=weights)
    random = np.random.RandomState(0)
    start = vectorized.initial_weights([64, 5, 10], random, activation="relu")
    Y = np.eye(10)[y]
    coefs, intercepts, losses = reference.fit(
        *start, X, Y, epochs=3, average=0.8, rng=random, sample_weight=weights, **options
    )
    assert_weights(model, [*coefs, *intercepts], rtol=1e-7, atol=1e-9)
    assert_allclose(model.loss_curve_, losses, rtol=1e-9)  # of the weights in training, not of the average


def test_batches_without_weight_are_no_steps(digits):
    X, y = digits
    model = MLPClassifier(5, average=0.5, max_iter=2, **ROWS)
    weights = np.r_[np.ones(50), np.zeros(50), np.ones(50)]
    kept = weights > 0
    assert_same_weights(model.fit(X, y, sample_weight=weights), clone(model).fit(X[kept], y[kept], weights[kept]))


def test_averaging_does_not_change_the_weights_in_training(digits):
    X, y = digits
    plain = MLPClassifier(12, batch_norm=True, max_iter=5, random_state=0).fit(X, y)
    averaged = clone(plain).set_params(average=True).fit(X, y)
    assert averaged.loss_curve_ == plain.loss_curve_
    assert_array_equal(averaged._averaged_weights[0], plain._packed.w)
    assert_array_equal(averaged._averaged_weights[1], plain._stats)


# ---- The purpose of averaging


def test_average_reduces_the_noise_of_a_constant_rate(rng):
    """Linear regression: the weights move around the solution of least squares, and their average is close to it."""
    X = rng.normal(size=(2000, 10))
    truth = rng.normal(size=10)
    y = X @ truth + rng.normal(size=2000)
    best = np.linalg.lstsq(np.column_stack([X, np.ones(2000)]), y)[0][:10]
    params = {"solver": "sgd", "momentum": 0, "learning_rate_init": 0.05, "batch_size": 10, "alpha": 0, "tol": 0}
    model = MLPRegressor(hidden_layer_sizes=(), max_iter=10, random_state=0, **params).fit(X, y)
    errors = [
        np.linalg.norm(m.coefs_[0][:, 0] - best)
        for m in (
            model,
            clone(model).set_params(average=True).fit(X, y),
            clone(model).set_params(average=0.999).fit(X, y),
        )
    ]
    assert errors[1] < 0.6 * errors[0]
    assert errors[2] < 0.3 * errors[0]


@pytest.mark.parametrize("batch_norm", [False, True])
def test_average_lowers_the_loss_on_other_data(batch_norm):
    X, y = load_digits(return_X_y=True)
    X = X / 16
    model = MLPClassifier(
        30, learning_rate_init=0.02, batch_size=50, max_iter=15, random_state=0, batch_norm=batch_norm
    )
    losses = [
        log_loss(y[900:], clone(model).set_params(average=average).fit(X[:900], y[:900]).predict_proba(X[900:]))
        for average in (False, True)
    ]
    assert losses[1] < 0.95 * losses[0]


# ---- Validation and the best weights


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("scoring", [None, "loss", "accuracy"])
def test_validation_uses_the_average(scoring, batch_norm, digits):
    X, y = digits
    params = {"early_stopping": True, "scoring": scoring, "batch_norm": batch_norm, "average": 0.9}
    model = MLPClassifier(12, learning_rate_init=0.01, max_iter=8, **ROWS, **params)
    model.fit(X[:100], y[:100], X_val=X[100:], y_val=y[100:])
    # Without its validation data, a fit of as many epochs as the best one has the same average.
    best = model.best_epoch_
    same = clone(model).set_params(early_stopping=False, max_iter=best).fit(X[:100], y[:100])
    assert_same_weights(model, same)
    expected = log_loss(y[100:], same.predict_proba(X[100:]), labels=np.arange(10))
    assert model.validation_loss_curve_[best - 1] == pytest.approx(expected, rel=1e-9)
    score = -expected if scoring == "loss" else same.score(X[100:], y[100:])
    assert model.validation_scores_[best - 1] == pytest.approx(score, rel=1e-9)
    assert model.best_validation_score_ == pytest.approx(score, rel=1e-9)


def test_best_weights_by_the_training_loss_are_averages(digits):
    X, y = digits
    model = MLPClassifier(12, solver="sgd", learning_rate_init=1.0, max_iter=12, average=0.7, **ROWS)
    model.set_params(restore_best_weights=True, n_iter_no_change=12).fit(X, y)
    same = clone(model).set_params(restore_best_weights=False, max_iter=model.best_epoch_).fit(X, y)
    assert_same_weights(model, same)


# ---- Continuing


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_partial_fit_continues(dtype, batch_norm, digits):
    X, y = digits[0].astype(dtype), digits[1]
    model = MLPClassifier(12, max_iter=4, average=0.9, batch_norm=batch_norm, **ROWS)
    whole = clone(model).fit(X, y)
    parts = clone(model)
    for _ in range(4):
        parts.partial_fit(X, y, classes=np.arange(10))
        parts = pickle.loads(pickle.dumps(parts))
    assert_same_weights(parts, whole)


def test_warm_start_continues(digits):
    """A warm start resets the momentum; without it, two fits are one."""
    X, y = digits
    model = MLPClassifier(12, solver="sgd", momentum=0, max_iter=4, average=0.9, batch_norm=True, **ROWS)
    whole = clone(model).fit(X, y)
    model.set_params(max_iter=2, warm_start=True).fit(X, y).fit(X, y)
    assert_same_weights(model, whole)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_one_epoch_warm_starts_continue(batch_norm, digits):
    X, y = digits
    model = MLPClassifier(12, average=0.9, batch_norm=batch_norm, batch_size=50, random_state=0)
    whole = clone(model).set_params(max_iter=4).fit(X, y)
    model.set_params(max_iter=1, warm_start=True)
    for _ in range(4):
        model.fit(X, y)
    assert_same_weights(model, whole)


def test_training_continues_from_weights_that_the_user_sets(digits):
    X, y = digits
    model = MLPClassifier(12, max_iter=2, average=0.9, **ROWS)
    changed = clone(model).fit(X, y)
    plain = clone(model).set_params(average=False).fit(X, y)
    for coef, other in zip(changed.coefs_, plain.coefs_, strict=True):
        coef[...] = other * 2
    for b, other in zip(changed.intercepts_, plain.intercepts_, strict=True):
        b[...] = other
    plain.coefs_ = [2 * coef for coef in plain.coefs_]
    changed.partial_fit(X, y)
    plain.partial_fit(X, y)
    assert_array_equal(changed._averaged_weights[0], plain._packed.w)
    assert changed._state["average_t"] == pytest.approx(0.9**3)


def test_average_can_be_turned_on_and_off(digits):
    X, y = digits
    model = MLPClassifier(12, average=True, **ROWS)
    model.partial_fit(X, y, classes=np.arange(10))
    kept = [a.copy() for a in arrays_of(model)]
    model.set_params(average=False).partial_fit(X, y)
    assert "_averaged_weights" not in vars(model)
    assert model._state.average.size == 0
    model.set_params(average=True).partial_fit(X, y)
    assert model._state["average_t"] == pytest.approx(0.99**3)
    assert any((one != other).any() for one, other in zip(kept, arrays_of(model), strict=True))


class StopAfterThree(Checkpoint):
    def on_fit_task_end(self, estimator, context, **kwargs):
        super().on_fit_task_end(estimator, context, **kwargs)
        return context.task_name == "epoch" and estimator._epoch_progress.epoch == 3


def test_a_resumed_fit_continues(digits, tmp_path):
    X, y = digits
    path = tmp_path / "checkpoint"
    params = {"average": 0.9, "batch_norm": True, "early_stopping": True, "max_iter": 6, "random_state": 0}
    whole = MLPClassifier(12, **params).fit(X, y)

    MLPClassifier(12, **params).set_callbacks(StopAfterThree(path, every=3)).fit(X, y)
    resumed = MLPClassifier(12, **params).fit(X, y, resume_from=path)
    assert_same_weights(resumed, whole)
    assert_array_equal(resumed._averaged_weights[0], whole._averaged_weights[0])
    assert resumed.validation_scores_ == whole.validation_scores_


def test_divergence_keeps_a_finite_average(digits):
    X, y = digits
    model = MLPRegressor(hidden_layer_sizes=12, solver="sgd", average=True, learning_rate_init=0.01, random_state=0)
    model.fit(X, y)
    model.set_params(learning_rate_init=1e6)
    with pytest.warns(UserWarning, match="standardise"), pytest.raises(ValueError, match="Training diverged"):
        model.fit(X * 1000, y)
    assert all(np.isfinite(a).all() for a in arrays_of(model))


# ---- Threads, inputs, other estimators


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("params", [{}, {"batch_norm": True}, {"max_grad_norm": 0.3}], ids=str)
def test_bits_do_not_depend_on_threads_or_chunks(params, dtype, digits, monkeypatch):
    X, y = digits
    monkeypatch.setattr(_engine, "FLOPS_PER_THREAD", 1)
    model = MLPClassifier((12, 20), batch_size=100, max_iter=2, random_state=0, average=0.9, **params)
    results = []
    for n_jobs in (1, 2, 3):
        for rows in (256, 16):
            monkeypatch.setattr(_workspace, "CHUNK_BYTES", 1)
            monkeypatch.setattr(_workspace, "CHUNK_ROWS", rows)
            results.append(clone(model).set_params(n_jobs=n_jobs).fit(X.astype(dtype), y))
    for result in results[1:]:
        assert_same_weights(result, results[0])


def test_sparse_input_and_other_estimators(digits):
    X, y = digits
    model = MLPClassifier(12, average=True, max_iter=3, random_state=0)
    assert_same_weights(clone(model).fit(scipy.sparse.csr_array(X), y), model.fit(X, y))
    for estimator in (MLPRegressor(hidden_layer_sizes=8), MLPAutoencoder(8)):
        fits = [clone(estimator).set_params(max_iter=3, random_state=0, average=a).fit(X, y) for a in (False, 0.9)]
        assert (fits[0].coefs_[0] != fits[1].coefs_[0]).any()
        assert fits[0].loss_curve_ == fits[1].loss_curve_


# ---- Errors


@pytest.mark.parametrize("value", [0, 1, 1.0, -0.5, 1.5, np.nan, np.inf, "yes", None, [0.9]])
def test_bad_values_are_refused(value, digits):
    model = MLPClassifier(4, max_iter=2, random_state=0).fit(*digits)
    before = vars(model).copy()
    with pytest.raises(InvalidParameterError, match="'average' parameter of MLPClassifier must be a") as error:
        model.set_params(average=value).fit(*digits)
    assert repr(value) in str(error.value)
    assert vars(model) == before | {"average": value}


def test_solver_and_tied_weights_that_do_not_average_are_refused(digits):
    X, y = digits
    with pytest.raises(ValueError, match=r"average=True needs solver='sgd' or solver='adam', got 'lbfgs'"):
        MLPClassifier(4, solver="lbfgs", average=True).fit(X, y)
    with pytest.raises(ValueError, match=r"tied_weights=True does not go with average=0\.9"):
        MLPAutoencoder(4, tied_weights=True, average=0.9).fit(X)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
@pytest.mark.parametrize("scoring", [None, "neg_log_loss", "loss"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_copy_continues_as_the_model(batch_norm, scoring, copied, dtype):
    """Scores of a warm start come from the average in training, also if the model was copied or loaded before."""
    X, y = load_digits(return_X_y=True)
    X, y = X[:250].astype(dtype) / 16, y[:250]
    params = {"early_stopping": True, "stratify": True, "warm_start": True, "average": 0.9, "batch_norm": batch_norm}
    # So few epochs that the last one is the best, after which averaging goes on.
    model = MLPClassifier(8, scoring=scoring, learning_rate_init=0.01, max_iter=4, random_state=0, **params).fit(X, y)
    other = copied(model).fit(X, y)
    model.fit(X, y)
    assert other.validation_scores_ == model.validation_scores_
    assert other.best_epoch_ == model.best_epoch_ > 4
    assert len(set(model.validation_loss_curve_)) == 8
    for ours, theirs in zip(other.coefs_ + other.intercepts_, model.coefs_ + model.intercepts_, strict=True):
        assert_array_equal(ours, theirs)
