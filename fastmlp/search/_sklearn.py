"""Every private name of scikit-learn that the searches use, besides those of `fastmlp.estimators._sklearn`.

They are not in that module, because importing them takes time that `import fastmlp` does not need. All names have the
same signatures in versions 1.6 and 1.9. Except for `BaseSearchCV`, they are what `GridSearchCV` itself uses to fit and
score candidates, and have no public replacement: without them, `_folds` would have to repeat scikit-learn's rules.
"""

from typing import Any

# Decides which scorers call only the prediction methods of an estimator, see `sees_only_predictions`.
from sklearn.metrics._scorer import _BaseScorer, _MultimetricScorer, _PassthroughScorer

# The base class of `GridSearchCV`: scorers, `cv_results_` and the methods of the best estimator. `HyperbandSearchCV`
# calls its private methods `_get_scorers`, `_get_routed_params_for_fit`, `_check_refit_for_multimetric`,
# `_select_best_index` and `_format_results`, and overrides `_run_search`.
from sklearn.model_selection._search import BaseSearchCV

# Scores of a candidate on one split, with `error_score` and its warnings.
from sklearn.model_selection._validation import _insert_error_scores as insert_error_scores
from sklearn.model_selection._validation import _score as score
from sklearn.model_selection._validation import _warn_or_raise_about_fit_failures as warn_or_raise_about_fit_failures

# Rows of any array-like, of X and y for an estimator (whose input may be pairwise), and of the parameters of `fit`.
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils.metaestimators import _safe_split as safe_split
from sklearn.utils.validation import _check_method_params as check_method_params

from fastmlp.estimators._sklearn import Interval, StrOptions
from fastmlp.estimators._sklearn import _fit_context as fit_context

__all__ = [
    "BaseSearchCV",
    "Interval",
    "StrOptions",
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


def has_callbacks(search: Any) -> bool:
    """Whether `set_callbacks` of scikit-learn 1.9 has given the search its own callbacks."""
    return bool(getattr(search, "_skl_callbacks", None))


def metrics_of(scorer: Any) -> dict[str, Any] | None:
    """Return the scorers of a multi-metric scorer by name, None for a single one."""
    return dict(scorer._scorers) if isinstance(scorer, _MultimetricScorer) else None


def sees_only_predictions(scorer: Any) -> bool:
    """Whether the scorer only calls the prediction methods and `score` of the estimator.

    In this case, the last step of a pipeline with transformed data has the same score as the pipeline with the original
    data. A user-defined function may use the whole pipeline.
    """
    metrics = metrics_of(scorer)
    scorers = [scorer] if metrics is None else metrics.values()
    return all(isinstance(one, (_BaseScorer, _PassthroughScorer)) for one in scorers)
