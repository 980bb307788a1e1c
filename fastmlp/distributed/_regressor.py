"""The regressor for Dask collections: lazy predictions."""

from typing import Any

from sklearn.utils.validation import check_is_fitted

from fastmlp.estimators import MLPRegressor

from ._base import _DaskMLP
from ._collections import is_collection, partitions
from ._scores import r2

__all__ = ["DaskMLPRegressor"]


class DaskMLPRegressor(_DaskMLP, MLPRegressor):
    """Multilayer perceptron regressor for Dask collections, which may be larger than the memory of one machine.

    Training works as described in `DaskMLPClassifier`.

    Parameters
    ----------
    loss, hidden_layer_sizes, activation, solver, ...
        As in `MLPRegressor`. The solvers are 'adam', 'sgd' and 'lbfgs', and the schedules are 'constant',
        'invscaling' and 'adaptive'. `n_jobs` affects predictions only. Of the parameters that scikit-learn does not
        have, those of the network are supported, except `batch_norm`. `early_stopping` is not supported.

    Attributes
    ----------
    coefs_, intercepts_, loss_, best_loss_, loss_curve_, n_iter_, t_, n_layers_, n_outputs_, out_activation_, \
    n_features_in_, feature_names_in_
        As in `MLPRegressor`. They are stored in this process.

    See Also
    --------
    MLPRegressor : For data on one machine, in memory or memory-mapped.

    Examples
    --------
    >>> import dask.array as da
    >>> from distributed import Client
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import scale
    >>> from fastmlp.distributed import DaskMLPRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> X, y = da.from_array(scale(X), chunks=(221, -1)), da.from_array(scale(y), chunks=221)
    >>> with Client(processes=False, dashboard_address=":0") as client:
    ...     reg = DaskMLPRegressor(hidden_layer_sizes=5, solver="lbfgs", alpha=10, tol=0.05, random_state=0).fit(X, y)
    ...     r2 = reg.score(X, y)
    ...     predicted = reg.predict(X).compute()
    >>> bool(r2 > 0.4), predicted.shape
    (True, (442,))
    """

    def predict(self, X: Any) -> Any:
        """Predict values.

        Parameters
        ----------
        X : Dask array or data frame, or array-like, of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y : of shape (n_samples,) or (n_samples, n_outputs)
            The predicted values: lazily, as a Dask array for a Dask array and as a series (data frame) with the same
            index for a data frame; an array for local data.
        """
        if not is_collection(X):
            return super().predict(X)
        check_is_fitted(self)
        columns = None if self.n_outputs_ == 1 else range(self.n_outputs_)
        return self._lazily(X, "predict", columns, self._score_dtype(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the coefficient of determination, averaged over the outputs.

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
        return r2(self, partitions(X, y=y, sample_weight=sample_weight))
