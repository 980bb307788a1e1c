"""Folds of rows that are alike in their targets."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["NEVER_HELD_OUT", "deal_folds", "only_rows"]

NEVER_HELD_OUT = -1


def deal_folds(
    y: NDArray[np.generic], n_folds: int, random: np.random.RandomState, *, classes: bool
) -> NDArray[np.int64]:
    """Return the fold of each row, so that targets are spread evenly over the folds.

    The rows are sorted by their targets, in random order where these are equal, and every `n_folds` consecutive rows
    are dealt to the folds at random. So folds are stratified for classes and for numbers.

    Parameters
    ----------
    y : ndarray of shape (m,)
        Class numbers or values.
    n_folds : int
    random : RandomState
    classes : bool
        Whether `y` are class numbers: then the only row of a class is in no fold, because a network that is trained
        without it could not predict the class.

    Returns
    -------
    ndarray of shape (m,)
        0, ..., n_folds - 1, or NEVER_HELD_OUT.
    """
    m = len(y)
    alone = only_rows(y) if classes else np.zeros(m, bool)
    order = np.lexsort((random.permutation(m), y, alone))  # those alone come last, so that they empty no fold
    dealt = np.concatenate([random.permutation(n_folds) for _ in range(0, m, n_folds)])[:m]
    folds = np.empty(m, np.int64)
    folds[order] = dealt
    folds[alone] = NEVER_HELD_OUT
    return folds


def only_rows(y: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return for each row whether it is the only one of its class."""
    _, places, counts = np.unique(y, return_inverse=True, return_counts=True)
    return counts[places] == 1
