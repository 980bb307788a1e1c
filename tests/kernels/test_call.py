"""Calls by address convert their arguments to the types of the kernel, and raise for wrong arguments."""

import numpy as np
import pytest
from fastmlp.kernels._call import call
from fastmlp.kernels._jit import OPTIONS, LinkedKernel
from fastmlp.kernels._link import entry, kernel_address
from fastmlp.kernels._memory import at
from fastmlp.kernels._records import KernelAddress
from fastmlp.kernels._signatures import SIGNATURES
from numba import njit, types
from numba.core.errors import TypingError
from numba.extending import intrinsic


@intrinsic
def update_at(typingctx, address):
    """Return the address of the kernel `update` for float32, with the type that it has in `Memory`."""
    sig = KernelAddress("update", types.float32)(address)
    return sig, lambda context, builder, sig, args: builder.inttoptr(args[0], context.get_value_type(sig.return_type))


@intrinsic
def shuffle_at(typingctx, address):
    sig = KernelAddress("shuffle", types.float32)(address)
    return sig, lambda context, builder, sig, args: builder.inttoptr(args[0], context.get_value_type(sig.return_type))


@njit(**OPTIONS)
def shuffle(where, order, picks, n, state, drawn, reorder):
    call(shuffle_at(where), at(order, 0), at(picks, 0), n, at(state, 0), at(drawn, 0), reorder)


@pytest.mark.parametrize("reorder", [False, True])
@pytest.mark.parametrize("kind", [np.int32, np.uint8, int])
def test_call_converts_numbers(kind, reorder):
    """Booleans and integers of any width are converted to int64."""
    results = []
    for run in ("kernel", "Python"):
        order, picks = np.arange(9, dtype=np.int32), np.zeros(9, np.int32)
        state, drawn = np.arange(625, dtype=np.uint32), np.zeros(624, np.uint32)
        if run == "kernel":
            shuffle(kernel_address("shuffle", "float32"), order, picks, kind(9), state, drawn, reorder)
        else:
            arrays = [array.ctypes.data for array in (order, picks, state, drawn)]
            entry("shuffle", "float32")(*arrays[:2], 9, *arrays[2:], reorder)
        results.append((order, picks, state, drawn))
    np.testing.assert_equal(results[0], results[1])
    assert (results[0][0] != np.arange(9)).any() == reorder


ARRAYS = "order, picks, state, drawn, x"
CALLS = {
    "too few": ("at(order, 0), at(picks, 0), 9, at(state, 0), at(drawn, 0)", "shuffle takes 6 arguments .*, got 5"),
    "too many": ("at(order, 0), at(picks, 0), 9, at(state, 0), at(drawn, 0), 1, 1", "takes 6 arguments .*, got 7"),
    "number for a pointer": ("9, at(picks, 0), 9, at(state, 0), at(drawn, 0), 1", "argument order must be int32"),
    "pointer for a number": ("at(order, 0), at(picks, 0), at(x, 0), at(state, 0), at(drawn, 0), 1", "argument n must"),
    "swapped": ("at(order, 0), at(picks, 0), 9, at(state, 0), 1, at(drawn, 0)", "argument drawn must be uint32"),
    "another dtype": ("at(order, 0), at(x, 0), 9, at(state, 0), at(drawn, 0), 1", "argument picks must be int32"),
    "float": (
        "at(order, 0), at(picks, 0), 9.0, at(state, 0), at(drawn, 0), 1",
        "argument n must be int",
    ),
}


@pytest.mark.parametrize("case", CALLS)
def test_call_with_wrong_arguments_raises(case):
    arguments, message = CALLS[case]
    scope = {"call": call, "shuffle_at": shuffle_at, "at": at}
    exec(f"def wrong(where, {ARRAYS}):\n    call(shuffle_at(where), {arguments})", scope)
    order = np.zeros(9, np.int32)
    words = np.zeros(625, np.uint32)
    with pytest.raises(TypingError, match=message):
        njit(**OPTIONS)(scope["wrong"])(0, order, order, words, words, np.zeros(9, np.float32))


def test_call_of_something_else_raises():
    @njit(**OPTIONS)
    def wrong(where):
        call(where, 1)

    with pytest.raises(TypingError):
        wrong(0)


def test_kernel_with_undeclared_parameters_raises():
    def link(z, work, n, K):
        pass

    assert [name for name, _ in SIGNATURES["link"]] == ["z", "work", "K", "n"]
    with pytest.raises(TypeError, match="link must take the parameters"):
        LinkedKernel("link", link, types.float64)
