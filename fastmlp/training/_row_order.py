"""The order of the rows in each epoch, with the same random numbers as in scikit-learn."""

from typing import Any

import numpy as np

from fastmlp.kernels.layout import DRAW, KEEP_ORDER, KEYS, SHUFFLE

__all__ = ["RowOrder"]


class RowOrder:
    """A permutation of the rows for each epoch, from `RandomState.shuffle`.

    Kernels generate the order themselves if the generator is a Mersenne Twister. For other generators, Python generates
    it before each epoch.

    Parameters
    ----------
    rows : int
        Number of rows.
    batch : int
        Rows of a mini-batch.
    shuffle : bool
        Whether the rows are shuffled before each epoch.
    random : RandomState or None
        The generator.
    visible : bool
        Whether the generator belongs to the user, who can observe its state.
    copied : bool, default=False
        Whether the rows of a mini-batch are always copied, because dropout of the input changes them.

    Attributes
    ----------
    mode : int
        KEEP_ORDER, SHUFFLE or DRAW, for the kernels.
    ordered : bool
        Whether rows are processed in the order of `order`.
    draws : bool
        Whether the generator is used.
    in_python : bool
        Whether `next_epoch` must be called before each epoch.
    order, picks, words, scratch : ndarray
        The arrays of `Memory` named order, picks, random and words.
    """

    def __init__(
        self,
        rows: int,
        batch: int,
        *,
        shuffle: bool,
        random: np.random.RandomState | None,
        visible: bool = True,
        copied: bool = False,
    ) -> None:
        self.rows, self.random = rows, random
        # A full batch does not depend on the order of its rows, but the user's generator must advance.
        reorder = shuffle and batch < rows
        self.ordered = reorder or copied
        mode = SHUFFLE if reorder else DRAW if shuffle and visible else KEEP_ORDER
        self.in_python = mode != KEEP_ORDER and not self._is_mersenne()
        self.mode = KEEP_ORDER if self.in_python else mode
        self._draws = self.mode != KEEP_ORDER
        self.draws = self._draws or self.in_python
        self.order = np.arange(rows if self.ordered else 0, dtype=np.int32)
        self.picks = np.empty(rows if self._draws else 0, np.int32)
        self.words, self.scratch = np.empty(KEYS + 1, np.uint32), np.empty(KEYS, np.uint32)
        self._generator: dict[str, Any] = {}

    def begin(self) -> None:
        """Begin with the rows in order, as each call of `fit` and `partial_fit` does."""
        self.order[:] = np.arange(len(self.order), dtype=np.int32)

    def _is_mersenne(self) -> bool:
        return self.random is not None and self.random.get_state(legacy=False)["bit_generator"] == "MT19937"

    def next_epoch(self) -> None:
        """Generate the order of one epoch with a generator that the kernels do not support."""
        assert self.random is not None
        picks = np.arange(self.rows, dtype=np.int32)
        self.random.shuffle(picks)
        if self.ordered and self.mode != DRAW:
            self.order[:] = self.order[picks]

    def load(self) -> None:
        """Copy the state of the generator to the array that the kernels use."""
        if self._draws and self.random is not None:
            self._generator = self.random.get_state(legacy=False)
            self.words[:KEYS] = self._generator["state"]["key"]
            self.words[KEYS] = self._generator["state"]["pos"]

    def store(self) -> None:
        """Set the generator to the state that the kernels have advanced."""
        if self._draws and self.random is not None:
            self._generator["state"]["key"] = self.words[:KEYS]
            self._generator["state"]["pos"] = int(self.words[KEYS])
            self.random.set_state(self._generator)
