"""The kernels on one core, next to NumPy: matrix products, functions, optimizer steps.

The kernels run in compiled loops, as in training, because a call from Python takes longer than a small product. NumPy
is called from Python, so its times include about a microsecond for each call, which is most of the time for small
arrays.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
from fastmlp.kernels import functions, optimizers
from fastmlp.kernels._link import entry
from numba import njit
from scipy import special
from threadpoolctl import ThreadpoolController

from fastmlp.reference import vectorized
from fastmlp.reference._training import Hyper

from .harness import DTYPES, OPTIONS, Case, Effort, Key, Trial
from .workloads import SEED

__all__ = ["ELEMENTS", "cases"]

BATCH_SECONDS = 2e-3  # estimated length of one run
GFLOPS = 1e11  # for that estimate

# (m, k, n) of forward products and, with a transposed first factor, of gradients.
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
# Operations, and numbers read and written, for each weight, as in the formulas of the kernels.
STEPS = {"sgd": (4, 5), "nesterov": (7, 5), "adam": (12, 7)}
WEIGHTS = {"4096 weights": 2**12, "16777216 weights": 2**24}
TOLERANCE = {"float32": 2e-6, "float64": 1e-13}
CONFIGURATIONS = {True: "1 thread, in a compiled loop", False: "1 thread, called from Python"}


def repeated(function: Callable[..., Any], times: int, *args: Any, **kwargs: Any) -> None:
    """Call a function `times` times."""
    for _ in range(times):
        function(*args, **kwargs)


def in_one_thread(run: Callable[[], None]) -> Callable[[], None]:
    """Return `run` with one BLAS thread, because our kernels use one."""
    blas = ThreadpoolController()

    def limited() -> None:
        with blas.limit(limits=1):
            run()

    return limited


# ---- matrix products


@cache
def _products(dtype: str) -> Any:
    """Return the compiled loop C <- A B, which calls the kernel by its address, as the passes of training do."""
    gemm = entry("gemm", dtype)

    @njit(**OPTIONS)
    def products(A, B, C, zeros, transposed, times):
        m, n = C.shape
        k = B.shape[0]
        a_row, a_col = (1, m) if transposed else (k, 1)
        for _ in range(times):
            gemm(A.ctypes, a_row, a_col, B.ctypes, n, C.ctypes, n, m, k, n, zeros.ctypes, 0)

    return products


def product(shape: tuple[int, int, int], transposed: bool, dtype: str, ours: bool) -> Trial:
    """Time C = A B, or A' B."""
    m, k, n = shape
    random = np.random.default_rng(SEED)
    A, B = (random.standard_normal(size).astype(dtype) for size in ((k, m) if transposed else (m, k), (k, n)))
    C = np.empty((m, n), dtype)
    flops = 2 * m * k * n
    times = max(1, round(BATCH_SECONDS * GFLOPS / flops))
    if ours:
        run = partial(_products(dtype), A, B, C, np.zeros(n, dtype), transposed, times)
    else:
        run = in_one_thread(partial(repeated, np.matmul, times, A.T if transposed else A, B, out=C))

    def check(_: None) -> dict[str, Any]:
        left = (A.T if transposed else A).astype(np.float64)
        bound = TOLERANCE[dtype] * np.sqrt(k) * (np.abs(left) @ np.abs(B))
        assert (np.abs(C - left @ B) <= bound).all(), "the product is wrong"
        return {}

    return Trial(
        {CONFIGURATIONS[ours]: run},
        check,
        per=times,
        facts={
            "flops": flops,
            "bytes": A.nbytes + B.nbytes + 2 * C.nbytes,
            "footprint": A.nbytes + B.nbytes + C.nbytes,
            "group": "products",
        },
    )


# ---- functions


def _loop(function: Any) -> Any:
    """Return the compiled loop Y <- function(X), element by element."""

    @njit(**OPTIONS)
    def elementwise(X, Y, times):
        for _ in range(times):
            for i in range(X.size):
                Y[i] = function(X[i])

    return elementwise


