"""The limits of one core, which shares of the peak refer to; measured in every run, in the same process.

Arithmetic: chains of fused multiply-adds in registers, with the vectors of the instruction set that the kernels use.
Memory: a <- a / 2 + b over arrays that fit into the first-level cache, the second-level cache, or only into memory.
"""

from functools import partial
from typing import Any

import numpy as np
from fastmlp.kernels import _simd
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from .harness import DTYPES, OPTIONS, Case, Effort, Key, Trial

__all__ = ["BANDWIDTHS", "cases"]

CHAINS = 12  # two units with a latency of four or five cycles need 8 to 10 chains
STEPS = 1_000_000
# Bytes of the two arrays together.
BANDWIDTHS = {"16 KiB": 2**14, "384 KiB": 3 * 2**17, "128 MiB": 2**27}
SWEPT_BYTES = 2**28


@intrinsic
def _fma_chains(typingctx, x, steps):
    """Sum of all lanes of CHAINS vectors after `steps` times v <- v / 2 + x, which tends to 2 x."""
    sig = x(x, types.intp)

    def codegen(context, builder, sig, args):
        kind = args[0].type
        lanes = _simd.lanes_of(kind)
        half, one = (_simd.splat(builder, value, lanes) for value in (kind(0.5), args[0]))
        chains = [cgutils.alloca_once_value(builder, one) for _ in range(CHAINS)]
        with cgutils.for_range(builder, args[1]):
            for chain in chains:
                builder.store(_simd.vector_fma(builder, builder.load(chain), half, one), chain)
        total = kind(0)
        for chain in chains:
            vector = builder.load(chain)
            for lane in range(lanes):
                total = builder.fadd(total, builder.extract_element(vector, context.get_constant(types.intp, lane)))
        return total

    return sig, codegen


@njit(**OPTIONS)
def _arithmetic(x, steps):
    return _fma_chains(x, steps)


@njit(**OPTIONS)
def _sweep(a, b, times):
    """a <- a / 2 + b, `times` times."""
    half = a.dtype.type(0.5)
    for _ in range(times):
        for i in range(a.size):
            a[i] = half * a[i] + b[i]


def arithmetic(dtype: str) -> Trial:
    """Time fused multiply-adds of one core."""
    lanes = _simd.VECTOR_BYTES // np.dtype(dtype).itemsize

    def check(total: float) -> dict[str, Any]:
        np.testing.assert_allclose(total, 2 * lanes * CHAINS, rtol=1e-6)
        return {}

    run = partial(_arithmetic, np.dtype(dtype).type(1), STEPS)
    return Trial({"1 thread": run}, check, facts={"flops": 2 * STEPS * lanes * CHAINS})


def bandwidth(size: int) -> Trial:
    """Time what one core reads and writes."""
    a, b = np.zeros(size // 8, np.float32), np.ones(size // 8, np.float32)
    times = max(1, SWEPT_BYTES // size)

    def check(_: None) -> dict[str, Any]:
        a[:] = 1
        _sweep(a, b, 1)
        assert (a == 1.5).all()
        return {}

    return Trial({"1 thread": partial(_sweep, a, b, times)}, check, per=times, facts={"bytes": 3 * a.nbytes})


def cases(effort: Effort) -> list[Case]:
    """Return the limits of one core."""
    made = {("arithmetic", dtype): partial(arithmetic, dtype) for dtype in DTYPES}
    made |= {(f"memory, {name}", "float32"): partial(bandwidth, size) for name, size in BANDWIDTHS.items()}
    return [Case(Key("peak", *names, "fastmlp"), make) for names, make in made.items()]
