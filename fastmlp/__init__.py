"""fastmlp: scikit-learn's multilayer perceptron, many times faster on CPUs.

Examples
--------
>>> from sklearn.datasets import load_iris
>>> from fastmlp import MLPClassifier
>>> X, y = load_iris(return_X_y=True)
>>> clf = MLPClassifier(solver="lbfgs", tol=0.01, random_state=0).fit(X, y)
>>> bool(clf.score(X, y) > 0.95)
True
"""

import importlib.util as _util
import sys as _sys
from pathlib import Path as _Path

# In a checkout the kernels are beside this folder, not inside it. Load them from there, under the name they are
# installed as.
if not (_Path(__file__).parent / "kernels").is_dir():
    _spec = _util.spec_from_file_location("fastmlp.kernels", _Path(__file__).parents[1] / "kernels" / "__init__.py")
    assert _spec is not None
    assert _spec.loader is not None
    kernels = _sys.modules["fastmlp.kernels"] = _util.module_from_spec(_spec)
    _spec.loader.exec_module(kernels)

from ._version import __version__
from .estimators import MLPAutoencoder, MLPClassifier, MLPRegressor
from .inspection import (
    Diagnosis,
    DiagnosticsDisplay,
    GradientCheck,
    LossCurveDisplay,
    WeightImageDisplay,
    check_gradient,
    cost,
    cost_and_gradient,
    diagnose,
)

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
