"""Prediction: the forward pass over all rows in chunks, as run by each thread of the team."""

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

        There is no barrier between chunks. Each thread therefore only uses its own part of the buffers, the rows from
        rank * (chunk // team) on, even in a shorter last chunk.
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
