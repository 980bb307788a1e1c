"""Hyperparameter search that spends epochs on the candidates that deserve them."""

from ._hyperband import HyperbandSearchCV

__all__ = ["HyperbandSearchCV"]
