"""The objective of a fit, which the estimators pass to `fastmlp.inspection`."""

from typing import NamedTuple

from fastmlp.kernels.layout import Hyper

from ._data import Data
from ._network import Array, Network

__all__ = ["ObjectiveInputs"]


class ObjectiveInputs(NamedTuple):
    """Everything that a cost J depends on; the method `__fastmlp_objective__` of an estimator returns that of a fit.

    Attributes
    ----------
    network : Network
    data : Data
        Of an estimator, in float64.
    w : ndarray of shape (sizes.w,)
        Weight vector, with the dtype of the data. It is a copy, which the caller may change.
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
