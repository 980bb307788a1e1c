"""Synchronisation of a team of Python threads within a kernel: an atomic counter and a barrier.

A barrier of two threads takes 0.3 us, while launching a parallel loop takes 3 us. Unlike Numba's threading layers, it
supports concurrent calls from several threads, and forks.

A waiting thread spins for some microseconds, then yields its core repeatedly, then sleeps. If another process occupies
the core of the thread that the others wait for, the operating system moves that thread to an idle core, but not to a
core on which a thread spins.
"""

import platform
import sys

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._jit import kernel
from .layout import ABORT, ARRIVED, SLEEPING

__all__ = ["aborted", "barrier"]

SPINS = 2000  # about 5 us: longer than an undisturbed wait, shorter than a time slice
YIELDS = 100  # about 40 us if no other thread wants the core: as long as it takes to wake a thread
NAP_NANOSECONDS = 2_000_000  # a sleeping thread checks this often whether the team was told to abort

# Number of the system call `futex`; on systems other than Linux, a waiting thread only yields its core.
FUTEX = {"x86_64": 202, "aarch64": 98}.get(platform.machine()) if sys.platform == "linux" else None
WAIT, WAKE = 128, 129  # FUTEX_WAIT and FUTEX_WAKE with FUTEX_PRIVATE_FLAG: all threads are of one process
ALL_THREADS = 2**31 - 1
CAN_SLEEP = FUTEX is not None

_I32, _I64 = ir.IntType(32), ir.IntType(64)


def _place(context, builder, sig, args):
    """Return the address of signals[i], the first two arguments; `signals` is a pointer or an array of int64."""
    data = args[0]
    if isinstance(sig.args[0], types.Array):
        data = context.make_array(sig.args[0])(context, builder, data).data
    return builder.gep(data, [args[1]])


@intrinsic
def atomic_add(typingctx, signals, i, value):
    """Add `value` to signals[i] atomically and return the previous value."""
    sig = types.int64(signals, types.intp, types.int64)

    def codegen(context, builder, sig, args):
        return builder.atomic_rmw("add", _place(context, builder, sig, args), args[2], "seq_cst")

    return sig, codegen


@intrinsic
def atomic_load(typingctx, signals, i):
    """Return signals[i], read atomically."""
    sig = types.int64(signals, types.intp)

    def codegen(context, builder, sig, args):
        return builder.load_atomic(_place(context, builder, sig, args), "seq_cst", 8)

    return sig, codegen


@intrinsic
def yield_core(typingctx):
    """Yield this core to another thread: `SwitchToThread` on Windows, `sched_yield` elsewhere."""
    name = "SwitchToThread" if sys.platform == "win32" else "sched_yield"

    def codegen(context, builder, sig, args):
        function = builder.module.globals.get(name)
        if function is None:
            function = ir.Function(builder.module, ir.FunctionType(_I32, []), name)
        builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), codegen


def _emit_futex(builder, place, operation, value, timeout):
    """Emit the system call `futex` on the 32 bits at `place`, if there is one. Its result is ignored."""
    if FUTEX is None:
        return
    function = builder.module.globals.get("syscall")
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(_I64, [_I64], var_arg=True), "syscall")
    none = ir.Constant(timeout.type, None)
    builder.call(function, [_I64(FUTEX), place, _I32(operation), value, timeout, none, _I32(0)])


@intrinsic
def sleep_while(typingctx, signals, i, value):
    """Sleep until `wake`, for at most NAP_NANOSECONDS, if the lower half of signals[i] equals that of `value`."""
    sig = types.void(signals, types.intp, types.int64)

    def codegen(context, builder, sig, args):
        time = cgutils.alloca_once_value(builder, ir.Constant(ir.ArrayType(_I64, 2), [*divmod(NAP_NANOSECONDS, 10**9)]))
        _emit_futex(builder, _place(context, builder, sig, args), WAIT, builder.trunc(args[2], _I32), time)
        return context.get_dummy_value()

    return sig, codegen


@intrinsic
def wake(typingctx, signals, i):
    """Wake all threads that sleep on signals[i]."""
    sig = types.void(signals, types.intp)

    def codegen(context, builder, sig, args):
        none = ir.Constant(ir.ArrayType(_I64, 2).as_pointer(), None)
        _emit_futex(builder, _place(context, builder, sig, args), WAKE, _I32(ALL_THREADS), none)
        return context.get_dummy_value()

    return sig, codegen


@kernel
def barrier(signals, team):
    """Wait until all `team` threads have arrived. Return False if the team was told to abort, otherwise True.

    Kernels pass `signals` as a pointer. With an array, the code would count references, and object code cannot call
    Numba's functions for that.
    """
    if team == 1:
        return True
    ticket = atomic_add(signals, ARRIVED, 1)
    target = (ticket // team + 1) * team
    if ticket + 1 == target and atomic_load(signals, SLEEPING) != 0:
        wake(signals, ARRIVED)
    waits = 0
    while atomic_load(signals, ARRIVED) < target:
        waits += 1
        if waits > SPINS:
            if atomic_load(signals, ABORT) != 0:
                return False
            if waits <= SPINS + YIELDS or not CAN_SLEEP:
                yield_core()
            else:
                # The thread registers before it reads the counter, so that the last thread either is seen or wakes it.
                atomic_add(signals, SLEEPING, 1)
                arrived = atomic_load(signals, ARRIVED)
                if arrived < target:
                    sleep_while(signals, ARRIVED, arrived)
                atomic_add(signals, SLEEPING, -1)
    return True


@kernel
def aborted(signals):
    """Return whether the team was told to abort."""
    return atomic_load(signals, ABORT) != 0
