"""The computations of one layer as plain loops over samples, units and weights.

`fastmlp.reference.loops` exports these functions and combines them into the passes of a whole network.
"""

import math
from typing import TypeAlias

from fastmlp.reference._activations import LOOPS as ACTIVATIONS

__all__ = [
    "BATCH_NORM_EPSILON",
    "Row",
    "Rows",
    "accumulate_gradient",
    "activate",
    "activate_backward",
    "affine",
    "batch_normalize",
    "batch_normalize_backward",
    "delta_recurrence",
]

BATCH_NORM_EPSILON = 1e-5

Row: TypeAlias = list[float]
Rows: TypeAlias = list[Row]


def affine(A: Rows, W: Rows, b: Row) -> Rows:
    """Compute the pre-activations of a layer, Z = A W + b.

    For each sample, z_k = b_k + sum_j a_j W_jk.

    Parameters
    ----------
    A : list of list of float, shape (m, n_in)
        Inputs of the layer.
    W : list of list of float, shape (n_in, n_out)
        Weights.
    b : list of float, shape (n_out,)
        Biases.

    Returns
    -------
    Z : list of list of float, shape (m, n_out)
        Pre-activations.

    Examples
    --------
    >>> from fastmlp.reference import loops
    >>> loops.affine([[3.0, 1.0]], [[1.0], [-2.0]], [0.5])
    [[1.5]]
    """
    Z = []
    for a in A:
        z = []
        for k in range(len(b)):
            z_k = b[k]
            for j, a_j in enumerate(a):
                z_k += a_j * W[j][k]
            z.append(z_k)
        Z.append(z)
    return Z


def activate(activation: str, Z: Rows, maxout_pieces: int = 2) -> Rows:
    """Apply an activation function, A = f(Z).

    Parameters
    ----------
    activation : str
        A name in `ACTIVATIONS`.
    Z : list of list of float, shape (m, n_out)
        Pre-activations. For maxout the shape is (m, maxout_pieces * n_out), with all first pieces, then all second
        pieces and so on: unit k takes the largest of the columns k, n_out + k, 2 n_out + k, ...
    maxout_pieces : int, default=2
        Number of linear pieces of a maxout unit. Other activations ignore it.

    Returns
    -------
    A : list of list of float, shape (m, n_out)
        Outputs of the layer.

    Examples
    --------
    >>> from fastmlp.reference import loops
    >>> loops.activate("relu", [[-1.0, 2.0]])
    [[0.0, 2.0]]
    >>> loops.activate("maxout", [[1.0, 5.0, 3.0, 4.0]])  # two units of two pieces
    [[3.0, 5.0]]
    """
    row = ACTIVATIONS[activation]
    A = []
    for z in Z:
        if row.in_pieces:
            n = len(z) // maxout_pieces
            A.append([row.forward(z[k::n]) for k in range(n)])
        else:
            A.append([row.forward(z_k) for z_k in z])
    return A


def activate_backward(activation: str, Z: Rows, A: Rows, E: Rows, maxout_pieces: int = 2) -> Rows:
    """Propagate an error through an activation function, D = E * f'(Z).

    Parameters
    ----------
    activation : str
        A name in `ACTIVATIONS`.
    Z : list of list of float, shape (m, n_out)
        Pre-activations. For maxout the shape is (m, maxout_pieces * n_out), see `activate`.
    A : list of list of float, shape (m, n_out)
        Outputs, A = f(Z).
    E : list of list of float, shape (m, n_out)
        Error dJ/dA of each sample.
    maxout_pieces : int, default=2
        Number of linear pieces of a maxout unit. Other activations ignore it.

    Returns
    -------
    D : list of list of float, of the shape of Z
        Error dJ/dZ of each sample.

    Examples
    --------
    >>> from fastmlp.reference import loops
    >>> loops.activate_backward("relu", [[-1.0, 2.0]], [[0.0, 2.0]], [[0.5, 0.5]])
    [[0.0, 0.5]]
    """
    row = ACTIVATIONS[activation]
    D = []
    for z, a, e in zip(Z, A, E, strict=True):
        d = []
        if row.in_pieces:
            n = len(z) // maxout_pieces
            slopes = [row.derivative(z[k::n], a[k]) for k in range(n)]
            for q in range(maxout_pieces):
                for k in range(n):
                    d.append(e[k] * slopes[k][q])
        else:
            for k in range(len(z)):
                d.append(e[k] * row.derivative(z[k], a[k]))
        D.append(d)
    return D


def batch_normalize(Z: Rows, gamma: Row, beta: Row) -> tuple[Rows, Rows, Row]:
    """Normalise each unit over the rows of a batch, then scale and shift it (Ioffe & Szegedy 2015).

    U = gamma N + beta, where N = (Z - mean) s and s = 1 / sqrt(variance + 1e-5). The variance is the biased one.

    Parameters
    ----------
    Z : list of list of float, shape (m, n_out)
        Pre-activations.
    gamma, beta : list of float, shape (n_out,)
        Scale and shift.

    Returns
    -------
    U : list of list of float, shape (m, n_out)
        Normalised pre-activations, scaled and shifted.
    N : list of list of float, shape (m, n_out)
        Normalised pre-activations.
    s : list of float, shape (n_out,)
        Reciprocals of the standard deviations.

    Examples
    --------
    >>> from fastmlp.reference import loops
    >>> U, N, s = loops.batch_normalize([[1.0], [3.0]], [2.0], [1.0])
    >>> [[round(u_k, 3) for u_k in u] for u in U]
    [[-1.0], [3.0]]
    """
    m = len(Z)
    U: Rows = [[] for _ in Z]
    N: Rows = [[] for _ in Z]
    s = []
    for k in range(len(gamma)):
        mean = sum(z[k] for z in Z) / m
        variance = sum((z[k] - mean) * (z[k] - mean) for z in Z) / m
        s_k = 1 / math.sqrt(variance + BATCH_NORM_EPSILON)
        for z, n, u in zip(Z, N, U, strict=True):
            n.append((z[k] - mean) * s_k)
            u.append(gamma[k] * n[k] + beta[k])
        s.append(s_k)
    return U, N, s


