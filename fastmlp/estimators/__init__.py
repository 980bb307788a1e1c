"""The estimators, as scikit-learn's users know them."""

from ._autoencoder import MLPAutoencoder
from ._classifier import MLPClassifier
from ._regressor import MLPRegressor

__all__ = ["MLPAutoencoder", "MLPClassifier", "MLPRegressor"]
