"""The team of threads that runs one kernel, and how large it should be."""

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

import joblib
import numpy as np

from fastmlp.kernels.layout import ABORT, SIGNALS

__all__ = ["Team", "available_threads"]


def _usable_cores() -> int:
    """Return the number of cores that this process may use.

    The least of: the CPU affinity and the CPU quota of the container, as joblib finds them, and `OMP_NUM_THREADS`, by
    which joblib limits the threads of its worker processes.
    """
    cores = joblib.cpu_count()
    limit = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return min(cores, int(limit)) if limit.isdecimal() and int(limit) > 0 else cores


def available_threads(n_jobs: int | None) -> int:
    """Return how many threads a fit may use.

    Parameters
    ----------
    n_jobs : int or None
        As in scikit-learn: None and -1 mean all usable cores, -2 all but one.

    Returns
    -------
    int
        At least 1. For None and negative numbers it is 1 inside a thread of a joblib worker, where the other workers
        have the other cores, and inside a daemonic process. In a task of a Dask worker it is a share of the cores: the
        worker's threads run one task each.
    """
    if n_jobs is not None and n_jobs > 0:
        return n_jobs
    backend, _ = joblib.parallel.get_active_backend()
    in_worker_thread = threading.current_thread() is not threading.main_thread()
    if backend.nesting_level and in_worker_thread:
        return 1
    # An explicit None would mean "all" and ignore the limit of 1 in daemonic multiprocessing workers.
    if multiprocessing.current_process().daemon:
        return 1
    cores = max(1, _usable_cores() + 1 + n_jobs) if n_jobs is not None else _usable_cores()
    return max(1, cores // _threads_of_dask_worker())


def _threads_of_dask_worker() -> int:
    """Return the number of threads of the Dask worker that runs the current task; 1 outside of tasks.

    Workers with a nanny, the default, set OMP_NUM_THREADS=1. A worker that is a part of the user's process does not.
    """
    module = sys.modules.get("distributed.worker")
    if module is None:
        return 1
    try:
        return int(module.get_worker().state.nthreads)
    except ValueError:
        return 1


class Team:
    """Threads for the ranks 1, 2, ... of a kernel; the thread that calls `run` is rank 0.

    Parameters
    ----------
    size : int
        Number of ranks. Where the system refuses a thread, the team is smaller: results do not depend on it.

    Attributes
    ----------
    size : int
        Number of ranks.
    signals : ndarray of shape (SIGNALS,), int64
        The barrier's memory, for the kernels.
    """

    def __init__(self, size: int) -> None:
        self.signals = np.zeros(SIGNALS, dtype=np.int64)
        self.size = 1
        self._tasks: list[SimpleQueue[Callable[[], Any] | None]] = []
        self._threads: list[threading.Thread] = []
        if size == 1:
            return
        self._done: SimpleQueue[BaseException | None] = SimpleQueue()
        for rank in range(1, size):
            tasks: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()
            try:
                thread = threading.Thread(target=self._serve, args=(tasks,), name=f"fastmlp-{rank}", daemon=True)
                thread.start()
            except RuntimeError:
                break
            self._tasks.append(tasks)
            self._threads.append(thread)
        self.size = len(self._tasks) + 1

    def _serve(self, tasks: "SimpleQueue[Callable[[], Any] | None]") -> None:
        while (task := tasks.get()) is not None:
            try:
                task()
            except BaseException as error:
                self.signals[ABORT] = 1
                self._done.put(error)
            else:
                self._done.put(None)
            del task  # holds the arrays of the fit

    def run(self, kernel: Callable[..., None], *args: Any) -> None:
        """Run `kernel(rank, size, *args)` on every rank."""
        if self.size == 1:
            kernel(0, 1, *args)
            return
        try:
            for rank, tasks in enumerate(self._tasks, start=1):
                tasks.put(partial(kernel, rank, self.size, *args))
            kernel(0, self.size, *args)
            failures = [self._done.get() for _ in self._tasks]
        except BaseException:
            # Ctrl-C between two kernels, also while the tasks are handed out, or an error of this rank: nobody may
            # wait at a barrier for one that never comes, and how many came is not known.
            self.signals[ABORT] = 1
            self.close()
            raise
        for failure in failures:
            if failure is not None:
                raise failure

    def close(self) -> None:
        """End the threads: none is left behind, for a fork to lose."""
        for tasks in self._tasks:
            tasks.put(None)
        for thread in self._threads:
            thread.join()
        self._tasks, self._threads, self.size = [], [], 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
