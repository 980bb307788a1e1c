"""The computations of one layer as NumPy operations on whole batches.

`fastmlp.reference.vectorized` exports these functions and combines them into the passes of a whole network.
"""

import numpy as np

from fastmlp._problem import Array
from fastmlp.reference._activations import VECTORIZED as ACTIVATIONS

__all__ = [
    "BATCH_NORM_EPSILON",
    "accumulate_gradient",
    "activate",
    "activate_backward",
    "affine",
    "batch_normalize",
    "batch_normalize_backward",
    "delta_recurrence",
]

BATCH_NORM_EPSILON = 1e-5


def affine(A: Array, W: Array, b: Array) -> Array:
    """Compute the pre-activations of a layer, Z = A W + b.

    Parameters
    ----------
    A : ndarray of shape (m, n_in)
        Inputs of the layer.
    W : ndarray of shape (n_in, n_out)
        Weights.
    b : ndarray of shape (n_out,)
        Biases.

    Returns
    -------
    Z : ndarray of shape (m, n_out)
        Pre-activations.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.reference import vectorized
    >>> vectorized.affine(np.array([[3.0, 1.0]]), np.array([[1.0], [-2.0]]), np.array([0.5]))
    array([[1.5]])
    """
    Z = A @ W
    Z += b
    return Z


def activate(activation: str, Z: Array, maxout_pieces: int = 2) -> Array:
    """Apply an activation function, A = f(Z).

    Parameters
    ----------
    activation : str
        A name in `ACTIVATIONS`.
    Z : ndarray of shape (m, n_out)
        Pre-activations. For maxout the shape is (m, maxout_pieces * n_out), with all first pieces, then all second
        pieces and so on: unit k takes the largest of the columns k, n_out + k, 2 n_out + k, ...
    maxout_pieces : int, default=2
        Number of linear pieces of a maxout unit. Other activations ignore it.

    Returns
    -------
    A : ndarray of shape (m, n_out)
        Outputs of the layer.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.reference import vectorized
    >>> vectorized.activate("relu", np.array([[-1.0, 2.0]]))
    array([[0., 2.]])
    >>> vectorized.activate("maxout", np.array([[1.0, 5.0, 3.0, 4.0]]))  # two units of two pieces
    array([[3., 5.]])
    """
    row = ACTIVATIONS[activation]
    result: Array = row.forward(Z.reshape(len(Z), maxout_pieces, -1) if row.in_pieces else Z)
    return result


def activate_backward(activation: str, Z: Array, A: Array, E: Array, maxout_pieces: int = 2) -> Array:
    """Propagate an error through an activation function, D = E * f'(Z).

    Parameters
    ----------
    activation : str
        A name in `ACTIVATIONS`.
    Z : ndarray of shape (m, n_out)
        Pre-activations. For maxout the shape is (m, maxout_pieces * n_out), see `activate`.
    A : ndarray of shape (m, n_out)
        Outputs, A = f(Z).
    E : ndarray of shape (m, n_out)
        Error dJ/dA of each sample.
    maxout_pieces : int, default=2
        Number of linear pieces of a maxout unit. Other activations ignore it.

    Returns
    -------
    D : ndarray of the shape of Z
        Error dJ/dZ of each sample.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.reference import vectorized
    >>> Z, A, E = np.array([[-1.0, 2.0]]), np.array([[0.0, 2.0]]), np.array([[0.5, 0.5]])
    >>> vectorized.activate_backward("relu", Z, A, E)
    array([[0. , 0.5]])
    """
    row = ACTIVATIONS[activation]
    if row.in_pieces:
        slopes = row.derivative(Z.reshape(len(Z), maxout_pieces, -1), A)
        D: Array = (E[:, np.newaxis] * slopes).reshape(Z.shape)
    else:
        D = E * row.derivative(Z, A)
    return D


def batch_normalize(Z: Array, gamma: Array, beta: Array) -> tuple[Array, Array, Array]:
    """Normalise each unit over the rows of a batch, then scale and shift it (Ioffe & Szegedy 2015).

    U = gamma N + beta, where N = (Z - mean) s and s = 1 / sqrt(variance + 1e-5). The variance is the biased one.

    Parameters
    ----------
    Z : ndarray of shape (m, n_out)
        Pre-activations.
    gamma, beta : ndarray of shape (n_out,)
        Scale and shift.

    Returns
    -------
    U : ndarray of shape (m, n_out)
        Normalised pre-activations, scaled and shifted.
    N : ndarray of shape (m, n_out)
        Normalised pre-activations.
    s : ndarray of shape (n_out,)
        Reciprocals of the standard deviations.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.reference import vectorized
    >>> U, N, s = vectorized.batch_normalize(np.array([[1.0], [3.0]]), np.array([2.0]), np.array([1.0]))
    >>> U.round(3)
    array([[-1.],
           [ 3.]])
    """
    N = Z - Z.mean(axis=0)
    s = 1 / np.sqrt(np.einsum("ik,ik->k", N, N) / len(Z) + BATCH_NORM_EPSILON)
    N *= s
    return gamma * N + beta, N, s


