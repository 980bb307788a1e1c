"""Matrix products: order of the sums, all shapes, no access out of bounds, the same bits on every CPU."""

import ctypes
import ctypes.util
import functools
import hashlib
import mmap
import os
import platform
import re
import subprocess
import sys

import llvmlite.binding as llvm
import numpy as np
import pytest
from fastmlp.kernels import matmul as module
from fastmlp.kernels._memory import at
from fastmlp.kernels.matmul import gemm, transpose
from numba import njit

DTYPES = [np.float32, np.float64]
# Close to the lengths of vectors and tiles of every instruction set, and primes.
ROWS = [0, 1, 2, 3, 7, 8, 13, 14, 15, 29, 33, 61]
DEPTHS = [0, 1, 2, 31, 32, 33, 67]
COLUMNS = [0, 1, 2, 3, 6, 7, 8, 9, 12, 13, 15, 16, 17, 31, 32, 33, 63, 65, 129]


@njit(nogil=True)
def _gemm(a, a_row, a_col, b, ldb, c, ldc, shape, start, start_row):
    m, k, n = shape
    gemm(at(a, 0), a_row, a_col, at(b, 0), ldb, at(c, 0), ldc, m, k, n, at(start, 0), start_row)


def run_gemm(a, a_row, a_col, b, ldb, c, ldc, shape, start, start_row):
    """Call `gemm` on arrays. They are flattened, because each number of dimensions would be compiled separately."""
    a, b, c, start = (array.reshape(-1) for array in (a, b, c, start))
    _gemm(a, a_row, a_col, b, ldb, c, ldc, shape, start, start_row)


@njit(nogil=True)
def run_transpose(src, ld_src, dst, ld_dst, rows, cols):
    transpose(at(src, 0), ld_src, at(dst, 0), ld_dst, rows, cols)


@functools.cache
def c_fma(dtype):
    """Return the fused multiply-add of the C library."""
    library = ctypes.CDLL(ctypes.util.find_library("m") or "ucrtbase")
    function, kind = (library.fmaf, ctypes.c_float) if dtype == np.float32 else (library.fma, ctypes.c_double)
    function.restype, function.argtypes = kind, [kind] * 3
    return function


def chain(a, b, start):
    """Return start + a b, computed by one fused multiply-add after the other."""
    fma = c_fma(a.dtype)
    total = float(start)
    for x, y in zip(a.tolist(), b.tolist(), strict=True):
        total = fma(x, y, total)
    return a.dtype.type(total)


def draw(rng, m, k, n, dtype):
    """Return A, B and start with numbers of different magnitudes, so that the order of a sum affects its bits."""
    arrays = (rng.normal(size=shape) * 10.0 ** rng.integers(-2, 3, shape) for shape in ((m, k), (k, n), (m, n)))
    return tuple(array.astype(dtype) for array in arrays)


def product(a, b, start, transposed=False):
    """Return start + A B, computed by `gemm` from A or its transpose in memory; `start` may be one row."""
    (m, k), n = a.shape, b.shape[1]
    c = np.full((m, n), np.nan, a.dtype)
    memory = np.ascontiguousarray(a.T if transposed else a)
    a_row, a_col = (1, m) if transposed else (k, 1)
    run_gemm(memory, a_row, a_col, b, n, c, n, (m, k, n), start, n if start.ndim == 2 else 0)
    return c


def assert_same_bits(x, y):
    assert x.dtype == y.dtype
    assert x.shape == y.shape
    assert x.tobytes() == y.tobytes()


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape", [(5, 9, 7), (16, 33, 1), (33, 40, 1), (40, 37, 5), (3, 21, 140), (29, 1, 33), (1, 50, 9)]
)
def test_values_are_ordered_chains_of_multiply_adds(shape, dtype, rng):
    a, b, start = draw(rng, *shape, dtype)
    expected = np.array([[chain(x, y, s) for y, s in zip(b.T, t, strict=True)] for x, t in zip(a, start, strict=True)])
    for transposed in (False, True):
        assert_same_bits(product(a, b, start, transposed), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transposed", [False, True])
def test_blocks_do_not_change_order_of_sum(transposed, dtype, rng):
    m, k, n = module.LARGE_ROWS + 3, 2 * module.DEPTH + 5, 45
    a, b, start = draw(rng, m, k, n, dtype)
    c = product(a, b, start, transposed)
    for i, j in zip(rng.integers(0, m, 20), rng.integers(0, n, 20), strict=True):
        assert c[i, j] == chain(a[i], b[:, j], start[i, j])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transposed", [False, True])
def test_every_shape(transposed, dtype, rng):
    for m in ROWS:
        for k in DEPTHS:
            for n in COLUMNS:
                a, b, start = (rng.normal(size=shape).astype(dtype) for shape in ((m, k), (k, n), (m, n)))
                exact = start.astype(np.float64) + a.astype(np.float64) @ b.astype(np.float64)
                # Each of k multiply-adds has a rounding error of half a unit in the last place of a partial sum, and so
                # does each of NumPy's in float64.
                bound = (k + 1) * np.finfo(dtype).eps * (np.abs(start) + np.abs(a) @ np.abs(b))
                assert (np.abs(product(a, b, start, transposed) - exact) <= bound).all(), (m, k, n)


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_do_not_depend_on_shape(dtype, rng):
    """The same row and column in products of other shapes, computed by other tiles, give the same bits."""
    a, b, start = draw(rng, 70, 700, 70, dtype)
    full = product(a, b, start)
    for rows in (1, 2, 5, 14, 33, 57):
        for cols in (1, 2, 5, 11, 17, 33, 47):
            b_part, start_part = np.ascontiguousarray(b[:, :cols]), np.ascontiguousarray(start[:rows, :cols])
            expected = np.ascontiguousarray(full[:rows, :cols])
            for transposed in (False, True):
                assert_same_bits(product(a[:rows], b_part, start_part, transposed), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(9, 50, 20), (40, 50, 1), (40, 50, 4), (70, 700, 60)])
