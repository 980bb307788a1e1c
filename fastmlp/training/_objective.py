"""The objective of a fit, which the estimators pass to `fastmlp.inspection`."""

from typing import NamedTuple

from fastmlp.kernels.layout import Hyper

from ._data import Data
from ._network import Array, Network

__all__ = ["ObjectiveInputs"]


class ObjectiveInputs(NamedTuple):
    """Everything that the cost J of an estimator depends on; returned by its method `__fastmlp_objective__`.

    Attributes
    ----------
    network : Network
    data : Data
        In float64.
    w : ndarray of shape (sizes.w,)
        Weight vector, in float64. It is a copy, which the caller may change.
    hyper : Hyper
        The options of the penalty. The loss is neither capped nor scaled.
    threads : int
        Upper bound of the number of threads.
    tied : bool
        Whether the second half of the matrices are the transposes of the first, see `tie_weights`.
    """

    network: Network
    data: Data
    w: Array
    hyper: Hyper
    threads: int
    tied: bool
