"""Predictions: the forward pass over all rows, chunk by chunk, as one thread of the team sees it."""

from typing import Any

from ._call import call
from ._jit import LinkedKernel, linked_kernel
from ._records import record
from ._simd import smaller

__all__ = ["linked"]


def linked(number: Any) -> list[LinkedKernel]:
    """Declare the kernel for networks of `number`."""

    @linked_kernel(number)
    def predict(rank, team, layers, plan, memory, signals):
        """Write `outputs` (m, K) of all rows, as thread `rank` of `team`.

        No barrier separates the chunks. A thread therefore keeps to its own part of the buffers, rows
        rank * (chunk // team) onwards, also in a chunk that is shorter than the others.
        """
        rows_left, start, chunk = record(plan, 0).rows, 0, record(plan, 0).chunk
        share = chunk // team
        while rows_left > 0:
            rows = smaller(chunk, rows_left)
            lo = smaller(rank * share, rows)
            n = (smaller(lo + share, rows) if rank + 1 < team else rows) - lo
            call(memory.linked.forward_rows, layers, plan, memory, start, rows, lo, n, 0, 0, 0.0, rank, team, signals)
            start += rows
            rows_left -= rows

    return [predict]
