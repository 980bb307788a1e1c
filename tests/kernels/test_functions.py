"""Elementary functions: errors, special values, reproducible bits and vectorisation."""

import functools
import hashlib
import os
import platform
import subprocess
import sys

import numpy as np
import pytest
from fastmlp.kernels import functions
from fastmlp.kernels._jit import OPTIONS
from hypothesis import example, given
from hypothesis import strategies as st
from numba import njit
from scipy import special

DTYPES = [np.float32, np.float64]
WIDE = np.longdouble
INF, NAN = float("inf"), float("nan")

# Largest error in units in the last place, as stated in the docstrings.
BOUND = {
    "exp": 1,
    "expm1": 2,
    "log": 1,
    "log1p_exp": 2,
    "logistic": 2,
    "tanh": 2,
    "gelu_cdf": 4,
    "gelu_pdf": 2,
}


# Exact values: in float64 for float32, in long double for float64


def exact_logistic(x):
    return np.where(x > 0, 1 / (1 + np.exp(-x)), np.exp(x) / (1 + np.exp(np.minimum(x, 0))))


def exact_density(x):
    return np.exp(-x * x / 2) / np.sqrt(4 * np.arccos(x.dtype.type(0)))


def exact_distribution(x):
    """Taylor series near 0, continued fraction elsewhere. SciPy's `ndtr` is hundreds of units off in the tails."""
    if x.dtype == np.float64:
        return special.ndtr(x)
    near, far = np.minimum(np.abs(x), 2), np.maximum(np.abs(x), 2)
    term = series = near
    for k in range(3, 120, 2):
        term = term * near * near / k
        series = series + term
    fraction = far
    for k in range(400, 0, -1):
        fraction = far + k / fraction
    left = np.where(np.abs(x) < 2, 0.5 - series * exact_density(near), exact_density(far) / fraction)
    return np.where(np.isnan(x), x, np.where(x > 0, 1 - left, left))


EXACT = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p_exp": lambda x: np.logaddexp(x, 0),
    "logistic": exact_logistic,
    "tanh": np.tanh,
    "gelu_cdf": exact_distribution,
    "gelu_pdf": exact_density,
}


@functools.cache
def loop(name):
    """Return a kernel that computes `out <- name(x)` elementwise."""
    function = getattr(functions, name)

    @njit(**OPTIONS)
    def elementwise(x, out):
        for i in range(x.shape[0]):
            out[i] = function(x[i])

    return elementwise


@functools.cache
def scalar(name):
    """Return the function of one number. Python cannot call a kernel itself, which has no wrapper."""
    function = getattr(functions, name)

    @njit(**OPTIONS)
    def wrapped(x):
        return function(x)

    return wrapped


def call(name, x):
    out = np.empty_like(x)
    loop(name)(x, out)
    return out


def ulps(name, x):
    """Return the error of a result in units in the last place of the exact value."""
    y = call(name, x)
    with np.errstate(all="ignore"):
        exact = EXACT[name](x.astype(np.float64 if x.dtype == np.float32 else WIDE))
        rounded = exact.astype(x.dtype)
        unit = np.spacing(np.minimum(np.abs(rounded), np.finfo(x.dtype).max))
        error = (np.abs(y - exact) / unit).astype(np.float64)
    error[np.isnan(error)] = INF
    error[(y == rounded) & ~np.isfinite(y) | np.isnan(y) & np.isnan(exact)] = 0
    return error


def check(name, x):
    error = ulps(name, x)
    i = error.argmax()
    assert error[i] <= BOUND[name], f"{error[i]:.3f} ulp at {x[i]!r}"


def test_every_function_is_tested():
    assert set(BOUND) == set(EXACT) == set(functions.__all__)


@pytest.mark.parametrize("name", BOUND)
def test_error_over_thinned_float32(name):
    """Every 509th of all 2^32 numbers. 509 is prime, so low and high bits vary together."""
    check(name, np.arange(0, 2**32, 509, dtype=np.uint32).view(np.float32))


def random_float64(rng, n):
    """Uniform values near 0 and over the range of the exponentials, and uniform bit patterns."""
    return np.concatenate(
        [
            rng.uniform(-2, 2, n),
            rng.uniform(-50, 50, n),
            rng.uniform(-800, 800, n),
            rng.integers(0, 2**64, n, dtype=np.uint64).view(np.float64),
        ]
    )


@pytest.mark.skipif(np.finfo(WIDE).nmant < 63, reason="needs a long double more precise than float64")
@pytest.mark.parametrize("name", BOUND)
def test_error_over_random_float64(name):
    check(name, random_float64(np.random.default_rng(0), 50_000))


SPECIAL = {
    "exp": [(0, 1), (-0.0, 1), (INF, INF), (-INF, 0), (NAN, NAN)],
    "expm1": [(0, 0), (-0.0, -0.0), (INF, INF), (-INF, -1), (NAN, NAN)],
    "log": [(0, -INF), (-0.0, -INF), (1, 0), (INF, INF), (-1, NAN), (-1e-40, NAN), (-INF, NAN), (NAN, NAN)],
    "log1p_exp": [(INF, INF), (-INF, 0), (NAN, NAN)],
    "logistic": [(0, 0.5), (-0.0, 0.5), (INF, 1), (-INF, 0), (NAN, NAN)],
    "tanh": [(0, 0), (-0.0, -0.0), (INF, 1), (-INF, -1), (NAN, NAN)],
    "gelu_cdf": [(INF, 1), (-INF, 0), (NAN, NAN)],
    "gelu_pdf": [(INF, 0), (-INF, 0), (NAN, NAN)],
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BOUND)
def test_special_values(name, dtype):
    x, expected = np.array(SPECIAL[name], dtype).T.copy()
    y = call(name, x)
    np.testing.assert_array_equal(y, expected)
    finite = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(y[finite]), np.signbit(expected[finite]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["exp", "expm1"])
