"""Architecture of a network, position of its weights in the weight vector, and size of its buffers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels.layout import Sizes, layer_table
from fastmlp.kernels.tables import OUTPUTS

__all__ = ["Array", "Network", "Parts", "tie_gradient", "tie_weights"]

Array = NDArray[Any]


class Parts(NamedTuple):
    """The arrays of a network, layer by layer, as views of its weight vector."""

    coefs: list[Array]
    intercepts: list[Array]
    gammas: list[Array]
    betas: list[Array]


@dataclass(frozen=True)
class Network:
    """Architecture of a multilayer perceptron.

    Parameters
    ----------
    units : tuple of int
        Widths n_0..n_L, input and output included.
    activations : tuple of str
        One name for each hidden layer.
    link, loss : str
        A key of `fastmlp.kernels.outputs.OUTPUTS`.
    maxout_pieces : int, default=2
        Linear pieces of a maxout unit.
    residual, batch_norm : bool, default=False
        As in `MLPClassifier`.
    loss_parameters : tuple of float, default=()
        The parameter of the loss, if it has one: one number for all output units, or one for each.
    label_smoothing : float, default=0.0
        As in `MLPClassifier`.
    """

    units: tuple[int, ...]
    activations: tuple[str, ...]
    link: str
    loss: str
    maxout_pieces: int = 2
    residual: bool = False
    batch_norm: bool = False
    loss_parameters: tuple[float, ...] = ()
    label_smoothing: float = 0.0

    def with_link(self, link: str, loss: str) -> "Network":
        """Return the network with another output of the same width."""
        return replace(self, link=link, loss=loss)

    @property
    def output(self) -> int:
        """Op code of the output layer."""
        return OUTPUTS[self.link, self.loss].code

    @lru_cache(maxsize=256)  # noqa: B019 -- networks are small, and equal ones share an entry
    def table(
        self, rows: int = 1, *, gather: bool = True, large: float = np.inf, sparse: bool = False, line: int = 0
    ) -> tuple[Array, Sizes]:
        """Return the layer table for buffers of `rows` rows, and the sizes of the vectors it addresses."""
        table, sizes = layer_table(
            list(self.units),
            list(self.activations),
            pieces=self.maxout_pieces,
            residual=self.residual,
            batch_norm=self.batch_norm,
            rows=rows,
            gather=gather,
            large=large,
            sparse=sparse,
            line=line,
        )
        table.flags.writeable = False
        return table, sizes

    @lru_cache(maxsize=256)  # noqa: B019
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Return the shape of each `coefs_` array."""
        table, _ = self.table()
        return tuple(zip(table["units"][:-1].tolist(), table["pre"][1:].tolist(), strict=True))

    @lru_cache(maxsize=256)  # noqa: B019
    def _places(self) -> tuple[list[slice], ...]:
        """Return the places in the weight vector of the arrays of `Parts`."""
        table, _ = self.table()
        places: tuple[list[slice], ...] = [], [], [], []
        coefs, intercepts, gammas, betas = places
        for row in table[1:]:
            q, w, b, gamma = (int(row[name]) for name in ("pre", "w", "b", "gamma"))
            coefs.append(slice(w, b))
            intercepts.append(slice(b, b + q))
            if row["norm"]:
                gammas.append(slice(gamma, gamma + q))
                betas.append(slice(gamma + q, gamma + 2 * q))
        return places

    def parts(self, w: Array) -> Parts:
        """Return views of the weight vector `w`."""
        parts = Parts(*([w[place] for place in places] for places in self._places()))
        return parts._replace(coefs=[a.reshape(shape) for a, shape in zip(parts.coefs, self.shapes(), strict=True)])

    def running(self, stats: Array) -> tuple[list[Array], list[Array]]:
        """Return views of the running means and variances in `stats`."""
        table, _ = self.table()
        rows = [row for row in table if row["norm"]]
        means = [stats[row["stats"] : row["stats"] + row["pre"]] for row in rows]
        variances = [stats[row["stats"] + row["pre"] : row["stats"] + 2 * row["pre"]] for row in rows]
        return means, variances

    def pack(self, parts: Sequence[Sequence[Array]], dtype: Any) -> Array:
        """Copy the arrays of `parts` (coefs, intercepts, gammas, betas) into a new weight vector."""
        _, sizes = self.table()
        w = np.empty(sizes.w, dtype=dtype)
        for targets, sources in zip(self.parts(w), parts, strict=True):
            for target, source in zip(targets, sources, strict=True):
                target[...] = source
        return w

    def parameters_of_units(self, dtype: Any) -> Array:
        """Return the parameter of the loss of each output unit, of shape (n_L,); empty if the loss has none."""
        parameter, K = OUTPUTS[self.link, self.loss].parameter, self.units[-1]
        if not parameter:
            return np.empty(0, dtype)
        if len(self.loss_parameters) not in (1, K):
            # Kernels would read beyond the array.
            raise ValueError(f"loss={self.loss!r} needs {parameter} for {K} units, got {self.loss_parameters}.")
        return np.array(np.broadcast_to(self.loss_parameters, K), dtype)

    @lru_cache(maxsize=256)  # noqa: B019
    def flops(self) -> int:
        """Return the floating-point operations of one row in training: forward, delta and gradient products."""
        products = [n * q for n, q in self.shapes()]
        return 6 * sum(products) - 2 * products[0]


def tie_weights(network: Network, w: Array) -> None:
    """Set the last matrix of `w` to the transpose of the first, the second to last to that of the second, and so on."""
    coefs = network.parts(w).coefs
    for first, last in zip(coefs[: len(coefs) // 2], reversed(coefs), strict=False):
        last[...] = first.T


def tie_gradient(network: Network, g: Array, share: float = 1.0) -> None:
    """Convert dJ/dw to the gradient for tied weights: the sum of both gradients of a shared matrix, times `share`.

    The sum is written to both places, so that a step keeps the weights tied.
    """
    coefs = network.parts(g).coefs
    for first, last in zip(coefs[: len(coefs) // 2], reversed(coefs), strict=False):
        first += last.T
        first *= share
        last[...] = first.T
