"""The JIT options of the whole package, in one place.

`kernel` compiles a function that other kernels call; it is inlined or called, never cached on its own.
`entry_point` compiles a function that Python calls, and caches it on disk.

Numba's cache notices a change in the file of the entry point only. Entry points are therefore built by a
function that closes over `SOURCES`, a digest of every kernel file: the values a function closes over are part
of the cache's key, so an edited kernel, or one of another version, is never served from an old cache.
"""

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit

__all__ = ["SOURCES", "entry_point", "inlined", "kernel"]

# error_model="numpy": with Numba's default a division may raise, and a loop that may raise is not
# vectorised (Adam ran 7 times slower). No fast-math: an inlined copy must round like any other.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}

# Kernels are called from kernels only: wrappers for Python and C would take a third of the compile time.
kernel = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)

# For kernels that are called once, or large: every level of calls is optimised by LLVM anew, so a
# function called by a function called by an entry point is compiled three times.
inlined = njit(inline="always", **OPTIONS)


def _digest(folder: Path) -> str:
    """Digest of the names and contents of every kernel file in `folder`."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


SOURCES = _digest(Path(__file__).parent)


def entry_point(function: Callable[..., Any]) -> Any:
    """Compile `function` with an on-disk cache; without one where no cache folder can be written.

    `function` must close over `SOURCES`, see above.
    """
    try:
        return njit(cache=True, **OPTIONS)(function)
    except RuntimeError as error:
        if "cannot cache function" not in str(error):
            raise
        # One warning text for all entry points: the default filter shows it once.
        warnings.warn(
            "fastmlp cannot write its compiled kernels to disk, so every process compiles them again "
            "(some seconds). Set the environment variable NUMBA_CACHE_DIR to a writable folder.",
            RuntimeWarning,
            stacklevel=2,
        )
        return kernel(function)
