"""Tools that inspect a network: its objective, its gradient, its layers and its learning curve."""

from ._diagnostics import Diagnosis, DiagnosticsDisplay, LayerDiagnosis, diagnose
from ._display import LossCurveDisplay, WeightImageDisplay
from ._gradient_check import ArrayCheck, GradientCheck, check_gradient
from ._objective import cost, cost_and_gradient

__all__ = [
    "ArrayCheck",
    "Diagnosis",
    "DiagnosticsDisplay",
    "GradientCheck",
    "LayerDiagnosis",
    "LossCurveDisplay",
    "WeightImageDisplay",
    "check_gradient",
    "cost",
    "cost_and_gradient",
    "diagnose",
]
