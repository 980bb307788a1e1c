"""fastmlp: scikit-learn's multilayer perceptron, many times faster on CPUs."""

from ._mlp import MLPClassifier, MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "__version__"]

__version__ = "0.1.0"
