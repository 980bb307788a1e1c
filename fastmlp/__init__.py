"""fastmlp: scikit-learn's multilayer perceptron, many times faster on CPUs."""

__version__ = "0.1.0"