def batch_normalize_backward(D: Array, N: Array, s: Array, gamma: Array) -> tuple[Array, Array, Array]:
    """Propagate an error through a batch normalisation.

    The error of Z is gamma s (D - mean(D) - N mean(D N)) with means over the rows. It includes the derivatives of the
    mean and the variance.

    Parameters
    ----------
    D : ndarray of shape (m, n_out)
        Error dJ/dU of each sample.
    N : ndarray of shape (m, n_out)
        Normalised pre-activations, as returned by `batch_normalize`.
    s : ndarray of shape (n_out,)
        Reciprocals of the standard deviations, as returned by `batch_normalize`.
    gamma : ndarray of shape (n_out,)
        Scale.

    Returns
    -------
    error : ndarray of shape (m, n_out)
        Error dJ/dZ of each sample.
    for_gamma : ndarray of shape (n_out,)
        Sum of D N over the rows, which is m times the gradient of gamma.
    for_beta : ndarray of shape (n_out,)
        Sum of D over the rows, which is m times the gradient of beta.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.reference import vectorized
    >>> gamma, beta = np.array([2.0]), np.array([1.0])
    >>> _, N, s = vectorized.batch_normalize(np.array([[1.0], [3.0]]), gamma, beta)
    >>> error, for_gamma, for_beta = vectorized.batch_normalize_backward(np.array([[0.5], [0.25]]), N, s, gamma)
    >>> for_gamma.round(3), for_beta
    (array([-0.25]), array([0.75]))
    """
    for_gamma = np.einsum("ik,ik->k", D, N)
    for_beta = D.sum(axis=0)
    return (gamma * s) * (D - for_beta / len(D) - N * (for_gamma / len(D))), for_gamma, for_beta


def delta_recurrence(D: Array, W: Array) -> Array:
    """Propagate the error of a layer to its inputs, E = D W^T.

    The result times f'(Z) of the layer before is the error D of that layer, see `activate_backward`.

    Parameters
    ----------
    D : ndarray of shape (m, n_out)
        Error dJ/dZ of each sample.
    W : ndarray of shape (n_in, n_out)
        Weights of the layer.

    Returns
    -------
    E : ndarray of shape (m, n_in)
        Error of the inputs of the layer for each sample.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.reference import vectorized
    >>> vectorized.delta_recurrence(np.array([[0.5]]), np.array([[2.0], [3.0]]))
    array([[1. , 1.5]])
    """
    return D @ W.T


def accumulate_gradient(
    A: Array, D: Array, W: Array, m: float, *, alpha: float = 0.0, penalty: str = "mean"
) -> tuple[Array, Array]:
    """Compute the gradient of the cost with respect to the weights and biases of a layer.

    dJ/dW = A^T D / m + alpha/m W (penalty "mean") or + alpha W (penalty "sum"), and dJ/db = sum_i D_i / m.

    Parameters
    ----------
    A : ndarray of shape (n_samples, n_in)
        Inputs of the layer.
    D : ndarray of shape (n_samples, n_out)
        Error dJ/dZ of each sample, before the division by m.
    W : ndarray of shape (n_in, n_out)
        Weights.
    m : float
        Number of samples, or the sum of their weights.
    alpha : float, default=0.0
        Strength of the L2 penalty.
    penalty : {"mean", "sum"}, default="mean"
        Whether the penalty is divided by m ("mean") or not ("sum").

    Returns
    -------
    dW : ndarray of shape (n_in, n_out)
        Gradient dJ/dW.
    db : ndarray of shape (n_out,)
        Gradient dJ/db.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.reference import vectorized
    >>> A, D, W = np.array([[1.0], [3.0]]), np.array([[1.0], [5.0]]), np.array([[2.0]])
    >>> vectorized.accumulate_gradient(A, D, W, 2)
    (array([[8.]]), array([3.]))
    """
    dW = A.T @ D
    dW /= m
    if alpha:
        dW += (alpha / m if penalty == "mean" else alpha) * W
    return dW, D.sum(axis=0) / m
