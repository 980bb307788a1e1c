"""What a fit minimises, as the estimators hand it to `fastmlp.inspection`."""

from typing import NamedTuple

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
        Weight vector, in float64. Belongs to the caller, who may change it.
    alpha : float
        Strength of the L2 penalty.
    penalty : {'mean', 'sum'}
        Scaling of the penalty, see `penalty_scaling` of `MLPClassifier`.
    threads : int
        Upper bound of the number of threads.
    tied : bool
        Whether the second half of the matrices are the transposes of the first, see `tie_weights`.
    """

    network: Network
    data: Data
    w: Array
    alpha: float
    penalty: str
    threads: int
    tied: bool
