"""The kernels on one core, beside NumPy: matrix products, functions, optimizer steps.

Our kernels are called in a compiled loop, NumPy's functions in a Python loop: that is how each is used.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from fastmlp.kernels import functions
from fastmlp.kernels._call import call
from fastmlp.kernels._jit import OPTIONS
from fastmlp.kernels._link import address
from fastmlp.kernels._memory import at
from fastmlp.kernels._records import KernelAddress
from fastmlp.kernels.layout import HYPER, record_of
from fastmlp.kernels.layout import Hyper as KernelHyper
from fastmlp.kernels.matmul import gemm
from fastmlp.kernels.tables import OPTIMIZERS
from numba import from_dtype, njit, types
from numba.extending import intrinsic
from scipy import special
from threadpoolctl import ThreadpoolController

from fastmlp.reference import vectorized
from fastmlp.reference._training import Hyper

from . import peak
from .harness import Case, Effort, Key, Trial
from .workloads import SEED

__all__ = ["cases"]

BATCH_SECONDS = 2e-3  # estimated length of one run
GFLOPS = 1e11  # for that estimate

# (m, k, n) of forward products and, where the first factor is transposed, of gradients.
SHAPES = [(n, n, n) for n in (8, 16, 32, 64, 128, 256, 512, 1024)]
SHAPES += [(32, 20, 32), (200, 64, 100), (200, 54, 128), (200, 784, 256), (256, 512, 512), (200, 100, 10)]
TRANSPOSED = [(64, 200, 100), (784, 200, 256), (512, 256, 512)]
FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "logistic": special.expit,
    "tanh": np.tanh,
    "gelu_cdf": special.ndtr,
}
ELEMENTS = 4096
# Flops, and numbers read and written, for each weight; as the kernels' formulas stand.
STEPS = {"sgd": (4, 5), "nesterov": (7, 5), "adam": (12, 7)}
WEIGHTS = {"4,096 weights": 4096, "16,777,216 weights": 2**24}
TOLERANCE = {"float32": 2e-6, "float64": 1e-13}


def repeated(function: Callable[..., Any], times: int, *args: Any, **kwargs: Any) -> None:
    """Call a function of NumPy `times` times."""
    for _ in range(times):
        function(*args, **kwargs)


def in_one_thread(run: Callable[[], None]) -> Callable[[], None]:
    """Return `run` with one BLAS thread, as our kernels use one."""
    blas = ThreadpoolController()

    def limited() -> None:
        with blas.limit(limits=1):
            run()

    return limited


# ---- matrix products


@njit(**OPTIONS)
def _products(A, B, C, start, a_row, a_col, times):
    m, n = C.shape
    for _ in range(times):
        gemm(at(A, 0), a_row, a_col, at(B, 0), n, at(C, 0), n, m, B.shape[0], n, at(start, 0), 0)


def product(shape: tuple[int, int, int], dtype: str, transposed: bool, ours: bool) -> Trial:
    """C = A B, or A' B."""
    m, k, n = shape
    random = np.random.default_rng(SEED)
    A, B = (random.standard_normal(size).astype(dtype) for size in ((k, m) if transposed else (m, k), (k, n)))
    C = np.empty((m, n), dtype)
    flops = 2 * m * k * n
    times = max(1, round(BATCH_SECONDS * GFLOPS / flops))
    if ours:
        strides = (1, m) if transposed else (k, 1)
        run = partial(_products, A, B, C, np.zeros(n, dtype), *strides, times)
    else:
        run = in_one_thread(partial(repeated, np.matmul, times, A.T if transposed else A, B, out=C))

    def judge(_: None) -> dict[str, Any]:
        left = (A.T if transposed else A).astype(np.float64)
        bound = TOLERANCE[dtype] * np.sqrt(k) * (np.abs(left) @ np.abs(B))
        assert (np.abs(C - left @ B) <= bound).all(), "the product is wrong"
        return {}

    return Trial(
        {"1 thread": run},
        judge,
        per=times,
        facts={
            "flops": flops,
            "bytes": A.nbytes + B.nbytes + 2 * C.nbytes,
            "footprint": A.nbytes + B.nbytes + C.nbytes,
            "dtype": dtype,
            "group": "products",
        },
    )


# ---- functions


def _loop(function: Any) -> Any:
    """The compiled loop Y <- function(X), element by element."""

    @njit(**OPTIONS)
    def elementwise(X, Y, times):
        for _ in range(times):
            for i in range(X.size):
                Y[i] = function(X[i])

    return elementwise


