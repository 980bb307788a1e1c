"""Multilayer perceptrons for whole tables: numbers, categories, strings, booleans and missing values."""

from ._classifier import TabularMLPClassifier
from ._encoder import TableEncoder
from ._piecewise import PiecewiseLinearEncoder
from ._regressor import TabularMLPRegressor
from ._scaler import RobustSmoothClipScaler

__all__ = [
    "PiecewiseLinearEncoder",
    "RobustSmoothClipScaler",
    "TableEncoder",
    "TabularMLPClassifier",
    "TabularMLPRegressor",
]