def test_adding_to_c_continues_sum(shape, dtype, rng):
    m, k, n = shape
    a, b, start = draw(rng, m, k, n, dtype)
    once = product(a, b, start)
    for cut in (0, 1, k // 2, k):
        twice = product(np.ascontiguousarray(a[:, :cut]), b[:cut], start)
        run_gemm(a[:, cut:].copy(), k - cut, 1, b[cut:], n, twice, n, (m, k - cut, n), twice, n)
        assert_same_bits(twice, once)
        twice = product(np.ascontiguousarray(a[:, :cut]), b[:cut], start)
        run_gemm(a[:, cut:].T.copy(), 1, m, b[cut:], n, twice, n, (m, k - cut, n), twice, n)
        assert_same_bits(twice, once)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(9, 50, 20), (40, 50, 1), (40, 50, 4), (70, 700, 60), (5, 0, 3)])
def test_start_row_is_broadcast(shape, dtype, rng):
    a, b, start = draw(rng, *shape, dtype)
    bias = start[0].copy()
    rows = np.repeat(bias[None], shape[0], axis=0)
    for transposed in (False, True):
        assert_same_bits(product(a, b, bias, transposed), product(a, b, rows))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 3, 10, 100, 300])
def test_broadcast_one_gives_column_sums(n, dtype, rng):
    b = rng.normal(size=(57, n)).astype(dtype)
    sums, zeros = np.empty(n, dtype), np.zeros(n, dtype)
    run_gemm(np.ones(1, dtype), 0, 0, b, n, sums, n, (1, 57, n), zeros, 0)
    expected = zeros.copy()
    for row in b:
        expected += row
    assert_same_bits(sums, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_empty_sum_copies_start(dtype):
    start = np.array([[-0.0, 0.0, np.inf, -np.inf, np.nan] * 9] * 5, dtype)
    assert_same_bits(product(np.empty((5, 0), dtype), np.empty((0, 45), dtype), start), start)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 3, 1), (33, 40, 1), (33, 40, 5), (17, 20, 70)])
