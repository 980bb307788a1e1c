"""A table with the loss and other values of each epoch of a training."""

import math
from typing import TYPE_CHECKING, Any

from fastmlp.training._progress import EpochCallback, Progress

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["History"]

COLUMNS = ("epoch", "loss", "validation_loss", "validation_score", "learning_rate", "gradient_norm")


def _number(value: float | None) -> float:
    return math.nan if value is None else value


class History(EpochCallback):
    """Callback that records loss, validation, learning rate and gradient norm of each epoch.

    If several fits share a history, as the clones of a grid search do, it contains the epochs of the fit that began
    last. Worker processes record into copies, which are not sent back.

    See Also
    --------
    sklearn.callback.ScoringMonitor : Records any scores, on the training data.

    Notes
    -----
    Computing the gradient norm takes one pass over the gradient in each mini-batch. The weights do not depend on it.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fastmlp import MLPClassifier
    >>> from fastmlp.callbacks import History
    >>> X, y = load_digits(return_X_y=True)
    >>> history = History()
    >>> clf = MLPClassifier(early_stopping=True, random_state=0).set_callbacks(history).fit(X / 16, y)
    >>> frame = history.frame()
    >>> len(frame) == clf.n_iter_
    True
    >>> list(frame.columns)
    ['epoch', 'loss', 'validation_loss', 'validation_score', 'learning_rate', 'gradient_norm']
    """

    needs_gradient_norm = True

    def __init__(self) -> None:
        self._rows: list[tuple[float, ...]] = []  # of the fit that began last
        self._of_fit: dict[int, list[tuple[float, ...]]] = {}  # of the fits in progress, by their estimators

    def setup(self, estimator: Any, context: Any) -> None:
        """Begin a new table."""
        super().setup(estimator, context)
        self._rows = self._of_fit[id(estimator)] = []

    def teardown(self, estimator: Any, context: Any) -> None:
        """End the table."""
        self._of_fit.pop(id(estimator), None)

    def after_epoch(self, estimator: Any, progress: Progress) -> None:
        """Add a row."""
        self._of_fit[id(estimator)].append(
            (
                progress.epoch,
                progress.loss,
                _number(progress.validation_loss),
                _number(progress.validation_score),
                progress.learning_rate,
                progress.gradient_norm,
            )
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_rows": list(self._rows), "_of_fit": {}}

    def frame(self) -> "pd.DataFrame":
        """Return the epochs as a data frame. Requires pandas.

        Returns
        -------
        pandas.DataFrame
            One row for each epoch (each iteration of 'lbfgs'), with the columns `epoch` (counted from 1), `loss`
            (with the penalty), `validation_loss`, `validation_score`, `learning_rate` and `gradient_norm` (Euclidean
            norm of the gradient by all weights, both of the last mini-batch). NaN stands for what the fit does not
            have: validation data, or with 'lbfgs' a learning rate and mini-batches.
        """
        import pandas as pd

        return pd.DataFrame(self._rows, columns=list(COLUMNS)).astype({"epoch": int})
