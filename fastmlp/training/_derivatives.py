"""Values of hidden layers, and derivatives of the outputs with respect to the inputs.

Training does not need derivatives with respect to the inputs, so its kernels do not compute them. This module calls the
kernels of single operations, layer by layer, in one thread. The values of hidden layers have the same bits as in
predictions, and no result depends on the machine.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

from fastmlp.kernels._arrays import address
from fastmlp.kernels._link import entry
from fastmlp.kernels.layout import EPSILON
from fastmlp.kernels.tables import ACTIVATIONS, EXP_POISSON, LOGISTIC

from ._aligned import empty, padded, zeros
from ._data import csr_arrays
from ._network import Array, Network

__all__ = ["hidden_values", "input_gradients"]

BLOCK_ROWS = 1024  # limits the memory for the values of the layers


class _Layers(NamedTuple):
    """The values that the forward pass over a block of rows keeps."""

    Z: list[Array]  # Z_1..Z_L: what f is applied to
    F: list[Array]  # f(Z_l) of the hidden layers
    A: list[Array]  # the same, plus the input of a residual layer


class _Passes:
    """Forward and backward passes of a network over blocks of rows.

    Parameters
    ----------
    network : Network
    w, stats : ndarray
        Weight vector, and running statistics of batch normalisation; their dtype is that of the computation.
    """

    def __init__(self, network: Network, w: Array, stats: Array) -> None:
        self.network, self.dtype = network, w.dtype
        self.table = network.table()[0]
        self.w, self.stats = padded(w), stats
        self.parts = network.parts(self.w)
        self.zeros = zeros(int(self.table["pre"].max()), w.dtype)

    @cached_property
    def transposed(self) -> list[Array]:
        """W_l^T of each layer."""
        return [self._aligned(W.T) for W in self.parts.coefs]

    def _new(self, rows: int, columns: int) -> Array:
        return empty(rows * columns, self.dtype).reshape(rows, columns)

    def _aligned(self, array: Array) -> Array:
        copy = self._new(*array.shape)
        copy[...] = array
        return copy

    def _call(self, name: str, *arguments: Any) -> None:
        """Call a kernel; arrays are passed by their addresses."""
        entry(name, self.dtype.name)(*(address(a) if isinstance(a, np.ndarray) else a for a in arguments))

    def _product(self, A: Array, W: Array, start: Array, start_row: int) -> Array:
        """Return A W + start. Rows of `start` are `start_row` numbers apart; 0 means one row for all."""
        (m, k), n = A.shape, W.shape[1]
        C = self._new(m, n)
        self._call("gemm", A, k, 1, W, n, C, n, m, k, n, start, start_row)
        return C

    def _affine(self, l: int, A: Any) -> Array:
        """Return Z_{l+1}; the input may be CSR."""
        W, b = self.parts.coefs[l], self.parts.intercepts[l]
        if not scipy.sparse.issparse(A):
            return self._product(A, W, b, 0)
        Z = self._new(A.shape[0], W.shape[1])
        self._call("csr_affine", *self._csr(A), W, b, Z, W.shape[1])
        return Z

    def _csr(self, X: Any) -> tuple[Any, ...]:
        indptr, indices, values = csr_arrays(X, self.dtype)
        return values, indices, indptr, np.arange(X.shape[0], dtype=np.int64), X.shape[0]

    def forward(self, X: Any, last: int) -> _Layers:
        """Return the values of the layers 1..last for some rows."""
        layers = _Layers([], [], [])
        A = X
        for l in range(last):
            row, Z = self.table[l + 1], self._affine(l, A)
            layers.Z.append(Z)
            if l + 1 == len(self.parts.coefs):
                break
            if row["norm"]:
                gamma, running = self.w[row["gamma"] :], self.stats[row["stats"] :]
                self._call("normalise_running", Z, gamma, running, len(Z), int(row["pre"]))
            units, pieces = int(row["units"]), int(row["pieces"])
            if pieces > 1:
                F = Z.reshape(len(Z), pieces, units).max(axis=1)
            else:
                F = self._aligned(Z)
                self._call("forward", int(row["activation"]), F, F.size)
            layers.F.append(F)
            before, A = A, F
            if row["residual"]:
                A = self._aligned(F)
                if scipy.sparse.issparse(before):
                    self._call("csr_add", *self._csr(before), A, units)
                else:
                    A += before
            layers.A.append(A)
        return layers

    def backward(self, layers: _Layers, D: Array) -> Array:
        """Return dh/dX (m, n_0) of an output h, given D = dh/dZ_L (m, n_L)."""
        above = None  # dh/dA_{l+1}, if layer l + 1 adds A_l to its output
        for l in reversed(range(1, len(self.parts.coefs))):
            E = self._error_below(l, D, above)
            above = E if self.table[l]["residual"] else None
            D = self._through_activation(l - 1, layers, E)
        return self._error_below(0, D, above)

    def _error_below(self, l: int, D: Array, above: Array | None) -> Array:
        """Return dh/dA_l = D_{l+1} W_{l+1}^T, plus `above` for a residual connection."""
        start, start_row = (self.zeros, 0) if above is None else (above, above.shape[1])
        return self._product(D, self.transposed[l], start, start_row)

    def _through_activation(self, l: int, layers: _Layers, E: Array) -> Array:
        """Return dh/dZ of hidden layer l, before batch normalisation, given E = dh/df(Z)."""
        row, Z, F = self.table[l + 1], layers.Z[l], layers.F[l]
        units, pieces = int(row["units"]), int(row["pieces"])
        if pieces > 1:
            D = zeros(Z.size, self.dtype).reshape(Z.shape)
            winner = Z.reshape(len(Z), pieces, units).argmax(axis=1)
            np.put_along_axis(D.reshape(len(Z), pieces, units), winner[:, np.newaxis], E[:, np.newaxis], axis=1)
        else:
            D = self._aligned(E)
            needs_z = ACTIVATIONS[self.network.activations[l]].needs_z
            self._call("backward", int(row["activation"]), Z if needs_z else F, D, D.size)
        if row["norm"]:
            q = int(row["pre"])
            variance = self.stats[row["stats"] + q : row["stats"] + 2 * q]
            D *= self.parts.gammas[l] / np.sqrt(variance + self.dtype.type(EPSILON))
        return D

    def link_derivatives(self, Z: Array, output: int) -> Array:
        """Return the derivatives (m, n_L) of the output with the number `output` with respect to Z_L."""
        link = self.network.link
        D = zeros(Z.size, self.dtype).reshape(Z.shape)
        if link == "ordered":
            D[:, 0] = 1
            D[:, 1 : output + 1] = self._logistic(Z[:, 1 : output + 1])
        elif link == "exp":
            D[:, output] = h = np.array(Z[:, output])
            entry("link", self.dtype.name, EXP_POISSON)(address(h), 0, 1, h.size)
            D[:, output] = h
        elif link == "logistic":
            h = self._logistic(Z[:, output])
            D[:, output] = h * (1 - h)
        else:
            D[:, output] = 1
        return D

    def _logistic(self, Z: Array) -> Array:
        h = empty(Z.size, self.dtype).reshape(Z.shape)
        h[...] = Z
        self._call("forward", LOGISTIC, h, h.size)
        return h


def _blocks(X: Any, dtype: Any) -> Iterator[tuple[slice, Any]]:
    """Yield blocks of rows of X in the form that the kernels require."""
    X = X.tocsr() if scipy.sparse.issparse(X) else X
    for start in range(0, X.shape[0], BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        yield rows, X[rows] if scipy.sparse.issparse(X) else np.ascontiguousarray(X[rows], dtype)


def hidden_values(network: Network, w: Array, stats: Array, X: Any, layer: int) -> Array:
    """Return A_{layer + 1} of shape (m, n_{layer + 1}): the outputs of hidden layer `layer`, counted from 0.

    Parameters
    ----------
    network : Network
    w : ndarray of shape (sizes.w,)
        Weight vector; its dtype is that of the computation and of the result.
    stats : ndarray
        Running statistics of batch normalisation.
    X : {ndarray, sparse matrix} of shape (m, n_0)
    layer : int
    """
    passes = _Passes(network, w, stats)
    values = np.empty((X.shape[0], network.units[layer + 1]), w.dtype)
    for rows, block in _blocks(X, w.dtype):
        values[rows] = passes.forward(block, layer + 1).A[layer]
    return values


def input_gradients(network: Network, w: Array, stats: Array, X: Any, outputs: Sequence[int]) -> Array:
    """Return dh_k/dX for each k in `outputs`, of shape (m, len(outputs), n_0).

    The link must not be softmax: classifiers differentiate their pre-activations, with the identity as the link.

    Parameters
    ----------
    network, w, stats, X
        As for `hidden_values`.
    outputs : sequence of int
    """
    passes = _Passes(network, w, stats)
    gradients = np.empty((X.shape[0], len(outputs), network.units[0]), w.dtype)
    for rows, block in _blocks(X, w.dtype):
        layers = passes.forward(block, len(network.units) - 1)
        for place, output in enumerate(outputs):
            gradients[rows, place] = passes.backward(layers, passes.link_derivatives(layers.Z[-1], output))
    return gradients
