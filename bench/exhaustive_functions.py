"""Measure the largest error of every elementary function over all 2^32 float32 numbers.

Run `python -m bench.exhaustive_functions`, with or without names of functions. Each function takes one or two minutes.
The tests check a subset of these numbers, and random float64 numbers.
"""

import sys
from collections.abc import Callable

import numpy as np
from fastmlp.kernels import functions
from numba import njit
from scipy import special

from .harness import OPTIONS

# In float64, whose errors are much smaller than one unit in the last place of float32.
EXACT: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p_exp": lambda x: np.logaddexp(0, x),
    "logistic": special.expit,
    "tanh": np.tanh,
    "gelu_cdf": special.ndtr,
    "gelu_pdf": lambda x: np.exp(-x * x / 2) / np.sqrt(2 * np.pi),
}
CHUNK = 2**22


def loop(function):
    """Return the kernel `out <- function(x)`, element by element."""

    @njit(**OPTIONS)
    def elementwise(x, out):
        for i in range(x.shape[0]):
            out[i] = function(x[i])

    return elementwise


def ulps(y: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Return |y - exact| in units in the last place of `exact`; infinite if only one is NaN or overflows."""
    rounded = exact.astype(y.dtype)
    unit = np.spacing(np.minimum(np.abs(rounded), np.finfo(y.dtype).max))
    error = np.abs(y - exact) / unit
    error[np.isnan(error)] = np.inf
    error[(y == rounded) & ~np.isfinite(y) | np.isnan(y) & np.isnan(exact)] = 0
    return error


def main(names: list[str]) -> None:
    """Print the worst error of each function in `names`, and where it is."""
    for name in names:
        elementwise = loop(getattr(functions, name))
        worst, where = 0.0, np.float32(0)
        for start in range(0, 2**32, CHUNK):
            x = np.arange(start, start + CHUNK, dtype=np.uint32).view(np.float32)
            y = np.empty_like(x)
            elementwise(x, y)
            with np.errstate(all="ignore"):
                error = ulps(y, EXACT[name](x.astype(np.float64)))
            i = error.argmax()
            if error[i] > worst:
                worst, where = error[i], x[i]
        print(f"{name:10} {worst:.3f} ulp at {where!r}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(EXACT))
