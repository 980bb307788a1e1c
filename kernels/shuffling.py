"""NumPy's `RandomState.shuffle` as a kernel, with exactly the same random numbers.

scikit-learn shuffles the rows in each epoch with `RandomState`. This kernel does the same from the same state of the
same generator (Matsumoto & Nishimura 1998), so that a seed gives the same order, and one call can run many epochs.
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
    """Return the new word i of the state."""
    y = (keys[i] & UPPER) | (keys[following] & LOWER)
    odd = TWIST if y & np.uint32(1) else np.uint32(0)
    keys[i] = keys[other] ^ (y >> np.uint32(1)) ^ odd


@inlined
def refill(keys):
    """Compute the next 624 words of the state in place."""
    for i in range(KEYS - MIDDLE):
        twist(keys, i, i + 1, i + MIDDLE)
    for i in range(KEYS - MIDDLE, KEYS - 1):
        twist(keys, i, i + 1, i + MIDDLE - KEYS)
    twist(keys, np.int64(KEYS - 1), np.int64(0), np.int64(MIDDLE - 1))


@kernel
def temper(y):
    """Return the random number for a word of the state."""
    y ^= y >> np.uint32(11)
    y ^= (y << np.uint32(7)) & np.uint32(0x9D2C5680)
    y ^= (y << np.uint32(15)) & np.uint32(0xEFC60000)
    return y ^ (y >> np.uint32(18))


@inlined
def draw(picks, state, words):
    """picks[i] <- a random integer <= i, for i = n-1..1: a word masked to the bits of i, rejected if above i.

    picks (n,) int32 and words (624,) uint32 are written; state (625,) uint32, 624 keys and the position as in
    `RandomState.get_state()`, advances. There is no branch on a random word, because the CPU could not predict it:
    every word is stored, and i only advances if the word is accepted.
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
    """order <- order[p], where `RandomState.shuffle` turns arange(n) into p.   order (n,) is written."""
    # Swapping the elements of `order` instead of 0..n-1 composes the permutations.
    for i in range(order.size - 1, 0, -1):
        j = np.uint64(picks[i])
        order[np.uint64(i)], order[j] = order[j], order[np.uint64(i)]


def linked(number: Any) -> list[LinkedKernel]:
    """Declare the kernel, which does not depend on `number`."""

    @linked_kernel(number)
    def shuffle(order, picks, n, state, drawn, reorder):
        """Apply `draw` and, if `reorder`, `permute`.   order, picks (n,), state (625,), drawn (624,) are written."""
        draw(view(picks, 0, n), view(state, 0, KEYS + 1), view(drawn, 0, KEYS))
        if reorder:
            permute(view(order, 0, n), view(picks, 0, n))

    return [shuffle]
