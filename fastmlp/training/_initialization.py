"""Initial weights of a network."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ._aligned import empty
from ._network import Array, Network

__all__ = ["INITS", "initial_weights"]

INITS = ("glorot", "he", "lecun", "orthogonal", "uniform")


def _bound(init: str, activation: str, fan_in: int, fan_out: int, init_scale: float) -> float:
    """Return the bound e of the uniform distribution over [-e, e] of the weights of a layer."""
    if init == "uniform":
        return init_scale
    if init == "he":  # He et al. (2015), equation 10, as a uniform distribution
        return float(np.sqrt(6.0 / fan_in))
    if init == "lecun":  # LeCun et al. (1998), section 4.6
        return float(np.sqrt(3.0 / fan_in))
    # Glorot & Bengio (2010), equation 16; scikit-learn uses 2 instead of 6 for logistic units.
    return float(np.sqrt((2.0 if activation == "logistic" else 6.0) / (fan_in + fan_out)))


def _orthogonal(random: np.random.RandomState, fan_in: int, fan_out: int) -> Array:
    """Return a random matrix with orthonormal rows or columns (Saxe, McClelland & Ganguli 2014)."""
    a = random.standard_normal((max(fan_in, fan_out), min(fan_in, fan_out)))
    q, r = np.linalg.qr(a)
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return q if fan_in >= fan_out else q.T


def initial_weights(
    network: Network,
    init: str | Sequence[Any],
    init_scale: float,
    random: np.random.RandomState,
    dtype: DTypeLike,
    activation: str | Sequence[str],
) -> Array:
    """Return a new weight vector.

    Parameters
    ----------
    network : Network
    init : {'glorot', 'he', 'lecun', 'orthogonal', 'uniform'} or (coefs, intercepts)
        'glorot' draws as scikit-learn does: for each layer, first the weights, then the biases, from the same range.
        With 'he', 'lecun' and 'orthogonal', the biases are 0; 'uniform' draws both from [-init_scale, init_scale].
    init_scale : float
        Bound of 'uniform'.
    random : RandomState
    dtype : dtype
    activation : str or sequence of str
        Parameter of the estimator. As in scikit-learn, the last name also determines the range of the output layer,
        even if there is no hidden layer.

    Raises
    ------
    ValueError
        If given arrays do not have the shapes of the network, or are not finite.

    Warns
    -----
    UserWarning
        If all weights of a hidden layer are equal, so that its units would remain identical throughout training.
    """
    w = empty(network.table()[1].w, dtype)
    parts = network.parts(w)
    for gamma, beta in zip(parts.gammas, parts.betas, strict=True):
        gamma[...] = 1
        beta[...] = 0
    if not isinstance(init, str):
        _copy_given(network, init, parts.coefs, parts.intercepts)
        return w
    names = [*network.activations, *([activation] if isinstance(activation, str) else activation[-1:])]
    for (fan_in, fan_out), name, coef, intercept in zip(
        network.shapes(), [*names, ""], parts.coefs, parts.intercepts, strict=False
    ):
        if init == "orthogonal":
            coef[...] = _orthogonal(random, fan_in, fan_out)
            intercept[...] = 0
            continue
        bound = _bound(init, name, fan_in, fan_out, init_scale)
        coef[...] = random.uniform(-bound, bound, (fan_in, fan_out))
        intercept[...] = random.uniform(-bound, bound, fan_out) if init in ("glorot", "uniform") else 0
    return w


def _copy_given(network: Network, init: Sequence[Any], coefs: list[Array], intercepts: list[Array]) -> None:
    """Check and copy initial weights that the user has passed."""
    shapes = list(network.shapes())
    try:
        given_coefs, given_intercepts = ([np.asarray(a, dtype=float) for a in part] for part in init)
    except (TypeError, ValueError):
        raise ValueError(
            f"init must be one of {list(INITS)} or a pair (coefs, intercepts) of lists of arrays, got {init!r}"
        ) from None
    wanted = shapes, [(fan_out,) for _, fan_out in shapes]
    for name, arrays, expected in zip(("coefs", "intercepts"), (given_coefs, given_intercepts), wanted, strict=True):
        if [a.shape for a in arrays] != expected:
            raise ValueError(
                f"init: {name} must have the shapes {expected} for this network, got {[a.shape for a in arrays]}"
            )
        if not all(np.isfinite(a).all() for a in arrays):
            raise ValueError(f"init: {name} must be finite")
    for l, coef in enumerate(given_coefs[:-1]):
        if coef.shape[1] > 1 and np.ptp(coef, axis=1).max(initial=0) == 0 and np.ptp(given_intercepts[l]) == 0:
            warnings.warn(
                f"init: all weights into hidden layer {l + 1} are equal, so its units compute the same output "
                "and remain identical throughout training; use different (random) initial weights",
                UserWarning,
                stacklevel=2,
            )
            break
    for target, source in zip([*coefs, *intercepts], [*given_coefs, *given_intercepts], strict=True):
        target[...] = source
