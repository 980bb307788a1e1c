"""What one worker does: fit the steps before the network once for a fold, then train candidates further and score."""

import time
from collections.abc import Sequence
from traceback import format_exc
from typing import Any, NamedTuple

import numpy as np
from sklearn.pipeline import Pipeline

from ._sklearn import check_method_params, metrics_of, safe_indexing, safe_split, score, sees_only_predictions

__all__ = ["Fold", "Scoring", "Training", "fit_steps", "train"]


class Fold(NamedTuple):
    """One split of the data, and what the steps before the network make of it.

    Attributes
    ----------
    X, y : array-like
        All data.
    train, test : ndarray of int
        Row numbers.
    fit_params : dict
        Of the network's `fit`, for all rows.
    steps : Pipeline or None
        The fitted steps before the network.
    transformed : (X_train, X_test) or None
        What `steps` return. X_train comes from `fit_transform`, which may differ from `transform` on purpose, as in
        `TargetEncoder`; so it is kept, and not computed anew in every rung.
    error : str or None
        Why the steps could not be fitted.
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
        The network as far as it is trained; None where nobody goes on with it.
    epochs : int
        Epochs it was given so far.
    result : dict
        Scores and times of the last rung, with the keys that `BaseSearchCV` knows.
    converged : bool
        Whether the last fit ended before its epochs were over, so that another would change nothing.
    """

    model: Any
    epochs: int = 0
    result: dict[str, Any] | None = None
    converged: bool = False


class Scoring(NamedTuple):
    """How candidates are scored; all but `name` as in `GridSearchCV`, `name` is that of the network's step."""

    scorer: Any
    params: dict[str, Any]
    train_score: bool
    error_score: Any
    name: str


def fit_steps(steps: Pipeline, fold: Fold, params: dict[str, Any], error_score: Any) -> dict[str, Any]:
    """Fit the steps before the network on the training rows; return the fields of the fold that this settles.

    The fold itself is not returned: a worker in another process would send all data back.
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
    """Return what the network is given, (X_train, X_test) and (y_train, y_test)."""
    if fold.transformed is None:
        X_train, y_train = safe_split(model, fold.X, fold.y, fold.train)
        X_test, y_test = safe_split(model, fold.X, fold.y, fold.test, fold.train)
        return (X_train, X_test), (y_train, y_test)
    if fold.y is None:
        return fold.transformed, (None, None)
    return fold.transformed, (safe_indexing(fold.y, fold.train), safe_indexing(fold.y, fold.test))


def _failure(scoring: Scoring, n_test: int, seconds: float, error: str) -> dict[str, Any]:
    """What `GridSearchCV` notes of a fit that failed."""
    metrics = metrics_of(scoring.scorer)
    scores = scoring.error_score if metrics is None else dict.fromkeys(metrics, scoring.error_score)
    result = {"fit_error": error, "test_scores": scores, "n_test_samples": n_test}
    result |= {"fit_time": seconds, "score_time": 0.0}
    return result | ({"train_scores": scores} if scoring.train_score else {})


def train(
    trainings: Sequence[Training], epochs: Sequence[int], keep: Sequence[bool], fold: Fold, scoring: Scoring
) -> list[Training]:
    """Train each candidate until it has had its number of epochs, and score it.

    Parameters
    ----------
    trainings : sequence of Training
        None of them with an error.
    epochs : sequence of int
        Of each candidate, counted from its beginning.
    keep : sequence of bool
        Whether a later rung may need the model.
    fold : Fold
    scoring : Scoring

    Returns
    -------
    list of Training
        In the order of `trainings`; the models given are changed.
    """
    n_test = len(fold.test)
    if fold.error is not None:
        failure = _failure(scoring, n_test, 0.0, fold.error)
        return [Training(None, n, failure) for n in epochs]
    # The last step with transformed data, unless the scorer may look at the whole pipeline.
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