def elementary(name: str, dtype: str, ours: bool) -> Trial:
    """A function over an array in the first-level cache."""
    X = np.random.default_rng(SEED).uniform(0.1, 4, ELEMENTS).astype(dtype)
    Y = np.empty_like(X)
    times = 200
    run = (
        partial(_loop(getattr(functions, name)), X, Y, times)
        if ours
        else partial(repeated, FUNCTIONS[name], times, X, out=Y)
    )

    def judge(_: None) -> dict[str, Any]:
        np.testing.assert_allclose(Y, FUNCTIONS[name](X.astype(np.float64)), rtol=TOLERANCE[dtype])
        return {}

    facts = {"bytes": X.nbytes + Y.nbytes, "elements": ELEMENTS, "dtype": dtype, "group": "functions"}
    return Trial({"1 thread": run}, judge, per=times, facts=facts)


# ---- optimizer steps


@intrinsic
def _update(typingctx, address, w):
    """The address of the kernel `update`, as `call` wants it."""
    kind = KernelAddress("update", w.dtype)

    def codegen(context, builder, sig, args):
        return builder.inttoptr(args[0], context.get_value_type(kind))

    return kind(address, w), codegen


@intrinsic
def _hyper(typingctx, address):
    """A pointer to the record at an address."""
    kind = types.CPointer(from_dtype(HYPER))

    def codegen(context, builder, sig, args):
        return builder.inttoptr(args[0], context.get_value_type(kind))

    return kind(address), codegen


@njit(**OPTIONS)
def _steps(where, hyper, w, g, m, v, rate, times):
    update = _update(where, w)
    for _ in range(times):
        call(update, _hyper(hyper), at(w, 0), at(g, 0), at(m, 0), at(v, 0), w.size, rate)


def optimizer(name: str, size: int, dtype: str, ours: bool) -> Trial:
    """The first step of an optimizer over a whole weight vector, again and again."""
    random = np.random.default_rng(SEED)
    start, g = (random.standard_normal(size).astype(dtype) for _ in range(2))
    times = max(1, 2**22 // size)
    update = address("update", dtype)
    hyper = Hyper(nesterovs_momentum=name == "nesterov")
    reference = vectorized.OPTIMIZERS["adam" if name == "adam" else "sgd"]
    rate = hyper.learning_rate_init
    if name == "adam":
        rate *= np.sqrt(1 - hyper.beta_2) / (1 - hyper.beta_1)

    def step(w: np.ndarray, m: np.ndarray, v: np.ndarray, times: int) -> None:
        if ours:
            _, momentum, _, beta_1, beta_2, epsilon = hyper
            code = OPTIMIZERS[name].code
            options = record_of(KernelHyper(code, 0, momentum=momentum, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon))
            _steps(update, options.ctypes.data, w, g, m, v, rate, times)
        else:
            repeated(reference.step, times, w, g, [m, v][: reference.n_states], 1, hyper)

    def judge(_: None) -> dict[str, Any]:
        w, expected = start.copy(), start.astype(np.float64)
        step(w, np.zeros_like(w), np.zeros_like(w), 1)
        state = [np.zeros_like(expected) for _ in range(reference.n_states)]
        reference.step(expected, g.astype(np.float64), state, 1, hyper)
        np.testing.assert_allclose(w, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
        return {}

    flops, numbers = STEPS[name]
    facts = {
        "flops": flops * size,
        "bytes": numbers * start.nbytes,
        "footprint": (2 + reference.n_states) * start.nbytes,
        "dtype": dtype,
        "group": "optimizers",
    }
    run = partial(step, start.copy(), np.zeros_like(start), np.zeros_like(start), times)
    return Trial({"1 thread": run}, judge, per=times, facts=facts)


def cases(effort: Effort) -> list[Case]:
    """Return the roofs, then every kernel beside NumPy."""
    dtypes = ("float32",) if effort < Effort.FULL else ("float32", "float64")
    made: dict[str, Callable[..., Trial]] = {}
    for dtype in dtypes:
        for transposed, shapes in ((False, SHAPES), (True, TRANSPOSED)):
            for m, k, n in shapes[:: 3 if effort < Effort.FULL else 1]:
                name = f"product {m}x{k}x{n}{' transposed' * transposed} {dtype}"
                made[name] = partial(product, (m, k, n), dtype, transposed)
        for name in FUNCTIONS:
            made[f"{name} {dtype}"] = partial(elementary, name, dtype)
        for size_name, size in WEIGHTS.items():
            for name in STEPS:
                made[f"{name} {size_name} {dtype}"] = partial(optimizer, name, size, dtype)
    rivals = [
        Case(Key("kernels", name, contestant), partial(make, ours=contestant == "fastmlp"))
        for name, make in made.items()
        for contestant in ("fastmlp", "NumPy")
    ]
    return peak.cases() + rivals
