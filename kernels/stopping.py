"""scikit-learn's stopping rule and its adaptive schedule: the only place where they are written."""

from typing import Any

from ._jit import LinkedKernel, inlined, linked_kernel
from ._records import record
from .layout import STOPPED

__all__ = ["linked", "observe"]

SMALLEST_RATE = 1e-6  # scikit-learn's adaptive schedule stops here


@inlined
def observe(hyper, state, value):
    """Take note of the value that training is to lower: the loss of an epoch, or minus its validation score.

    Without an improvement of more than `tol` for more than `patience` epochs, training stops, or the rate is divided by
    5 where the schedule is adaptive. Writes `no_change`, `best`, `rate` and `status` of the state.
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
        """Apply `observe` to a validation score, of which `value` is the negative."""
        observe(record(hyper, 0), record(state, 0), value)

    return [watch]
