"""fastmlp: scikit-learn's multilayer perceptron, many times faster on CPUs."""

from ._autoencoder import MLPAutoencoder
from ._diagnostics import Diagnosis, diagnose
from ._display import DiagnosticsDisplay, LossCurveDisplay, WeightImageDisplay
from ._gradient_check import GradientCheck, check_gradient
from ._mlp import MLPClassifier, MLPRegressor
from ._objective import cost, cost_and_gradient

__all__ = [
    "Diagnosis",
    "DiagnosticsDisplay",
    "GradientCheck",
    "LossCurveDisplay",
    "MLPAutoencoder",
    "MLPClassifier",
    "MLPRegressor",
    "WeightImageDisplay",
    "__version__",
    "check_gradient",
    "cost",
    "cost_and_gradient",
    "diagnose",
]

__version__ = "0.1.0"
