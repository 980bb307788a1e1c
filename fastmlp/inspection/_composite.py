"""Find the network in a fitted pipeline or search, and the data that it receives there."""

from typing import Any, NamedTuple

from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

__all__ = ["Located", "locate", "not_a_network"]


class Located(NamedTuple):
    """Result of `locate`.

    Attributes
    ----------
    estimator : estimator
        The innermost estimator.
    X : {array-like, sparse matrix} or None
        The samples after all steps that come before it.
    source : str
        Description of the place, such as "MLPClassifier, step 'mlpclassifier' of Pipeline, best_estimator_ of
        GridSearchCV"; empty if the given estimator is the innermost one.
    """

    estimator: Any
    X: Any
    source: str


def locate(estimator: Any, X: Any = None) -> Located:
    """Return the last step of a fitted pipeline, the best estimator of a fitted search, or the estimator itself.

    Parameters
    ----------
    estimator : estimator, Pipeline or search
        May be nested in any way.
    X : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
        Samples for the outermost estimator. None: nothing is transformed.

    Raises
    ------
    NotFittedError
        If a pipeline is not fitted, or a search has no `best_estimator_`.
    """
    places: list[str] = []
    while True:
        outer = type(estimator).__name__
        if isinstance(estimator, Pipeline):
            check_is_fitted(estimator)
            if X is not None:
                for _, step in estimator.steps[:-1]:
                    X = X if step in (None, "passthrough") else step.transform(X)
            name, estimator = estimator.steps[-1]
            places.append(f"step {name!r} of {outer}")
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
            places.append(f"best_estimator_ of {outer}")
        elif hasattr(estimator, "estimator") and hasattr(estimator, "refit"):
            raise NotFittedError(
                f"This {outer} has no best_estimator_: call its method `fit` first, with refit=True in its parameters."
            )
        else:
            break
    source = ", ".join([type(estimator).__name__, *reversed(places)]) if places else ""
    return Located(estimator, X, source)


def not_a_network(found: Located) -> TypeError:
    """Return the error for an estimator that does not belong to fastmlp."""
    return TypeError(
        "The estimator must be an MLPClassifier, MLPRegressor or MLPAutoencoder, or a fitted pipeline or search whose "
        f"last step is one of them; got {found.source or repr(found.estimator)}."
    )
