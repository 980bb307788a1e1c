"""The random numbers of dropout, as loops and as whole arrays.

They are those of the kernels: a hash of a key and of the position of an element in its mini-batch, so that they do not
depend on the order in which elements are computed.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["loop_mask", "vectorized_mask"]

FIRST, SECOND, GOLDEN = 0x7FEB352D, 0x846CA68B, 0x9E3779B9
WORD = 1 << 32


def mix(x: int) -> int:
    """Hash 32 bits: `lowbias32` of Wellons' search for integer hash functions (2018)."""
    x ^= x >> 16
    x = x * FIRST % WORD
    x ^= x >> 15
    x = x * SECOND % WORD
    return x ^ (x >> 16)


def mix_array(x: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Hash each element, see `mix`."""
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(FIRST)
    x = x ^ (x >> np.uint32(15))
    x = x * np.uint32(SECOND)
    return x ^ (x >> np.uint32(16))


def key_of(seed: int, step: int, layer: int) -> int:
    """Return the key of the dropout of A_layer in mini-batch `step`, counted from 0."""
    return mix((mix((seed + mix(step)) % WORD) + mix(layer)) % WORD)


def loop_mask(seed: int, step: int, layer: int, rows: int, units: int, rate: float) -> list[list[float]]:
    """Return the factors of dropout, element by element: 0 with the probability `rate`, otherwise 1 / (1 - rate).

    Parameters
    ----------
    seed : int
        Seed of the training.
    step : int
        Number of mini-batches before this one.
    layer : int
        Index l of A_l; 0 is the input.
    rows, units : int
        Shape of A_l.
    rate : float
        Fraction that is dropped, in [0, 1).

    Returns
    -------
    list of lists of float, of shape (rows, units)

    Examples
    --------
    >>> from fastmlp.reference import loops
    >>> loops.dropout_mask(1, 0, 0, 2, 3, 0.5)
    [[0.0, 2.0, 2.0], [2.0, 2.0, 2.0]]
    """
    key = key_of(seed, step, layer)
    mask = []
    for i in range(rows):
        row = mix((key + mix(i)) % WORD)
        factors = []
        for j in range(units):
            dropped = mix((row + j * GOLDEN) % WORD) < int(rate * WORD)
            factors.append(0.0 if dropped else 1.0 / (1.0 - rate))
        mask.append(factors)
    return mask


def vectorized_mask(seed: int, step: int, layer: int, rows: int, units: int, rate: float) -> NDArray[Any]:
    """Return the factors of dropout: 0 with the probability `rate`, otherwise 1 / (1 - rate).

    Parameters
    ----------
    seed : int
        Seed of the training.
    step : int
        Number of mini-batches before this one.
    layer : int
        Index l of A_l; 0 is the input.
    rows, units : int
        Shape of A_l.
    rate : float
        Fraction that is dropped, in [0, 1).

    Returns
    -------
    ndarray of shape (rows, units)

    Examples
    --------
    >>> from fastmlp.reference import vectorized
    >>> vectorized.dropout_mask(1, 0, 0, 2, 3, 0.5).tolist()
    [[0.0, 2.0, 2.0], [2.0, 2.0, 2.0]]
    """
    key = np.uint32(key_of(seed, step, layer))
    row = mix_array(key + mix_array(np.arange(rows, dtype=np.uint32)))
    numbers = mix_array(row[:, np.newaxis] + np.arange(units, dtype=np.uint32) * np.uint32(GOLDEN))
    return np.where(numbers < np.uint32(int(rate * WORD)), 0.0, 1.0 / (1.0 - rate))


Mask = Callable[[int, int, int, int, int, float], Any]