def batch_normalize_backward(D: Rows, N: Rows, s: Row, gamma: Row) -> tuple[Rows, Row, Row]:
    """Propagate an error through a batch normalisation.

    The error of Z is gamma s (D - mean(D) - N mean(D N)) with means over the rows. It includes the derivatives of the
    mean and the variance.

    Parameters
    ----------
    D : list of list of float, shape (m, n_out)
        Error dJ/dU of each sample.
    N : list of list of float, shape (m, n_out)
        Normalised pre-activations, as returned by `batch_normalize`.
    s : list of float, shape (n_out,)
        Reciprocals of the standard deviations, as returned by `batch_normalize`.
    gamma : list of float, shape (n_out,)
        Scale.

    Returns
    -------
    error : list of list of float, shape (m, n_out)
        Error dJ/dZ of each sample.
    for_gamma : list of float, shape (n_out,)
        Sum of D N over the rows, which is m times the gradient of gamma.
    for_beta : list of float, shape (n_out,)
        Sum of D over the rows, which is m times the gradient of beta.

    Examples
    --------
    >>> from fastmlp.reference import loops
    >>> _, N, s = loops.batch_normalize([[1.0], [3.0]], [2.0], [1.0])
    >>> error, for_gamma, for_beta = loops.batch_normalize_backward([[0.5], [0.25]], N, s, [2.0])
    >>> round(for_gamma[0], 3), for_beta
    (-0.25, [0.75])
    """
    m = len(D)
    error: Rows = [[] for _ in D]
    for_gamma, for_beta = [], []
    for k in range(len(gamma)):
        sum_dn, sum_d = 0.0, 0.0
        for d, n in zip(D, N, strict=True):
            sum_dn += d[k] * n[k]
            sum_d += d[k]
        for d, n, e in zip(D, N, error, strict=True):
            e.append(gamma[k] * s[k] * (d[k] - sum_d / m - n[k] * sum_dn / m))
        for_gamma.append(sum_dn)
        for_beta.append(sum_d)
    return error, for_gamma, for_beta


def delta_recurrence(D: Rows, W: Rows) -> Rows:
    """Propagate the error of a layer to its inputs, E = D W^T.

    For each sample, e_j = sum_k W_jk d_k.

    The result times f'(Z) of the layer before is the error D of that layer, see `activate_backward`.

    Parameters
    ----------
    D : list of list of float, shape (m, n_out)
        Error dJ/dZ of each sample.
    W : list of list of float, shape (n_in, n_out)
        Weights of the layer.

    Returns
    -------
    E : list of list of float, shape (m, n_in)
        Error of the inputs of the layer for each sample.

    Examples
    --------
    >>> from fastmlp.reference import loops
    >>> loops.delta_recurrence([[0.5]], [[2.0], [3.0]])
    [[1.0, 1.5]]
    """
    E = []
    for d in D:
        e = []
        for W_j in W:
            e_j = 0.0
            for k, d_k in enumerate(d):
                e_j += W_j[k] * d_k
            e.append(e_j)
        E.append(e)
    return E


def accumulate_gradient(
    A: Rows, D: Rows, W: Rows, m: float, *, alpha: float = 0.0, penalty: str = "mean"
) -> tuple[Rows, Row]:
    """Compute the gradient of the cost with respect to the weights and biases of a layer.

    dJ/dW = A^T D / m + alpha/m W (penalty "mean") or + alpha W (penalty "sum"), and dJ/db = sum_i D_i / m.

    Parameters
    ----------
    A : list of list of float, shape (n_samples, n_in)
        Inputs of the layer.
    D : list of list of float, shape (n_samples, n_out)
        Error dJ/dZ of each sample, before the division by m.
    W : list of list of float, shape (n_in, n_out)
        Weights.
    m : float
        Number of samples, or the sum of their weights.
    alpha : float, default=0.0
        Strength of the L2 penalty.
    penalty : {"mean", "sum"}, default="mean"
        Whether the penalty is divided by m ("mean") or not ("sum").

    Returns
    -------
    dW : list of list of float, shape (n_in, n_out)
        Gradient dJ/dW.
    db : list of float, shape (n_out,)
        Gradient dJ/db.

    Examples
    --------
    >>> from fastmlp.reference import loops
    >>> loops.accumulate_gradient([[1.0], [3.0]], [[1.0], [5.0]], [[2.0]], 2)
    ([[8.0]], [3.0])
    """
    n = len(W[0])
    accumulator = [[0.0] * n for _ in W]
    bias_accumulator = [0.0] * n
    for a, d in zip(A, D, strict=True):
        for k, d_k in enumerate(d):
            for j, a_j in enumerate(a):
                accumulator[j][k] += a_j * d_k
            bias_accumulator[k] += d_k

    strength = alpha / m if penalty == "mean" else alpha
    dW = [[accumulator[j][k] / m + strength * W[j][k] for k in range(n)] for j in range(len(W))]
    return dW, [total / m for total in bias_accumulator]
