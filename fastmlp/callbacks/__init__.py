"""Callbacks for `set_callbacks` of the estimators: checkpoints, and a history of the training.

They have the methods of scikit-learn's callbacks. They also work with versions of scikit-learn before 1.9, which do not
have callbacks.
"""

from ._checkpoint import Checkpoint
from ._history import History

__all__ = ["Checkpoint", "History"]
