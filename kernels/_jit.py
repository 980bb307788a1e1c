"""The JIT options of the whole package, in one place.

`kernel` compiles a function that other kernels call; it is inlined or called, never cached on its own.
`entry_point` compiles a function that Python calls, `linked_kernel` one that kernels call by address; both are
cached on disk.

Numba's cache notices a change in the file of the function only. These two are therefore built by a
function that closes over `SOURCES`, a digest of every kernel file: the values a function closes over are part
of the cache's key, so an edited kernel, or one of another version, is never served from an old cache.
"""

import functools
import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import cfunc, njit

__all__ = ["SOURCES", "elementary", "entry_point", "inlined", "kernel", "linked_kernel"]

# error_model="numpy": with Numba's default a division may raise, and a loop that may raise is not
# vectorised (Adam ran 7 times slower). No fast-math: an inlined copy must round like any other.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}

# Kernels are called from kernels only: wrappers for Python and C would take a third of the compile time.
kernel = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)

# For functions of one number: a loop over a call that LLVM has not inlined is not vectorised.
elementary = njit(forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)

# For parts that stand in one place of one kernel: put there by Numba, so that LLVM sees them once. Any other kernel is
# optimised and turned into machine code on its own, and again in every kernel that calls it.
inlined = njit(inline="always", no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)


def _digest(folder: Path) -> str:
    """Digest of the names and contents of every kernel file in `folder`."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


SOURCES = _digest(Path(__file__).parent)


@functools.cache
def _warn_once() -> None:
    """Say that nothing is cached: once in a process, however many functions there are."""
    warnings.warn(
        "fastmlp cannot write its compiled kernels to disk, so every process compiles them again "
        "(some seconds). Set the environment variable NUMBA_CACHE_DIR to a writable folder.",
        RuntimeWarning,
        stacklevel=3,
    )


def _cached(compiler: Callable[..., Any], function: Callable[..., Any]) -> Any:
    """Return compiler(function, cache=True); without the cache where no folder for it can be written."""
    try:
        return compiler(function, cache=True)
    except RuntimeError as error:
        if "cannot cache function" not in str(error):
            raise
        _warn_once()
        return compiler(function, cache=False)


def entry_point(function: Callable[..., Any]) -> Any:
    """Compile `function` for callers in Python, with an on-disk cache where that can be written.

    `function` must close over `SOURCES`, see above.
    """
    return _cached(lambda function, cache: njit(cache=cache, no_cfunc_wrapper=True, **OPTIONS)(function), function)


def linked_kernel(signature: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function at once, for callers that know its address; cached as an entry point is."""
    options = {"error_model": OPTIONS["error_model"]}
    return lambda function: _cached(
        lambda function, cache: cfunc(signature, cache=cache, **options)(function), function
    )
