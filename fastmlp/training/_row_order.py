"""The order of the rows in each epoch, drawn as scikit-learn draws it."""

from typing import Any

import numpy as np

from fastmlp.kernels.layout import DRAW, KEEP_ORDER, KEYS, SHUFFLE

__all__ = ["RowOrder"]


class RowOrder:
    """A permutation of the rows for each epoch, from `RandomState.shuffle`.

    Kernels draw it themselves from the state of the Mersenne Twister. Other generators are asked in Python, once an
    epoch.

    Parameters
    ----------
    rows : int
        Number of rows.
    batch : int
        Rows of a mini-batch.
    shuffle : bool
        Whether each epoch takes the rows in a new order.
    random : RandomState or None
        The generator.
    visible : bool
        Whether the generator belongs to the user, who sees how far it has moved.
    copied : bool, default=False
        Whether the rows of a mini-batch are copied in any case, as dropout of the input changes them.

    Attributes
    ----------
    mode : int
        KEEP_ORDER, SHUFFLE or DRAW, for the kernels.
    ordered : bool
        Whether rows are taken in the order of `order`.
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
        # The order of rows does not change a full batch; only a generator that the user can see must move on.
        reorder = shuffle and batch < rows
        self.ordered = reorder or copied
        mode = SHUFFLE if reorder else DRAW if shuffle and visible else KEEP_ORDER
        self.in_python = mode != KEEP_ORDER and not self._is_mersenne()
        self.mode = KEEP_ORDER if self.in_python else mode
        self._draws = self.mode != KEEP_ORDER
        self.order = np.arange(rows if self.ordered else 0, dtype=np.int32)
        self.picks = np.empty(rows if self._draws else 0, np.int32)
        self.words, self.scratch = np.empty(KEYS + 1, np.uint32), np.empty(KEYS, np.uint32)
        self._generator: dict[str, Any] = {}

    def _is_mersenne(self) -> bool:
        return self.random is not None and self.random.get_state(legacy=False)["bit_generator"] == "MT19937"

    def next_epoch(self) -> None:
        """Draw the order of one epoch from a generator that the kernels do not know."""
        assert self.random is not None
        picks = np.arange(self.rows, dtype=np.int32)
        self.random.shuffle(picks)
        if self.ordered and self.mode != DRAW:
            self.order[:] = self.order[picks]

    def load(self) -> None:
        """Copy the state of the generator to where the kernels find it."""
        if self._draws and self.random is not None:
            self._generator = self.random.get_state(legacy=False)
            self.words[:KEYS] = self._generator["state"]["key"]
            self.words[KEYS] = self._generator["state"]["pos"]

    def store(self) -> None:
        """Move the generator on to where the kernels have brought it."""
        if self._draws and self.random is not None:
            self._generator["state"]["key"] = self.words[:KEYS]
            self._generator["state"]["pos"] = int(self.words[KEYS])
            self.random.set_state(self._generator)
