"""Exponential moving average of the weights (Polyak & Juditsky 1992; Kingma & Ba 2015, section 7.2)."""

from typing import Any

from ._jit import LinkedKernel, inlined, linked_kernel
from ._memory import move, offset, stack, view
from ._records import record
from .layout import STRIP, STRIP_BYTES

__all__ = ["average_statistics", "follow", "linked"]


@inlined
def follow(average, w, gain):
    """average <- average + gain (w - average).

    With gain = (1 - d) / (1 - d^t) in step t, this is the average with decay d of Kingma & Ba, divided by 1 - d^t to
    correct its bias: (1 - d) / (1 - d^t) sum_s d^(t - s) w_s.
    """
    for i in range(w.size):
        average[i] = average[i] + gain * (w[i] - average[i])


@inlined
def average_statistics(layers, last, memory, gain):
    """Let the averaged running statistics of batch normalisation follow the statistics of training."""
    for l in range(1, last):
        layer = record(layers, l)
        if layer.norm:
            stats = view(memory.stats, layer.stats, 2 * layer.pre)
            follow(view(memory.average_stats, layer.stats, 2 * layer.pre), stats, stats.dtype.type(gain))


def linked(number: Any) -> list[LinkedKernel]:
    """Declare the kernel for arrays of `number`."""

    @linked_kernel(number)
    def average(a, w, n, gain):
        """Let the averaged weights a (n,), which are written, follow the weights w (n,), see `follow`."""
        rest = n % STRIP
        main = n - rest
        tail_a, tail_w = stack(a, STRIP_BYTES), stack(w, STRIP_BYTES)
        move(offset(a, main), tail_a, rest)
        move(offset(w, main), tail_w, rest)
        # Process the full strips, then the remaining elements.
        for last in range(int(main == 0), 1 + int(rest > 0)):
            A = view(tail_a, 0, STRIP) if last else view(a, 0, main)
            W = view(tail_w, 0, STRIP) if last else view(w, 0, main)
            follow(A, W, W.dtype.type(gain))
        move(tail_a, offset(a, main), rest)

    return [average]
