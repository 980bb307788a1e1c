"""Estimators with the interface of scikit-learn."""

from ._autoencoder import MLPAutoencoder
from ._classifier import MLPClassifier
from ._regressor import MLPRegressor

__all__ = ["MLPAutoencoder", "MLPClassifier", "MLPRegressor"]
