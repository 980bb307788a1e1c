"""Fused multiply-adds, vector instructions and the vector length of the CPU."""

import ctypes
import ctypes.util
import json
import platform
import subprocess
import sys

import numpy as np
import pytest
from fastmlp.kernels import _simd
from fastmlp.kernels._memory import at
from fastmlp.kernels._simd import fma, lanes, smaller
from numba import njit, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

DTYPES = [np.float32, np.float64]


@njit
def run_fma(x, y, z, out):
    for i in range(out.size):
        out[i] = fma(x[i], y[i], z[i])


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.mark.parametrize("dtype", DTYPES)
def test_fma_rounds_once(dtype, rng):
    library = ctypes.CDLL(ctypes.util.find_library("m") or "ucrtbase")
    name, kind = ("fmaf", ctypes.c_float) if dtype == np.float32 else ("fma", ctypes.c_double)
    function = getattr(library, name)
    function.restype, function.argtypes = kind, [kind] * 3
    x, y = rng.normal(size=(2, 1003)).astype(dtype)
    z = (-x * y * (1 + rng.normal(size=x.size) * np.finfo(dtype).eps)).astype(dtype)
    z[:3] = -0.0, np.inf, np.nan
    x[0] = 0.0
    out = np.empty_like(x)
    run_fma(x, y, z, out)
    expected = np.array([function(*values) for values in zip(x, y, z, strict=True)], dtype)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(np.signbit(out[:2]), np.signbit(expected[:2]))
    # Two roundings would have lost most of these digits.
    assert (out[3:] != x[3:] * y[3:] + z[3:]).any()


def test_fma_raises_for_mixed_types():
    with pytest.raises(TypingError):
        run_fma(np.ones(1, np.float32), np.ones(1), np.ones(1), np.ones(1))


@njit
def run_smaller(x, y):
    return smaller(x, y)


@pytest.mark.parametrize(("x", "y"), [(-3, 2), (2, -3), (5, 5), (0, 2**63 - 1), (-(2**63), 2**62)])
def test_smaller_is_the_minimum(x, y):
    assert run_smaller(x, y) == min(x, y)
    assert run_smaller(np.int32(7), y) == min(7, y)


def test_smaller_raises_for_floats():
    with pytest.raises(TypingError):
        run_smaller(1.0, 2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_lanes_fill_a_vector(dtype):
    @njit
    def count(x):
        return lanes(at(x, 0))

    x = np.ones(1, dtype)
    assert count(x) * x.itemsize == _simd.VECTOR_BYTES


@intrinsic
def copy_below(typingctx, src, dst, count):
    """Copy the first `count` values of a vector, through a mask."""
    sig = types.void(src, dst, types.int32)

    def codegen(context, builder, sig, args):
        size = _simd.lanes_of(args[0].type.pointee)
        mask = _simd.lanes_below(builder, args[2], 0, size)
        _simd.store(builder, _simd.load(builder, args[0], size, mask), args[1], mask)
        return context.get_dummy_value()

    return sig, codegen


@intrinsic
def transpose_square(typingctx, src, dst):
    """Transpose a square as wide as a vector."""
    sig = types.void(src, dst)

    def codegen(context, builder, sig, args):
        size = _simd.lanes_of(args[0].type.pointee)

        def row(pointer, i):
            return builder.gep(pointer, [_simd.ir.IntType(64)(i * size)])

        lines = [_simd.load(builder, row(args[0], i), size) for i in range(size)]
        for i, line in enumerate(_simd.square_transpose(builder, lines)):
            _simd.store(builder, line, row(args[1], i))
        return context.get_dummy_value()

    return sig, codegen


@pytest.mark.parametrize("dtype", DTYPES)
def test_masked_lanes_are_not_written(dtype):
    @njit
    def run(src, dst, count):
        copy_below(at(src, 0), at(dst, 0), count)

    size = _simd.VECTOR_BYTES // np.dtype(dtype).itemsize
    src = np.arange(1, size + 1, dtype=dtype)
    for count in range(size + 1):
        dst = np.full(size, -1, dtype)
        run(src, dst, count)
        np.testing.assert_array_equal(dst, np.where(src <= count, src, -1))


@pytest.mark.parametrize("dtype", DTYPES)
def test_square_transpose(dtype):
    @njit
    def run(src, dst):
        transpose_square(at(src, 0), at(dst, 0))

    size = _simd.VECTOR_BYTES // np.dtype(dtype).itemsize
    src = np.arange(size * size, dtype=dtype).reshape(size, size)
    dst = np.zeros_like(src)
    run(src, dst)
    np.testing.assert_array_equal(dst, src.T)


# NUMBA_CPU_NAME, NUMBA_CPU_FEATURES, and what `HAS_FMA` and `VECTOR_BYTES` should be.
TARGETS = [
    ("skylake-avx512", "", (True, 64)),
    ("haswell", "", (True, 32)),
    ("haswell", "-fma", (False, 16)),
    ("x86-64", "+fma", (True, 32)),  # has AVX, as FMA implies it
    ("x86-64", "", (False, 16)),
    ("generic", None, (False, 16)),
]
# Numba reads the variables again, as a new process would, which takes two seconds.
FIND = """
import importlib, json, os, sys
from fastmlp.kernels import _simd
from numba.core import config
found = []
for cpu, features, _ in json.loads(sys.argv[1]):
    os.environ["NUMBA_CPU_NAME"] = cpu
    os.environ.pop("NUMBA_CPU_FEATURES", None)
    if features is not None:
        os.environ["NUMBA_CPU_FEATURES"] = features
    config.reload_config()
    importlib.reload(_simd)
    found.append((_simd.HAS_FMA, _simd.VECTOR_BYTES))
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found_in_process():
    """Return the values for all `TARGETS`, found in one process, because this one has compiled for another target."""
    run = subprocess.run([sys.executable, "-c", FIND, json.dumps(TARGETS)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the tested CPUs are x86")
@pytest.mark.parametrize(("cpu", "features", "expected"), TARGETS)
def test_vector_length_matches_numba_target(cpu, features, expected, found_in_process):
    assert tuple(found_in_process[TARGETS.index((cpu, features, expected))]) == expected
