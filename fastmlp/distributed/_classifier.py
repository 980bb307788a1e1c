"""The classifier for Dask collections: the classes of all partitions, and lazy predictions."""

from typing import Any

import numpy as np
from sklearn.preprocessing import LabelBinarizer

from fastmlp.estimators import MLPClassifier

from ._base import _DaskMLP
from ._collections import is_collection, partitions
from ._partitions import Facts
from ._scores import accuracy

__all__ = ["DaskMLPClassifier"]


class DaskMLPClassifier(_DaskMLP, MLPClassifier):
    """Multilayer perceptron classifier for Dask collections, which may be larger than the memory of one machine.

    One network is trained synchronously on all partitions. In every step each worker computes the gradient of its rows,
    this process adds the gradients in the order of the partitions and takes the step. The mini-batches are those of
    `MLPClassifier` on the same rows with the same seed, so for any partitions the weights equal its weights up to
    rounding. For given partitions, the bits of the weights do not depend on the number of workers or their speed. If a
    worker is lost, Dask computes its partitions again on another one, and training continues from the last step.

    Each step waits for the scheduler and the network connection, so distributed training is efficient for large
    mini-batches and 'lbfgs'; see docs/scaling.md for the sizes below which one machine is faster.

    Parameters
    ----------
    hidden_layer_sizes, activation, solver, ...
        As in `MLPClassifier`. The solvers are 'adam', 'sgd' and 'lbfgs', and the schedules are 'constant',
        'invscaling' and 'adaptive'. `n_jobs` affects predictions only. Of the parameters that scikit-learn does not
        have, those of the network are supported, except `batch_norm`. `early_stopping` is not supported.

    Attributes
    ----------
    classes_, coefs_, intercepts_, loss_, best_loss_, loss_curve_, n_iter_, t_, n_layers_, n_outputs_, \
    out_activation_, n_features_in_, feature_names_in_
        As in `MLPClassifier`. They are stored in this process.

    See Also
    --------
    MLPClassifier : For data on one machine, in memory or memory-mapped.

    Notes
    -----
    The gradients come from `fastmlp.cost_and_gradient`, in blocks of at most 65,536 rows. Its log loss has no cap, so
    the reported loss differs from that of `MLPClassifier` where a probability is below the smallest number eps with
    1 + eps > 1. Mini-batches are drawn from all rows: the client stores a permutation of the row numbers, with four
    bytes for each row.

    Examples
    --------
    >>> import dask.array as da
    >>> from distributed import Client
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.preprocessing import scale
    >>> from fastmlp.distributed import DaskMLPClassifier
    >>> X, y = load_wine(return_X_y=True)
    >>> X, y = da.from_array(scale(X), chunks=(89, -1)), da.from_array(y, chunks=89)
    >>> with Client(processes=False, dashboard_address=":0") as client:
    ...     clf = DaskMLPClassifier(20, solver="lbfgs", alpha=1, tol=0.01, random_state=0).fit(X, y)
    ...     accuracy = clf.score(X, y)
    ...     probabilities = clf.predict_proba(X)  # lazy, as those of `predict` and `predict_log_proba`
    ...     equal = (clf.predict(X) == probabilities.argmax(axis=1)).all().compute()
    ...     logarithms = clf.predict_log_proba(X).compute()
    >>> bool(accuracy > 0.95), bool(equal), logarithms.shape
    (True, True, (178, 3))
    """

    def _targets(self, known: list[Facts], warm: bool) -> dict[str, Any]:
        """Return the fitted attributes that the labels of all partitions determine."""
        columns = known[0].target_columns
        if columns:
            labels: Any = np.eye(max(columns, 2), columns, dtype=int)
        else:
            labels = np.unique(np.concatenate([one.classes for one in known if one.classes is not None]))
        binarizer = LabelBinarizer().fit(labels)
        if warm and not np.array_equal(binarizer.classes_, self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {binarizer.classes_}"
            )
        return {"_label_binarizer": binarizer, "classes_": binarizer.classes_}

    def predict(self, X: Any) -> Any:
        """Predict labels.

        Parameters
        ----------
        X : Dask array or data frame, or array-like, of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y : of shape (n_samples,) or (n_samples, n_classes)
            The predicted labels: lazily, as a Dask array for a Dask array and as a series (data frame) with the same
            index for a data frame; an array for local data.
        """
        if not is_collection(X):
            return super().predict(X)
        multilabel = self._label_binarizer.y_type_ == "multilabel-indicator"
        dtype = np.dtype(int) if multilabel else self.classes_.dtype
        return self._lazily(X, "predict", self.classes_ if multilabel else None, dtype)

    def predict_proba(self, X: Any) -> Any:
        """Estimate probabilities.

        Parameters
        ----------
        X : Dask array or data frame, or array-like, of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y_prob : of shape (n_samples, n_classes)
            Probabilities, in the order of `classes_`: lazily for Dask collections, see `predict`.
        """
        if not is_collection(X):
            return super().predict_proba(X)
        return self._lazily(X, "predict_proba", self.classes_, self._score_dtype(X))

    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithm of `predict_proba`.

        Parameters
        ----------
        X : Dask array or data frame, or array-like, of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        log_y_prob : of shape (n_samples, n_classes)
            Natural logarithms of the probabilities, in the order of `classes_`: lazily for Dask collections, see
            `predict`.
        """
        if not is_collection(X):
            return super().predict_log_proba(X)
        return self._lazily(X, "predict_log_proba", self.classes_, self._score_dtype(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`, or all of them local data.

        Returns
        -------
        float
        """
        if not is_collection(X):
            return super().score(X, y, sample_weight)
        return accuracy(self, partitions(X, y=y, sample_weight=sample_weight))
