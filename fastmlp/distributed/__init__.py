"""Training of a network on data that is distributed over several machines by Dask."""

from ._estimators import DaskMLPClassifier, DaskMLPRegressor

__all__ = ["DaskMLPClassifier", "DaskMLPRegressor"]
