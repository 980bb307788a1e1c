"""Calls by address: every argument arrives as what the kernel takes, whatever the caller had."""

import ctypes

import numpy as np
import pytest
from fastmlp.kernels._call import call
from fastmlp.kernels._jit import OPTIONS
from fastmlp.kernels._memory import at, poke
from fastmlp.kernels._struct import words_of
from fastmlp.kernels.layout import OPTIONS as FIELDS
from fastmlp.kernels.layout import Options, options_of
from numba import cfunc, njit, types
from numba.extending import intrinsic

LONG, WIDE = types.int64, types.float64


@cfunc(types.void(types.CPointer(WIDE), LONG, LONG, LONG, WIDE, WIDE, FIELDS), error_model="numpy")
def take(out, yes, small, unsigned, single, whole, options):
    poke(out, 0, yes)
    poke(out, 1, small)
    poke(out, 2, unsigned)
    poke(out, 3, single)
    poke(out, 4, whole)
    poke(out, 5, options.tol)
    poke(out, 6, options.patience)


@njit(**OPTIONS)
def hand_over(address, out, yes, small, unsigned, single, words):
    call(address, at(out, 0), yes, small, unsigned, single, 0.25, options_of(words))


@intrinsic
def pointer(typingctx, address):
    """The address as what a table of kernels holds."""
    return types.voidptr(address), lambda context, builder, sig, args: builder.inttoptr(
        args[0], context.get_value_type(types.voidptr)
    )


@njit(**OPTIONS)
def hand_over_at(address, out, yes, small, unsigned, single, words):
    hand_over(pointer(address), out, yes, small, unsigned, single, words)


@pytest.mark.parametrize("yes", [False, True])
def test_arguments_arrive(yes):
    options = Options(*[0] * len(Options._fields))._replace(tol=1e-4, patience=7.0)
    out = np.zeros(7)
    hand_over_at(take.address, out, yes, np.int32(-5), np.uint32(2**32 - 1), np.float32(0.1), words_of(options))
    np.testing.assert_array_equal(out, [yes, -5, 2**32 - 1, np.float32(0.1), 0.25, 1e-4, 7.0])


def test_c_can_make_the_same_call():
    """The convention is C's, so tests and others may call a kernel through ctypes."""
    options, out = words_of(Options(*[0] * len(Options._fields))), np.zeros(7)
    kinds = [ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_double, ctypes.c_double, ctypes.c_void_p]
    ctypes.CFUNCTYPE(None, *kinds)(take.address)(out.ctypes.data, 1, 2, 3, 4.0, 5.0, options.ctypes.data)
    np.testing.assert_array_equal(out, [1, 2, 3, 4, 5, 0, 0])
