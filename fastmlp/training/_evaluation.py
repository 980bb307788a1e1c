"""Loss of a network on data that it is not trained on."""

from collections.abc import Callable

import numpy as np

from fastmlp.kernels._link import entry
from fastmlp.kernels.layout import Hyper

from ._data import Data
from ._network import Array, Network
from ._predict import predict

__all__ = ["mean_loss"]

BLOCK = 1 << 14  # rows whose outputs are in memory at a time


def mean_loss(
    network: Network, w: Array, stats: Array, data: Data, X: object, hyper: Hyper, threads: Callable[[], int]
) -> float:
    """Return the mean loss of the rows, without the penalty, with the scaling of the training loss.

    Parameters
    ----------
    network : Network
    w, stats : ndarray
        Weight vector, and running statistics of batch normalisation.
    data : Data
        Targets and sample weights, with the dtype of w.
    X : {ndarray, CSR matrix} of shape (m, n_0)
        The rows of `data`, in a format of `predict`.
    hyper : Hyper
        Provides the parameters of the loss.
    threads : callable
        Returns the largest number of threads.
    """
    # With an identity link, the network returns its pre-activations, which the kernel of link and loss takes.
    linear = network.with_link("identity", "squared_error")
    K, error = network.units[-1], entry("output_error", w.dtype.name, network.output)
    parameters = network.parameters_of_units(w.dtype)
    total = weight = 0.0
    for start in range(0, data.rows, BLOCK):
        rows = slice(start, min(start + BLOCK, data.rows))
        Z = np.ascontiguousarray(predict(linear, w, stats, X[rows], threads).T)  # type: ignore[index]
        n = Z.shape[1]
        if data.labels.size:
            Y = np.zeros((K, n), w.dtype)
            Y[data.labels[rows], np.arange(n)] = 1
        else:
            Y = data.Y[rows].T.copy()  # the kernel smooths the labels in place
        losses, work = np.empty(n), np.empty(2 * n, w.dtype)
        arrays = (array.ctypes.data for array in (Z, Y, losses, work))
        error(*arrays, K, n, hyper.cap, network.label_smoothing, parameters.ctypes.data)
        weights = data.sample_weight[rows].astype(float) if data.weighted else np.ones(n)
        total += float(np.einsum("i,i->", weights, losses))
        weight += float(weights.sum())
    return total / weight * hyper.loss_scale if weight else np.nan