def test_non_finite_values_do_not_spread(shape, dtype):
    m, k, n = shape
    a, b, start = (np.ones(s, dtype) for s in ((m, k), (k, n), (m, n)))
    a[-1, 0], b[1, -1], start[0, 0] = np.inf, np.nan, -np.inf
    with np.errstate(invalid="ignore"):
        expected = start + a @ b
    for transposed in (False, True):
        np.testing.assert_array_equal(product(a, b, start, transposed), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(
    "shape",
    [(1, 5, 3), (3, 33, 1), (35, 33, 1), (35, 33, 2), (40, 40, 5), (31, 9, 17), (15, 40, 100), (59, 701, 51)],
)
def test_memory_around_arrays_is_not_used(shape, transposed, dtype, rng):
    """Each array is a view of a larger array, which is otherwise filled with NaN."""
    m, k, n = shape

    def window(values):
        rows, cols = values.shape
        frame = np.full((rows + 2, cols + 37), np.nan, dtype)
        inside = frame[1:-1, 19 : 19 + cols]
        inside[...] = values
        return frame, inside.base.reshape(-1)[frame.shape[1] + 19 :], frame.shape[1]

    a, b, start = draw(rng, m, k, n, dtype)
    expected = product(a, b, start)
    _, a_at, lda = window(a.T if transposed else a)
    _, b_at, ldb = window(b)
    _, start_at, ld_start = window(start)
    frame, c_at, ldc = window(np.zeros((m, n), dtype))
    a_row, a_col = (1, lda) if transposed else (lda, 1)
    run_gemm(a_at, a_row, a_col, b_at, ldb, c_at, ldc, shape, start_at, ld_start)
    assert_same_bits(frame[1:-1, 19 : 19 + n].copy(), expected)
    frame[1:-1, 19 : 19 + n] = np.nan
    assert np.isnan(frame).all()


@pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")
@pytest.mark.parametrize("dtype", DTYPES)
def test_no_access_out_of_bounds(dtype, rng):
    """Each array ends before inaccessible memory, so an access out of bounds terminates the process."""
    library = ctypes.CDLL(None, use_errno=True)

    def at_the_edge(values):
        size = -(-max(values.nbytes, 1) // mmap.PAGESIZE) * mmap.PAGESIZE
        memory = mmap.mmap(-1, size + mmap.PAGESIZE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        assert library.mprotect(ctypes.c_void_p(address + size), ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
        array = np.frombuffer(memory, dtype, values.size, offset=size - values.nbytes).reshape(values.shape)
        array[...] = values
        return array

    for m, k, n in [(1, 5, 3), (2, 5, 70), (5, 33, 1), (35, 33, 1), (40, 40, 5), (31, 9, 17), (59, 701, 51)]:
        a, b, start = draw(rng, m, k, n, dtype)
        expected = product(a, b, start)
        c = at_the_edge(np.zeros((m, n), dtype))
        b, start = at_the_edge(b), at_the_edge(start)
        run_gemm(at_the_edge(a), k, 1, b, n, c, n, (m, k, n), start, n)
        assert_same_bits(c.copy(), expected)
        run_gemm(at_the_edge(a.T), 1, m, b, n, c, n, (m, k, n), start, n)
        assert_same_bits(c.copy(), expected)
        turned = at_the_edge(np.zeros((n, m), dtype))
        run_transpose(start, n, turned, m, m, n)
        assert_same_bits(turned.copy(), start.T.copy())


@pytest.mark.parametrize("dtype", DTYPES)
def test_transpose(dtype, rng):
    for rows in (0, 1, 3, 7, 8, 15, 16, 17, 40):
        for cols in (0, 1, 2, 8, 9, 15, 16, 33):
            source = rng.normal(size=(rows, cols + 3)).astype(dtype)
            target = np.full((cols + 1, rows + 5), np.nan, dtype)
            run_transpose(source, cols + 3, target, rows + 5, rows, cols)
            assert_same_bits(target[:cols, :rows].copy(), source[:, :cols].T.copy())
            target[:cols, :rows] = np.nan
            assert np.isnan(target).all()


DIGEST = """
import hashlib, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from test_matmul import digest
print(digest())
"""


def digest():
    """Return a digest of products that use all tiles and all code paths."""
    rng, result = np.random.default_rng(3), hashlib.sha256()
    shapes = [(1, 40, 150), (47, 5, 67), (2, 3, 1), (70, 64, 1), (70, 64, 2), (70, 40, 5), (60, 1000, 40)]
    for dtype in DTYPES:
        for shape in shapes:
            a, b, start = draw(rng, *shape, dtype)
            for transposed in (False, True):
                result.update(product(a, b, start, transposed).tobytes())
    return result.hexdigest()


# Names and features of CPUs, and the feature that this machine needs to run their code.
X86 = {
    "AVX2 and FMA": ("haswell", None, "avx2"),
    "baseline and FMA": ("x86-64", "+fma", "fma"),
    "baseline": ("x86-64", "", "sse2"),
}


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the tested CPUs are x86")
def test_bits_do_not_depend_on_instruction_set(tmp_path):
    has = llvm.get_host_cpu_features()
    runs = {}
    for name, (cpu, features, needed) in X86.items():
        if not has.get(needed):
            continue
        environment = os.environ | {"NUMBA_CPU_NAME": cpu, "NUMBA_CACHE_DIR": str(tmp_path / cpu)}
        environment["NUMBA_CPU_FEATURES"] = features or ""
        command = [sys.executable, "-c", DIGEST, os.path.dirname(__file__)]
        runs[name] = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    here = digest()
    for name, process in runs.items():
        output, _ = process.communicate(timeout=1200)
        assert process.returncode == 0, name
        assert output.strip() == here, name


def test_tiles_are_compiled_once_for_literals_and_variables():
    @njit
    def both(a, b, c, one):
        gemm(at(a, 0), 1, 1, at(b, 0), 1, at(c, 0), 1, 1, 1, 1, at(c, 0), 0)
        gemm(at(a, 0), one, one, at(b, 0), one, at(c, 0), one, one, one, one, at(c, 0), one)

    one = np.ones(1)
    c = np.zeros(1)
    both(one, one, c, 1)
    assert c[0] == 2.0
    code = next(iter(both.inspect_llvm().values()))
    # Copies that LLVM creates for a constant argument do not count.
    definitions = re.findall(r"^define linkonce_odr .*@_ZN\w*8_product", code, re.MULTILINE)
    assert len(definitions) == 1


def test_transpose_raises_outside_kernels():
    with pytest.raises(NotImplementedError, match="only kernels"):
        transpose()
