"""The JIT options of the whole package, in one place.

`kernel` compiles a function that other kernels call; it is inlined or called, never cached on its own.
`linked_kernel` compiles a function that is called by address, from other kernels or from Python; it is cached on disk.

Numba's cache notices a change in the file of the function only. A linked kernel therefore closes over `SOURCES`, a
digest of every kernel file: the values that a function closes over are part of the cache's key, so an edited kernel, or
one of another version, is never served from an old cache.
"""

import functools
import inspect
import types
import warnings
from collections.abc import Callable
from typing import Any

import numba

from ._records import types_of
from ._signatures import SIGNATURES
from ._sources import SOURCES

__all__ = ["LinkedKernel", "elementary", "inlined", "kernel", "linked_kernel"]

# error_model="numpy": with Numba's default a division may raise, and a loop that may raise is not
# vectorised (Adam ran 7 times slower). No fast-math: an inlined copy must round like any other.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}

# Kernels are called from kernels only: wrappers for Python and C would take a third of the compile time.
kernel = numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)

# For functions of one number: a loop over a call that LLVM has not inlined is not vectorised.
elementary = numba.njit(forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)

# For parts that one kernel uses in one place. Numba inserts their code before LLVM sees it. Any other kernel is
# optimised and turned into machine code on its own, and again in every kernel that calls it.
inlined = numba.njit(inline="always", no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)


@functools.cache
def _warn_once() -> None:
    """Say that nothing is cached: once in a process, however many functions there are."""
    warnings.warn(
        "fastmlp cannot write its compiled kernels to disk, so every process compiles them again "
        "(some seconds). Set the environment variable NUMBA_CACHE_DIR to a writable folder.",
        RuntimeWarning,
        stacklevel=3,
    )


def closing_over(function: Callable[..., Any], value: Any) -> Callable[..., Any]:
    """Return `function` with `value` among the values that it closes over, which its code does not use."""
    code = function.__code__
    copy = types.FunctionType(
        code.replace(co_freevars=(*code.co_freevars, "closed_over")),
        function.__globals__,
        function.__name__,
        closure=(*(function.__closure__ or ()), types.CellType(value)),
    )
    copy.__qualname__, copy.__doc__ = function.__qualname__, function.__doc__
    return copy


class LinkedKernel:
    """A kernel that is called by address, for networks of one dtype; compiled when its address is first asked for.

    Parameters
    ----------
    name : str
        A key of `SIGNATURES`.
    function : callable
        Its parameters are those of that row.
    number : numba type
        The dtype of the network.

    Attributes
    ----------
    function : callable
        Closes over `SOURCES`.
    signature : numba signature

    Raises
    ------
    TypeError
        The function's parameters are not those of its row of `SIGNATURES`.
    """

    def __init__(self, name: str, function: Callable[..., Any], number: Any) -> None:
        declared = [parameter for parameter, _ in SIGNATURES[name]]
        if list(inspect.signature(function).parameters) != declared:
            raise TypeError(f"{name} must take the parameters {declared}, as SIGNATURES says")
        self.name = name
        self.function = closing_over(function, SOURCES)
        self.signature = numba.types.void(*types_of(name, number))

    @functools.cached_property
    def compiled(self) -> Any:
        """The C callback, compiled or loaded from the on-disk cache, where a folder for that can be written."""
        compiler = functools.partial(numba.cfunc, self.signature, error_model=OPTIONS["error_model"])
        try:
            return compiler(cache=True)(self.function)
        except RuntimeError as error:
            if "cannot cache function" not in str(error):
                raise
            _warn_once()
            return compiler(cache=False)(self.function)

    def assembly(self) -> tuple[str, str]:
        """Compile without caching; return optimised LLVM assembly, and the name of the function in it.

        The function has the calling convention of Numba: it returns a status, and takes pointers to its result and to
        an exception before its arguments.
        """
        dispatcher = kernel(self.function)
        dispatcher.compile(self.signature.args)
        compiled = dispatcher.overloads[self.signature.args]
        return compiled.library.get_llvm_str(), compiled.fndesc.llvm_func_name

    @property
    def address(self) -> int:
        """The address of the machine code."""
        return int(self.compiled.address)


def linked_kernel(number: Any, name: str | None = None) -> Callable[[Callable[..., Any]], LinkedKernel]:
    """Declare a kernel that is called by address, for networks of `number`; without `name`, it has the function's."""
    return lambda function: LinkedKernel(name or function.__name__, function, number)
