"""Hyperparameter search that stops the training of bad candidates early."""

from ._hyperband import HyperbandSearchCV

__all__ = ["HyperbandSearchCV"]