def elementary(name: str, dtype: str, ours: bool) -> Trial:
    """Time a function over an array in the first-level cache."""
    X = np.random.default_rng(SEED).uniform(0.1, 4, ELEMENTS).astype(dtype)
    Y = np.empty_like(X)
    times = 200
    run = (
        partial(_loop(getattr(functions, name)), X, Y, times)
        if ours
        else partial(repeated, FUNCTIONS[name], times, X, out=Y)
    )

    def check(_: None) -> dict[str, Any]:
        np.testing.assert_allclose(Y, FUNCTIONS[name](X.astype(np.float64)), rtol=TOLERANCE[dtype])
        return {}

    facts = {"bytes": X.nbytes + Y.nbytes, "elements": ELEMENTS, "group": "functions"}
    return Trial({CONFIGURATIONS[ours]: run}, check, per=times, facts=facts)


# ---- optimizer steps


@njit(**OPTIONS)
def _sgd_steps(w, g, m, v, rate, momentum, beta_1, beta_2, epsilon, times):
    real = w.dtype.type
    for _ in range(times):
        optimizers.sgd(w, g, m, real(rate), real(momentum))


@njit(**OPTIONS)
def _nesterov_steps(w, g, m, v, rate, momentum, beta_1, beta_2, epsilon, times):
    real = w.dtype.type
    for _ in range(times):
        optimizers.nesterov(w, g, m, real(rate), real(momentum))


@njit(**OPTIONS)
def _adam_steps(w, g, m, v, rate, momentum, beta_1, beta_2, epsilon, times):
    real = w.dtype.type
    gain_1, gain_2 = real(1.0 - beta_1), real(1.0 - beta_2)
    for _ in range(times):
        optimizers.adam(w, g, m, v, real(rate), real(beta_1), real(beta_2), gain_1, gain_2, real(epsilon))


OURS = {"sgd": _sgd_steps, "nesterov": _nesterov_steps, "adam": _adam_steps}


def optimizer(name: str, size: int, dtype: str, ours: bool) -> Trial:
    """Time the first step of an optimizer over a whole weight vector."""
    random = np.random.default_rng(SEED)
    start, g = (random.standard_normal(size).astype(dtype) for _ in range(2))
    times = max(1, 2**22 // size)
    hyper = Hyper(nesterovs_momentum=name == "nesterov")
    reference = vectorized.OPTIMIZERS["adam" if name == "adam" else "sgd"]
    rate = hyper.learning_rate_init
    if name == "adam":
        rate *= np.sqrt(1 - hyper.beta_2) / (1 - hyper.beta_1)

    def step(w: np.ndarray, m: np.ndarray, v: np.ndarray, times: int) -> None:
        if ours:
            OURS[name](w, g, m, v, rate, hyper.momentum, hyper.beta_1, hyper.beta_2, hyper.epsilon, times)
        else:
            repeated(reference.step, times, w, g, [m, v][: reference.n_states], 1, hyper)

    def check(_: None) -> dict[str, Any]:
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
        "group": "optimizers",
    }
    run = partial(step, start.copy(), np.zeros_like(start), np.zeros_like(start), times)
    return Trial({CONFIGURATIONS[ours]: run}, check, per=times, facts=facts)


def cases(effort: Effort) -> list[Case]:
    """Return every kernel, ours and NumPy's."""
    made: dict[str, Callable[..., Trial]] = {}
    for transposed, shapes in ((False, SHAPES), (True, TRANSPOSED)):
        for m, k, n in shapes[:: 3 if effort < Effort.FULL else 1]:
            made[f"product {m}x{k}x{n}{' transposed' * transposed}"] = partial(product, (m, k, n), transposed)
    made |= {name: partial(elementary, name) for name in FUNCTIONS}
    made |= {
        f"{name} {size_name}": partial(optimizer, name, size) for size_name, size in WEIGHTS.items() for name in STEPS
    }
    return [
        Case(Key("kernels", name, dtype, implementation), partial(make, dtype=dtype, ours=implementation == "fastmlp"))
        for dtype in (DTYPES if effort > Effort.CHECK else DTYPES[:1])
        for name, make in made.items()
        for implementation in ("fastmlp", "NumPy")
    ]