def test_overflow_matches_exact_value(name, dtype):
    last = np.log(np.finfo(dtype).max.astype(np.float64)).astype(dtype)
    x = np.array([np.nextafter(last, dtype(0)), np.nextafter(last, dtype(INF))])
    np.testing.assert_array_equal(np.isinf(call(name, x)), [False, True])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["exp", "logistic", "log1p_exp"])
def test_underflow_is_gradual(name, dtype):
    smallest = np.finfo(dtype).smallest_subnormal
    x = np.log(smallest.astype(WIDE) * np.array([0.45, 0.55, 3, 1000])).astype(dtype)
    np.testing.assert_array_equal(call(name, x) / smallest, np.rint(np.exp(x.astype(WIDE)) / smallest))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["expm1", "tanh"])
def test_small_arguments_are_returned_unchanged(name, dtype):
    """Both functions are x + O(x^2) near 0. Subnormal numbers keep their sign, too."""
    x = np.finfo(dtype).smallest_subnormal * np.array([1, 3, 1000, 2**20], dtype)
    x = np.concatenate([x, -x])
    np.testing.assert_array_equal(call(name, x), x)


def sample(dtype, n=100_003):
    """Values over the whole range, including special values."""
    rng = np.random.default_rng(1)
    with np.errstate(over="ignore", invalid="ignore"):
        x = random_float64(rng, n // 4).astype(dtype)
    return np.concatenate([x, np.array([0, -0.0, INF, -INF, NAN], dtype)])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BOUND)
def test_bits_do_not_depend_on_position(name, dtype):
    """Vector code, scalar code for the remainder of an array, and a scalar call give the same bits."""
    x = np.concatenate([sample(dtype, 100), np.linspace(-9, 9, 60).astype(dtype)])
    expected = call(name, x)
    for start in range(1, 70):
        np.testing.assert_array_equal(call(name, x[start:]), expected[start:])
    scalars = [scalar(name)(value) for value in x]
    np.testing.assert_array_equal(np.array(scalars, dtype), expected)


def digest():
    """Return a digest of all functions on `sample`, in which all NaN are the same."""
    values = hashlib.sha256()
    for name in BOUND:
        for dtype in DTYPES:
            y = call(name, sample(dtype))
            values.update(np.where(np.isnan(y), dtype(NAN), y).tobytes())
    return values.hexdigest()


@functools.cache
def digest_here():
    return digest()


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names x86 processors")
@pytest.mark.parametrize(
    ("cpu", "features"), [("haswell", "+avx2,+fma"), ("x86-64", "+fma")], ids=["AVX2", "baseline with FMA"]
)
def test_bits_do_not_depend_on_cpu(cpu, features):
    environment = os.environ | {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": features}
    command = [sys.executable, __file__]
    there = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert there.stdout.strip() == digest_here()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BOUND)
def test_loops_are_vectorised_in_one_dtype(name, dtype):
    call(name, np.ones(64, dtype))
    kinds = {np.float32: "float", np.float64: "double"}
    (llvm,) = (text for sig, text in loop(name).inspect_llvm().items() if sig[0].dtype.name == np.dtype(dtype).name)
    assert f" x {kinds.pop(dtype)}> @llvm.fma.v" in llvm
    (other,) = kinds.values()
    assert f"{other} " not in llvm


near = st.floats(-30, 30, width=32)


@pytest.mark.parametrize("dtype", DTYPES)
@given(x=near)
@example(x=0.0)
def test_symmetries(dtype, x):
    x = dtype(x)
    f = {name: lambda x, name=name: dtype(scalar(name)(x)) for name in BOUND}
    unit = np.finfo(dtype).eps
    assert f["tanh"](-x) == -f["tanh"](x)
    assert f["gelu_pdf"](-x) == f["gelu_pdf"](x)
    assert abs(f["logistic"](x) + f["logistic"](-x) - 1) <= 2 * unit
    assert abs(f["gelu_cdf"](x) + f["gelu_cdf"](-x) - 1) <= 2 * unit
    assert abs(f["log1p_exp"](x) - f["log1p_exp"](-x) - x) <= 4 * unit * max(abs(x), 1)


@pytest.mark.parametrize("dtype", DTYPES)
@given(x=st.floats(2.0**-60, 2.0**60, width=32))
def test_exp_inverts_log(dtype, x):
    """An error of half a unit in log causes an error of |log x| units in exp."""
    x = dtype(x)
    back = scalar("exp")(dtype(scalar("log")(x)))
    assert abs(back - x) <= 2 * (abs(np.log(x)) + 1) * np.finfo(dtype).eps * x


if __name__ == "__main__":
    sys.stdout.write(digest())
