"""The list of workloads: data, network, and the number of floating-point operations.

Real data come with scikit-learn. Generated data have the shape of a known data set and a fixed seed: normally
distributed columns, labels from a random network, a tenth of them replaced by random ones. Speed does not
depend on what is learnt, scores do.
"""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import scipy.sparse
from sklearn import datasets

from .harness import DTYPES

__all__ = [
    "ALPHA",
    "GRIDS",
    "SEED",
    "TRAINING",
    "WORKLOADS",
    "Start",
    "Workload",
    "in_dtypes",
    "row_orders",
    "start_of",
]

SEED = 0
ALPHA = 1e-4  # scikit-learn's default penalty, for all
CHANCE = 0.1  # share of random labels in generated data


@dataclass(frozen=True)
class Workload:
    """Data, network and mini-batches.

    Attributes
    ----------
    name : str
    rows, columns, classes : int
    hidden : tuple of int
        Widths of the hidden layers.
    batch : int
        Rows of a mini-batch.
    epochs : int
        Of one timed training; the time of an epoch is a share of it, so it includes a share of the preparations.
    load : str
        Name of the data set in `sklearn.datasets`; empty: generated data.
    density : float
        Share of entries of generated data that are not zero; below 1, X is a CSR matrix.
    dtype : str
    """

    name: str
    rows: int
    columns: int
    hidden: tuple[int, ...]
    classes: int
    batch: int
    epochs: int
    load: str = ""
    density: float = 1.0
    dtype: str = "float32"

    @property
    def output(self) -> str:
        """Link of the last layer: as scikit-learn chooses it, one logistic unit for two classes."""
        return "softmax" if self.classes > 2 else "logistic"

    @property
    def units(self) -> tuple[int, ...]:
        """Widths n_0..n_L."""
        return (self.columns, *self.hidden, self.classes if self.output == "softmax" else 1)

    @property
    def flops(self) -> float:
        """Floating-point operations of an epoch: the products of forward pass, delta recursion and gradient."""
        products = [a * b for a, b in zip(self.units, self.units[1:], strict=False)]
        # Two for each weight in each product; the first layer needs no delta, and sparse input skips its zeros.
        return self.rows * (6 * sum(products[1:]) + 4 * products[0] * self.density)

    def data(self) -> tuple[np.ndarray | scipy.sparse.csr_matrix, np.ndarray]:
        """Return X and the labels 0..K-1."""
        X, y = _load(self.load) if self.load else _make(self)
        return X.astype(self.dtype), y

    def targets(self, y: np.ndarray) -> np.ndarray:
        """Return the labels as the network's outputs: one-hot rows, or a column for one logistic unit."""
        return (np.eye(self.classes)[y] if self.output == "softmax" else y[:, np.newaxis]).astype(self.dtype)

    @property
    def network(self) -> str:
        """Rows, widths of the layers and rows of a mini-batch, as the report states them."""
        return f"{self.rows:,} rows, {' → '.join(map(str, self.units))}, batches of {self.batch}"


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("tiny", 150, 4, (10,), 3, batch=150, epochs=200, load="iris"),
        Workload("digits", 1797, 64, (100,), 10, batch=200, epochs=50, load="digits"),
        Workload("tabular-small", 10_000, 20, (32, 32), 2, batch=32, epochs=10),
        Workload("tabular-mid", 50_000, 54, (128, 64), 7, batch=200, epochs=3),
        Workload("mnist-shape", 20_000, 784, (256,), 10, batch=200, epochs=2),
        Workload("wide", 20_000, 784, (512, 512), 10, batch=256, epochs=1),
        Workload("covertype-like", 100_000, 54, (128, 64), 7, batch=200, epochs=1),
        Workload("text-like", 20_000, 20_000, (64,), 20, batch=200, epochs=1, density=0.001),
        Workload("wine", 178, 13, (100,), 3, batch=178, epochs=200, load="wine", dtype="float64"),
        Workload("breast-cancer", 569, 30, (100,), 2, batch=200, epochs=200, load="breast_cancer", dtype="float64"),
    )
}
TRAINING = ("tiny", "digits", "tabular-small", "tabular-mid", "mnist-shape", "wide")
GRIDS = ("wine", "breast-cancer", "digits")


def in_dtypes(*names: str, dtypes: tuple[str, ...] = DTYPES) -> list[Workload]:
    """Return the workloads with these names, in each of the dtypes."""
    return [replace(WORKLOADS[name], dtype=dtype) for dtype in dtypes for name in names]


@cache
def _load(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a data set of scikit-learn."""
    return getattr(datasets, f"load_{name}")(return_X_y=True)


@cache
def _make(workload: Workload) -> tuple[np.ndarray | scipy.sparse.csr_matrix, np.ndarray]:
    """Return generated data of the shape of the workload."""
    random = np.random.default_rng(SEED)
    rows, columns, classes = workload.rows, workload.columns, workload.classes
    if workload.density < 1:
        X = scipy.sparse.random_array((rows, columns), density=workload.density, format="csr", rng=random)
        X = scipy.sparse.csr_matrix(X)
    else:
        X = random.standard_normal((rows, columns), dtype=np.float32)
    first, second = random.standard_normal((columns, 16)), random.standard_normal((16, classes))
    y = (np.maximum(X @ first, 0) @ second).argmax(axis=1)
    chance = random.random(rows) < CHANCE
    y[chance] = random.integers(classes, size=chance.sum())
    return X, y


@dataclass(frozen=True)
class Start:
    """Where every implementation starts: initial weights in Glorot's range, and the generator that drew them."""

    coefs: list[np.ndarray]
    intercepts: list[np.ndarray]
    state: dict[str, Any]

    def random(self) -> np.random.RandomState:
        """Return a generator that continues from there."""
        random = np.random.RandomState()
        random.set_state(self.state)
        return random


def start_of(workload: Workload) -> Start:
    """Return the initial weights that scikit-learn draws for the seed."""
    random = np.random.RandomState(SEED)
    coefs, intercepts = [], []
    for fan_in, fan_out in zip(workload.units, workload.units[1:], strict=False):
        bound = np.sqrt(6 / (fan_in + fan_out))
        coefs.append(random.uniform(-bound, bound, (fan_in, fan_out)).astype(workload.dtype))
        intercepts.append(random.uniform(-bound, bound, fan_out).astype(workload.dtype))
    return Start(coefs, intercepts, random.get_state(legacy=False))


def row_orders(workload: Workload) -> list[np.ndarray]:
    """Return the order of the rows in each epoch, as scikit-learn draws it after the weights."""
    random = start_of(workload).random()
    order, orders = np.arange(workload.rows), []
    for _ in range(workload.epochs):
        permutation = np.arange(workload.rows)
        random.shuffle(permutation)
        order = order[permutation]
        orders.append(order)
    return orders
