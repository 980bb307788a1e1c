"""Tasks of a worker: fit the steps before the network once for a fold, then train and score candidates."""

import time
from collections.abc import Sequence
from traceback import format_exc
from typing import Any, NamedTuple

import numpy as np
from sklearn.pipeline import Pipeline

from ._sklearn import check_method_params, metrics_of, safe_indexing, safe_split, score, sees_only_predictions

__all__ = ["Fold", "Scoring", "Training", "fit_steps", "train"]


class Fold(NamedTuple):
    """One split of the data, and the output of the steps before the network.

    Attributes
    ----------
    X, y : array-like
        All data.
    train, test : ndarray of int
        Row numbers.
    fit_params : dict
        Parameters of the network's `fit`, for all rows.
    steps : Pipeline or None
        The fitted steps before the network.
    transformed : (X_train, X_test) or None
        Output of `steps`. X_train is the result of `fit_transform`, which may intentionally differ from `transform`, as
        in `TargetEncoder`. It is therefore stored instead of computed again in every rung.
    error : str or None
        Error message if the steps could not be fitted.
    """

    X: Any
    y: Any
    train: Any
    test: Any
    fit_params: dict[str, Any]
    steps: Pipeline | None = None
    transformed: tuple[Any, Any] | None = None
    error: str | None = None


class Training(NamedTuple):
    """One candidate in one fold.

    Attributes
    ----------
    model : estimator or None
        The network in its current state of training; None if it will not be trained further.
    epochs : int
        Number of epochs that it was allowed so far.
    result : dict
        Scores and times of the last rung, with the keys of `BaseSearchCV`.
    converged : bool
        Whether the last fit stopped before its last epoch, so that another fit would change nothing.
    """

    model: Any
    epochs: int = 0
    result: dict[str, Any] | None = None
    converged: bool = False


class Scoring(NamedTuple):
    """Options for scoring, as in `GridSearchCV`, and `name`, the name of the pipeline step of the network."""

    scorer: Any
    params: dict[str, Any]
    train_score: bool
    error_score: Any
    name: str


def fit_steps(steps: Pipeline, fold: Fold, params: dict[str, Any], error_score: Any) -> dict[str, Any]:
    """Fit the steps before the network on the training rows, and return the fields of the fold that change.

    The fold itself is not returned, because a worker in another process would send all data back.
    """
    X_train, y_train = safe_split(steps, fold.X, fold.y, fold.train)
    X_test, _ = safe_split(steps, fold.X, fold.y, fold.test, fold.train)
    try:
        params = check_method_params(fold.X, params=params, indices=fold.train)
        return {
            "transformed": (steps.fit_transform(X_train, y_train, **params), steps.transform(X_test)),
            "steps": steps,
        }
    except Exception:
        if error_score == "raise":
            raise
        return {"error": format_exc()}


def _split(fold: Fold, model: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Return the input of the network, (X_train, X_test) and (y_train, y_test)."""
    if fold.transformed is None:
        X_train, y_train = safe_split(model, fold.X, fold.y, fold.train)
        X_test, y_test = safe_split(model, fold.X, fold.y, fold.test, fold.train)
        return (X_train, X_test), (y_train, y_test)
    if fold.y is None:
        return fold.transformed, (None, None)
    return fold.transformed, (safe_indexing(fold.y, fold.train), safe_indexing(fold.y, fold.test))


def _failure(scoring: Scoring, n_test: int, seconds: float, error: str) -> dict[str, Any]:
    """Return the result of a failed fit, as in `GridSearchCV`."""
    metrics = metrics_of(scoring.scorer)
    scores = scoring.error_score if metrics is None else dict.fromkeys(metrics, scoring.error_score)
    result = {"fit_error": error, "test_scores": scores, "n_test_samples": n_test}
    result |= {"fit_time": seconds, "score_time": 0.0}
    return result | ({"train_scores": scores} if scoring.train_score else {})


def train(
    trainings: Sequence[Training], epochs: Sequence[int], keep: Sequence[bool], fold: Fold, scoring: Scoring
) -> list[Training]:
    """Train each candidate up to its number of epochs, and score it.

    Parameters
    ----------
    trainings : sequence of Training
        Trainings without errors.
    epochs : sequence of int
        Total number of epochs of each candidate.
    keep : sequence of bool
        Whether a later rung may need the model.
    fold : Fold
    scoring : Scoring

    Returns
    -------
    list of Training
        In the order of `trainings`. The given models are modified.
    """
    n_test = len(fold.test)
    if fold.error is not None:
        failure = _failure(scoring, n_test, 0.0, fold.error)
        return [Training(None, n, failure) for n in epochs]
    # Score the last step with transformed data, unless the scorer may use the whole pipeline.
    whole = fold.steps is not None and not sees_only_predictions(scoring.scorer)
    (X_train, X_test), (y_train, y_test) = _split(fold, trainings[0].model)
    seen = X_train, X_test
    if whole:
        seen, _ = _split(fold._replace(transformed=None), trainings[0].model)
    fit_params = check_method_params(fold.X, params=fold.fit_params, indices=fold.train)
    params = [check_method_params(fold.X, params=scoring.params, indices=rows) for rows in (fold.train, fold.test)]

    def evaluate(model: Any, X: Any, y: Any, score_params: dict[str, Any]) -> Any:
        if whole:
            assert fold.steps is not None
            model = Pipeline([*fold.steps.steps, (scoring.name, model)])
        return score(model, X, y, scoring.scorer, score_params, scoring.error_score)

    done = []
    for (model, before, result, converged), total, kept in zip(trainings, epochs, keep, strict=True):
        if converged:
            assert result is not None
            again = {**result, "fit_time": 0.0, "score_time": 0.0}
            done.append(Training(model if kept else None, total, again, converged))
            continue
        begin = time.perf_counter()
        model.set_params(max_iter=total - before, warm_start=True)
        try:
            model.fit(X_train, **({} if y_train is None else {"y": y_train}), **fit_params)
        except Exception:
            if scoring.error_score == "raise":
                raise
            seconds = time.perf_counter() - begin
            done.append(Training(None, total, _failure(scoring, n_test, seconds, format_exc())))
            continue
        fitted = time.perf_counter()
        result = {"fit_error": None, "test_scores": evaluate(model, seen[1], y_test, params[1])}
        result |= {"n_test_samples": n_test, "fit_time": fitted - begin, "score_time": time.perf_counter() - fitted}
        if scoring.train_score:
            result["train_scores"] = evaluate(model, seen[0], y_train, params[0])
        stopped = bool(np.max(getattr(model, "n_iter_", np.inf)) < total - before)
        done.append(Training(model if kept else None, total, result, stopped))
    return done
