"""scikit-learn's stopping rule and adaptive learning rate."""

from typing import Any

from ._jit import LinkedKernel, inlined, linked_kernel
from ._records import record
from .layout import STOPPED

__all__ = ["linked", "observe"]

SMALLEST_RATE = 1e-6  # training with the adaptive schedule stops at this rate, as in scikit-learn


@inlined
def observe(hyper, state, value):
    """Apply the stopping rule to `value`, which is the loss of an epoch or minus its validation score.

    If `value` does not improve by more than `tol` for more than `patience` epochs, training stops, or, if the schedule
    is adaptive, the rate is divided by 5. Writes `no_change`, `best`, `rate` and `status` of the state.
    """
    state.no_change = state.no_change + 1 if value > state.best - hyper.tol else 0
    if value < state.best:
        state.best = value
    if state.no_change <= hyper.patience:
        return
    if hyper.adaptive and state.rate > SMALLEST_RATE:
        state.rate = state.rate / 5.0
        state.no_change = 0
    else:
        state.status = STOPPED


def linked(number: Any) -> list[LinkedKernel]:
    """Declare the kernel; it does not depend on `number`."""

    @linked_kernel(number)
    def watch(hyper, state, value):
        """Apply `observe` to `value`, minus a validation score."""
        observe(record(hyper, 0), record(state, 0), value)

    return [watch]
