"""Training of a network on data that is distributed over several machines by Dask."""

from ._classifier import DaskMLPClassifier
from ._regressor import DaskMLPRegressor

__all__ = ["DaskMLPClassifier", "DaskMLPRegressor"]
