"""Generators of random numbers."""

from numbers import Integral
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from sklearn.utils import check_random_state

__all__ = ["random_generator"]


class _NoSeeds(ISeedSequence):
    """The seeds of a generator that is seeded again before it is used."""

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Any:
        """Return zeros, as a list, because the generator reads them one by one."""
        return [0] * n_words


def random_generator(random_state: Any) -> np.random.RandomState:
    """Return the generator of `sklearn.utils.check_random_state`.

    `RandomState(seed)` first seeds itself with 624 words from the operating system. That takes 0.1 ms, as long as five
    epochs of a small network, and the integer seed then replaces them.
    """
    if not isinstance(random_state, Integral):
        return check_random_state(random_state)
    random = np.random.RandomState(np.random.MT19937(_NoSeeds()))  # type: ignore[arg-type]
    random.seed(int(random_state))
    return random
