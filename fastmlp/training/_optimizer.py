"""Single steps of an optimizer, for training loops in Python."""

import math

from fastmlp.kernels._arrays import address
from fastmlp.kernels._link import entry
from fastmlp.kernels.tables import ADAM

from ._network import Array
from ._state import TrainingState

__all__ = ["take_step"]


def take_step(hyper: Array, state: TrainingState, w: Array, g: Array) -> None:
    """Take a step with the same operations as the training loop of the kernels.

    Parameters
    ----------
    hyper : ndarray of shape (1,) and dtype `fastmlp.kernels.layout.HYPER`
        Optimizer and its hyperparameters, see `record_of`.
    state : TrainingState
        Provides the learning rate. The moments and the powers of beta_1 and beta_2 are updated.
    w, g : ndarray of shape (n,)
        Weights, which are updated, and gradient, contiguous and of the same dtype.
    """
    options, rate = hyper[0], state["rate"]
    if options["optimizer"] == ADAM:
        state["beta_1_t"] = state["beta_1_t"] * float(options["beta_1"])
        state["beta_2_t"] = state["beta_2_t"] * float(options["beta_2"])
        rate = rate * math.sqrt(1 - state["beta_2_t"]) / (1 - state["beta_1_t"])  # rounded as in the kernel
    arrays = (address(array) if array.size else 0 for array in (w, g, state.m, state.v))
    entry("update", w.dtype.name)(address(hyper), *arrays, w.size, rate)
