"""NumPy's legacy `RandomState.shuffle`, inside a kernel, draw for draw.

scikit-learn shuffles the rows once an epoch through `RandomState`. Doing the same here, from the same state of
the same generator (Matsumoto & Nishimura 1998), keeps its seeds valid, and lets one call run many epochs.
"""

from typing import Any

import numpy as np

from ._jit import LinkedKernel, inlined, kernel, linked_kernel
from ._memory import view
from .layout import KEYS

__all__ = ["draw", "linked", "permute"]

MIDDLE = 397
UPPER, LOWER = np.uint32(0x80000000), np.uint32(0x7FFFFFFF)
TWIST = np.uint32(0x9908B0DF)


@kernel
def twist(keys, i, following, other):
    """New word i of the state."""
    y = (keys[i] & UPPER) | (keys[following] & LOWER)
    odd = TWIST if y & np.uint32(1) else np.uint32(0)
    keys[i] = keys[other] ^ (y >> np.uint32(1)) ^ odd


@inlined
def refill(keys):
    """The next 624 words of state, in place."""
    for i in range(KEYS - MIDDLE):
        twist(keys, i, i + 1, i + MIDDLE)
    for i in range(KEYS - MIDDLE, KEYS - 1):
        twist(keys, i, i + 1, i + MIDDLE - KEYS)
    twist(keys, np.int64(KEYS - 1), np.int64(0), np.int64(MIDDLE - 1))


@kernel
def temper(y):
    """The number that a word of state stands for."""
    y ^= y >> np.uint32(11)
    y ^= (y << np.uint32(7)) & np.uint32(0x9D2C5680)
    y ^= (y << np.uint32(15)) & np.uint32(0xEFC60000)
    return y ^ (y >> np.uint32(18))


@inlined
def draw(picks, state, words):
    """picks[i] <- a draw below i + 1, for i = n-1..1: a word masked to the bits of i, again if above i.

    picks (n,) int32 and words (624,) uint32 are written; state (625,) uint32, 624 keys and the position as in
    `RandomState.get_state()`, moves on. There is no branch on the draw, which no CPU predicts: every word is stored,
    and i moves on if it fits.
    """
    i, half = picks.size - 1, 1
    while 2 * half <= i:
        half *= 2
    position = np.int64(state[KEYS])
    for t in range(position, KEYS):
        words[t] = temper(state[t])
    while i > 0:
        if position == KEYS:
            refill(state)
            for t in range(KEYS):
                words[t] = temper(state[t])
            position = 0
        mask = 2 * half - 1
        while position < KEYS and i >= half:
            pick = np.int64(words[position]) & mask
            picks[np.uint64(i)] = pick
            i -= pick <= i
            position += 1
        if i < half:
            half //= 2
    state[KEYS] = position


@inlined
def permute(order, picks):
    """order <- order[p], p what `RandomState.shuffle(arange(n))` makes of these picks.   order (n,) is written."""
    # Swapping the rows themselves, not 0..n-1, composes the permutations.
    for i in range(order.size - 1, 0, -1):
        j = np.uint64(picks[i])
        order[np.uint64(i)], order[j] = order[j], order[np.uint64(i)]


def linked(number: Any) -> list[LinkedKernel]:
    """Declare the kernel, for networks of any dtype."""

    @linked_kernel(number)
    def shuffle(order, picks, n, state, drawn, reorder):
        """`draw` for n rows, and `permute` where `reorder`; writes order, picks (n,), state (625,), drawn (624,)."""
        draw(view(picks, 0, n), view(state, 0, KEYS + 1), view(drawn, 0, KEYS))
        if reorder:
            permute(view(order, 0, n), view(picks, 0, n))

    return [shuffle]
