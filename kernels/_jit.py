"""The JIT decorators of the package and their options.

`kernel` compiles a function that other kernels call. It is inlined or called, and is not cached on its own.
`linked_kernel` compiles a function that other kernels or Python call by address. It is cached on disk.

Numba's cache only detects changes in the file that contains the function. A linked kernel therefore closes over
`SOURCES`, a digest of all kernel files. The values of closure variables are part of the cache key, so a change in any
kernel file invalidates the cached code.
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

# error_model="numpy": with Numba's default, a division by zero raises, and LLVM does not vectorise a loop that may
# raise (Adam ran 7 times slower). No fast-math flags: all inlined copies of a kernel must round alike.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}

# Only kernels call kernels. Wrappers for calls from Python and C would take a third of the compile time.
kernel = numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)

# For functions of one number. LLVM does not vectorise a loop with a call that it has not inlined.
elementary = numba.njit(forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)

# For parts of a kernel that are used in one place. Numba inlines them before it generates LLVM code. Functions compiled
# with `kernel` are optimised and compiled separately, and again within every kernel that calls them.
inlined = numba.njit(inline="always", no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)


@functools.cache
def _warn_once() -> None:
    """Warn that kernels cannot be cached, once per process."""
    warnings.warn(
        "fastmlp cannot write its compiled kernels to disk, so every process compiles them again "
        "(some seconds). Set the environment variable NUMBA_CACHE_DIR to a writable folder.",
        RuntimeWarning,
        stacklevel=3,
    )


def closing_over(function: Callable[..., Any], value: Any) -> Callable[..., Any]:
    """Return a copy of `function` with one more closure variable, `value`, which its code does not use."""
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
    """A kernel that is called by address, for networks of one dtype. It is compiled on the first access to its address.

    Parameters
    ----------
    name : str
        A key of `SIGNATURES`.
    function : callable
        Has the parameters that this row of `SIGNATURES` lists.
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
        If the parameters of the function differ from those in `SIGNATURES`.
    """

    def __init__(self, name: str, function: Callable[..., Any], number: Any) -> None:
        declared = [parameter for parameter, _ in SIGNATURES[name]]
        if list(inspect.signature(function).parameters) != declared:
            raise TypeError(f"{name} must take the parameters {declared}, as declared in SIGNATURES")
        self.name = name
        self.function = closing_over(function, SOURCES)
        self.signature = numba.types.void(*types_of(name, number))

    @functools.cached_property
    def compiled(self) -> Any:
        """The C callback, compiled or loaded from the on-disk cache. Not cached if no cache folder is writable."""
        compiler = functools.partial(numba.cfunc, self.signature, error_model=OPTIONS["error_model"])
        try:
            return compiler(cache=True)(self.function)
        except RuntimeError as error:
            if "cannot cache function" not in str(error):
                raise
            _warn_once()
            return compiler(cache=False)(self.function)

    def assembly(self) -> tuple[str, str]:
        """Compile without caching and return the optimised LLVM assembly and the name of the function in it.

        The function has Numba's calling convention: it returns a status, and its first two parameters are pointers to
        the result and to an exception.
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
    """Declare a kernel that is called by address, for networks of `number`; `name` defaults to the function's name."""
    return lambda function: LinkedKernel(name or function.__name__, function, number)
