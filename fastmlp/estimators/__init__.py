"""Estimators with the interface of scikit-learn."""

from ._autoencoder import MLPAutoencoder
from ._classifier import MLPClassifier
from ._fitted import FittedLayer, FittedNetwork, fitted_network
from ._regressor import MLPRegressor

__all__ = [
    "FittedLayer",
    "FittedNetwork",
    "MLPAutoencoder",
    "MLPClassifier",
    "MLPRegressor",
    "fitted_network",
]
