"""The models that are compared on the test rows: two models of fastmlp, boosted trees and simple baselines."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from fastmlp.app import UserError
from fastmlp.app.search import Outcome, Split, columns, folds, quiet
from fastmlp.app.table import Table
from fastmlp.app.wording import first_line
from fastmlp.tabular import TabularMLPClassifier, TabularMLPRegressor


@dataclass(frozen=True)
class Model:
    """A fitted model and how well it predicts.

    Attributes
    ----------
    name : str
        Short name, as in the option ``--model``.
    title : str
        Name for the report.
    estimator : estimator
        Fitted on all rows except the test rows.
    cv_scores : ndarray of shape (n_folds,)
        Accuracy or R2 on each fold.
    test_scores : dict of str to float
        Scores on the test rows. The first has the metric of `cv_scores`.
    seconds : float
        Time of the fits on the folds and of the last fit.
    """

    name: str
    title: str
    estimator: Any
    cv_scores: NDArray[np.float64]
    test_scores: dict[str, float]
    seconds: float


def _tabular(table: Table, seed: int) -> Any:
    model = TabularMLPClassifier if table.task == "classification" else TabularMLPRegressor
    return model(random_state=seed)


def _boosting(table: Table, seed: int) -> Any:
    # Boosted trees support missing values and categorical columns without preparation.
    model = HistGradientBoostingClassifier if table.task == "classification" else HistGradientBoostingRegressor
    return model(random_state=seed)


def _linear(table: Table, seed: int) -> Any:
    model = LogisticRegression(max_iter=1000) if table.task == "classification" else Ridge()
    return Pipeline([("columns", columns(table)), ("linear", model)])


def _constant(table: Table, seed: int) -> Any:
    return DummyClassifier(strategy="prior") if table.task == "classification" else DummyRegressor()


# Name, title, and a function that makes the estimator for a table and a seed. A new model needs one more line.
MODELS: dict[str, tuple[str, Callable[[Table, int], Any]]] = {
    "tabular": ("tabular MLP of fastmlp", _tabular),
    "boosting": ("HistGradientBoosting, default parameters", _boosting),
    "linear": ("logistic regression or ridge regression", _linear),
    "constant": ("most frequent class or mean", _constant),
}
MLP = "mlp"
MANY_ROWS = 20_000
NAMES = (MLP, *MODELS)


def compare(table: Table, data: Split, outcome: Outcome, seed: int) -> tuple[list[Model], list[str]]:
    """Return the MLP of the search and the other models, fitted and scored on the same rows, and the failures."""
    best = outcome.search.best_index_
    found = outcome.search.cv_results_
    scores = np.array([found[f"split{fold}_test_score"][best] for fold in range(outcome.search.n_splits_)])
    mlp = outcome.search.best_estimator_
    models = [Model(MLP, "MLP of fastmlp, searched", mlp, scores, evaluate(mlp, table, data), outcome.seconds)]
    failures = []
    for name, (title, build) in MODELS.items():
        title = title.split(" or ")[0 if table.task == "classification" else -1]
        start = time.perf_counter()
        try:
            with quiet(), _few_threads(len(data.y)):
                estimator = build(table, seed)
                scores = cross_val_score(estimator, data.X, data.y, cv=folds(table.task, seed), error_score="raise")
                estimator.fit(data.X, data.y)
            seconds = time.perf_counter() - start
            models.append(Model(name, title, estimator, scores, evaluate(estimator, table, data), seconds))
        except ValueError as error:  # such as more categories than boosted trees can hold
            failures.append(f"{title}: could not be fitted ({first_line(error)})")
    return models, failures


def _few_threads(rows: int) -> Any:
    # On small tables, the threads of boosted trees mostly wait for each other. On two busy cores, 142 rows of wine
    # took 62 s with two threads and 0.5 s with one. The limit holds for this block of the program's own process.
    return threadpool_limits(1 if rows < MANY_ROWS else None, user_api="openmp")


def evaluate(estimator: Any, table: Table, data: Split) -> dict[str, float]:
    """Return the scores of a fitted estimator on the test rows. The first is the metric of the search."""
    predicted, y = estimator.predict(data.X_test), data.y_test
    if table.task == "regression":
        return {
            "R2": metrics.r2_score(y, predicted),
            "RMSE": metrics.root_mean_squared_error(y, predicted),
            "MAE": metrics.mean_absolute_error(y, predicted),
        }
    return {
        "accuracy": metrics.accuracy_score(y, predicted),
        "balanced accuracy": metrics.balanced_accuracy_score(y, predicted),
        "log loss": metrics.log_loss(y, estimator.predict_proba(data.X_test), labels=estimator.classes_),
    }


def choose(models: list[Model], name: str) -> Model:
    """Return the model with the given name; ``best`` is the model with the best mean score over the folds.

    The scores on the test rows are not used, so they remain estimates for unseen rows.
    """
    if name == "best":
        return max(models, key=lambda model: float(model.cv_scores.mean()))
    chosen = [model for model in models if model.name == name]
    if not chosen:
        raise UserError(f"--model {name}: it could not be fitted to this table")
    return chosen[0]
