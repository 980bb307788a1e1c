"""Every private name of scikit-learn that the searches use, in one place: what to check when scikit-learn changes."""

from typing import Any

from sklearn.base import _fit_context
from sklearn.metrics._scorer import _BaseScorer, _MultimetricScorer, _PassthroughScorer
from sklearn.model_selection._search import BaseSearchCV
from sklearn.model_selection._validation import _insert_error_scores as insert_error_scores
from sklearn.model_selection._validation import _score as score
from sklearn.model_selection._validation import _warn_or_raise_about_fit_failures as warn_or_raise_about_fit_failures
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import _safe_split as safe_split
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_method_params as check_method_params

__all__ = [
    "BaseSearchCV",
    "Interval",
    "StrOptions",
    "available_if",
    "check_method_params",
    "fit_context",
    "has_callbacks",
    "insert_error_scores",
    "metrics_of",
    "safe_indexing",
    "safe_split",
    "score",
    "sees_only_predictions",
    "warn_or_raise_about_fit_failures",
]

fit_context = _fit_context


def has_callbacks(search: Any) -> bool:
    """Whether `set_callbacks` of scikit-learn 1.9 has given the search callbacks of its own."""
    return bool(getattr(search, "_skl_callbacks", None))


def metrics_of(scorer: Any) -> dict[str, Any] | None:
    """Return the scorers of a multi-metric scorer by name, None for a single one."""
    return dict(scorer._scorers) if isinstance(scorer, _MultimetricScorer) else None


def sees_only_predictions(scorer: Any) -> bool:
    """Whether the scorer calls nothing but the estimator's prediction methods and `score`.

    Then the last step of a pipeline with transformed data gets the same score as the pipeline with the data
    themselves. A user's function may look at the whole pipeline.
    """
    metrics = metrics_of(scorer)
    scorers = [scorer] if metrics is None else metrics.values()
    return all(isinstance(one, (_BaseScorer, _PassthroughScorer)) for one in scorers)
