"""fastmlp: scikit-learn's multilayer perceptron, many times faster on CPUs."""

from pathlib import Path as _Path

# At the root of a checkout Python finds this folder before the installed package; there the kernels lie beside it.
if not (_Path(__file__).parent / "kernels").is_dir():
    __path__.append(str(_Path(__file__).parent.parent))

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
