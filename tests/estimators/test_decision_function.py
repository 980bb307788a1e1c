"""The scores of a classifier before the link function, and probabilities where there is only one class."""

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, softmax
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.metrics import get_scorer, roc_auc_score
from sklearn.model_selection import KFold, cross_val_predict, cross_val_score

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.reference import vectorized

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "strings", "multilabel", "one against all"])
def test_scores_are_the_pre_activations_of_the_outputs(kind, dtype, problems):
    problem = problems["multiclass" if kind == "one against all" else kind]
    X, y = problem.X.astype(dtype), problem.y
    options = {"out_activation": "logistic"} if kind == "one against all" else {}
    model = MLPClassifier(9, "tanh", max_iter=4, random_state=0, **options).fit(X, y)
    scores = model.decision_function(X)
    expected = vectorized.pre_activations(model.coefs_, model.intercepts_, X, activation="tanh")[-1]
    assert scores.dtype == dtype
    assert scores.shape == ((len(y),) if kind == "binary" else (len(y), model.n_outputs_))
    assert_allclose(scores, expected.reshape(scores.shape), atol=100 * np.finfo(dtype).eps)
    assert_array_equal(scores, model.decision_function(scipy.sparse.csr_array(X)))
    if kind == "binary":
        assert_array_equal(scores > 0, model.predict(X) == model.classes_[1])
        expected = np.column_stack([expit(-scores), expit(scores)])
    elif kind == "multilabel":
        assert_array_equal(scores > 0, model.predict(X))
        expected = expit(scores)
    else:
        assert_array_equal(model.classes_[scores.argmax(axis=1)], model.predict(X))
        expected = softmax(scores, axis=1)
        if kind == "one against all":
            expected = expit(scores) / expit(scores).sum(axis=1, keepdims=True)
    assert_allclose(model.predict_proba(X), expected, rtol=100 * np.finfo(dtype).eps, atol=10 * np.finfo(dtype).eps)


def test_batch_normalisation_and_residuals_are_part_of_the_scores(problems):
    problem = problems["multiclass"]
    model = MLPClassifier((8, 8), batch_norm=True, residual=True, max_iter=4, random_state=0).fit(problem.X, problem.y)
    scores = model.decision_function(problem.X)
    assert_allclose(softmax(scores, axis=1), model.predict_proba(problem.X), rtol=1e-12)
    parallel = model.set_params(n_jobs=2).decision_function(problem.X)
    assert_array_equal(parallel, scores)


@pytest.mark.parametrize(
    ("kind", "scorer"),
    [
        ("binary", "roc_auc"),
        ("binary", "average_precision"),
        ("multilabel", "roc_auc"),
        ("multiclass", "roc_auc_ovr"),
        ("multiclass", "neg_log_loss"),
    ],
)
def test_scorers_of_scikit_learn(kind, scorer, problems):
    problem = problems[kind]
    ours, theirs = (Estimator(12, max_iter=10, random_state=0) for Estimator in (problem.ours, problem.theirs))
    score = get_scorer(scorer)
    found = [score(model.fit(problem.X, problem.y), problem.X, problem.y) for model in (ours, theirs)]
    # scikit-learn's classifier is scored by its probabilities, which have the same order as the scores.
    assert_allclose(*found, rtol=1e-9)
    if scorer == "roc_auc":
        assert found[0] == roc_auc_score(problem.y, ours.decision_function(problem.X))


def test_confident_predictions_keep_their_order():
    """Probabilities that round to 1 are equal, scores are not."""
    X = np.arange(-200.0, 200.0, 10)[:, np.newaxis]
    y = X[:, 0] > 0
    model = MLPClassifier((), solver="lbfgs", alpha=1e-6, max_iter=1000).fit(X, y)
    model.coefs_[0][:] = 1.0
    assert len(np.unique(model.predict_proba(X)[:, 1])) < len(X)
    assert_array_equal(np.diff(model.decision_function(X)) > 0, True)


def test_calibration_and_cross_validation(problems):
    problem = problems["strings"]
    model = MLPClassifier(8, solver="lbfgs", max_iter=50, random_state=0)
    calibrated = CalibratedClassifierCV(model, cv=3).fit(problem.X, problem.y)
    assert calibrated.score(problem.X, problem.y) > 0.9
    scores = cross_val_predict(model, problem.X, problem.y, cv=3, method="decision_function")
    assert scores.shape == (len(problem.y), 3)
    assert cross_val_score(model, problem.X, problem.y == "barolo", cv=3, scoring="roc_auc").mean() > 0.9


def test_unfitted_classifiers_and_regressors_have_no_scores(problems):
    with pytest.raises(NotFittedError):
        MLPClassifier().decision_function([[1.0]])
    assert not hasattr(MLPRegressor(), "decision_function")


# ---- One class only


@pytest.mark.parametrize("label", [3, "yes", True, 2.0])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_one_class_has_one_column(label, solver, problems):
    X = problems["binary"].X
    y = np.full(len(X), label)
    model = MLPClassifier(4, solver=solver, max_iter=5, random_state=0).fit(X, y)
    assert_array_equal(model.classes_, [label])
    assert_array_equal(model.predict_proba(X), np.ones((len(X), 1)), strict=True)
    assert_array_equal(model.predict_log_proba(X), np.zeros((len(X), 1)))
    assert_array_equal(model.predict(X), y)
    assert model.decision_function(X).shape == (len(X),)
    assert model.predict_proba(X.astype(np.float32)).shape == (len(X), 1)


@pytest.mark.filterwarnings("ignore:Number of classes in training fold:RuntimeWarning")
def test_folds_of_one_class(problems):
    """Each fold sees one of the two classes only."""
    X = problems["binary"].X[:40]
    y = np.repeat([0, 1], 20)
    found = cross_val_predict(MLPClassifier(4, max_iter=5, random_state=0), X, y, cv=KFold(2), method="predict_proba")
    assert_array_equal(found, np.column_stack([y == 1, y == 0]))


def test_partial_fit_with_one_class(problems):
    X = problems["binary"].X
    model = MLPClassifier(4, random_state=0).partial_fit(X, np.zeros(len(X), int), classes=[0])
    assert_array_equal(model.predict_proba(X), np.ones((len(X), 1)))
    # Classes that are announced count, also if only one of them has been seen.
    model = MLPClassifier(4, random_state=0).partial_fit(X, np.zeros(len(X), int), classes=[0, 1])
    assert model.predict_proba(X).shape == (len(X), 2)
