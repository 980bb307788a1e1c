"""Calls by address: arguments are converted to what the kernel takes, and a call that does not fit is refused."""

import numpy as np
import pytest
from fastmlp.kernels._call import call
from fastmlp.kernels._jit import OPTIONS, LinkedKernel
from fastmlp.kernels._link import address, entry
from fastmlp.kernels._memory import at
from fastmlp.kernels._records import KernelAddress
from fastmlp.kernels._signatures import SIGNATURES
from numba import njit, types
from numba.core.errors import TypingError
from numba.extending import intrinsic


@intrinsic
def update_at(typingctx, address):
    """The address of the kernel `update` for float32, as `Memory` has it."""
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
def test_numbers_are_converted(kind, reorder):
    """A boolean and integers of any width arrive as int64."""
    results = []
    for run in ("kernel", "Python"):
        order, picks = np.arange(9, dtype=np.int32), np.zeros(9, np.int32)
        state, drawn = np.arange(625, dtype=np.uint32), np.zeros(624, np.uint32)
        if run == "kernel":
            shuffle(address("shuffle", "float32"), order, picks, kind(9), state, drawn, reorder)
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
def test_a_call_that_does_not_fit_is_refused(case):
    arguments, message = CALLS[case]
    scope = {"call": call, "shuffle_at": shuffle_at, "at": at}
    exec(f"def wrong(where, {ARRAYS}):\n    call(shuffle_at(where), {arguments})", scope)
    order = np.zeros(9, np.int32)
    words = np.zeros(625, np.uint32)
    with pytest.raises(TypingError, match=message):
        njit(**OPTIONS)(scope["wrong"])(0, order, order, words, words, np.zeros(9, np.float32))


def test_only_kernels_are_called():
    @njit(**OPTIONS)
    def wrong(where):
        call(where, 1)

    with pytest.raises(TypingError):
        wrong(0)


def test_a_kernel_with_other_parameters_than_declared_is_refused():
    def link(z, work, n, K):
        pass

    assert [name for name, _ in SIGNATURES["link"]] == ["z", "work", "K", "n"]
    with pytest.raises(TypeError, match="link must take the parameters"):
        LinkedKernel("link", link, types.float64)
