"""The team of threads that runs a kernel, and the number of threads to use."""

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from functools import lru_cache, partial
from queue import SimpleQueue
from time import thread_time
from types import TracebackType
from typing import Any, Self

import joblib
import numpy as np

from fastmlp.kernels.layout import ABORT, ARRIVED, CLAIMS, SIGNALS

__all__ = ["Team", "available_threads"]


@lru_cache(maxsize=16)
def _cores_of_joblib(affinity: int, limit: str | None) -> int:
    """Return joblib's number of cores: the minimum of the affinity, its own limit and the quota of the container.

    joblib reads the quota from files, which takes 60 us. The arguments are what may change while a process runs.
    """
    return joblib.cpu_count()


def _usable_cores() -> int:
    """Return the number of cores that this process may use.

    This is the minimum of what joblib finds and of `OMP_NUM_THREADS`, with which joblib limits the threads of its
    worker processes.
    """
    affinity = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 0
    cores = _cores_of_joblib(affinity, os.environ.get("LOKY_MAX_CPU_COUNT"))
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
        At least 1. For None and negative numbers, it is 1 inside a thread of a joblib worker, because other workers use
        the other cores, and inside a daemonic process. In a task of a Dask worker, it is a share of the cores, because
        each thread of the worker runs one task.
    """
    if n_jobs is not None and n_jobs > 0:
        return n_jobs
    backend, _ = joblib.parallel.get_active_backend()
    in_worker_thread = threading.current_thread() is not threading.main_thread()
    if backend.nesting_level and in_worker_thread:
        return 1
    # joblib treats an explicit None as "all" and ignores the limit of 1 in daemonic multiprocessing workers.
    if multiprocessing.current_process().daemon:
        return 1
    cores = max(1, _usable_cores() + 1 + n_jobs) if n_jobs is not None else _usable_cores()
    return max(1, cores // _threads_of_dask_worker())


def _threads_of_dask_worker() -> int:
    """Return the number of threads of the Dask worker that runs the current task; 1 outside of tasks.

    Workers with a nanny, which is the default, set OMP_NUM_THREADS=1. Workers within the user's process do not.
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
        Number of ranks. If the system cannot start a thread, the team is smaller. Results do not depend on it.

    Attributes
    ----------
    size : int
        Number of ranks.
    signals : ndarray of shape (SIGNALS + size * CLAIMS,), int64
        Memory of the barrier and the counters of claimed work, for the kernels.
    """

    def __init__(self, size: int) -> None:
        self.signals = np.zeros(SIGNALS + size * CLAIMS, dtype=np.int64)
        self.size = 1
        self._tasks: list[SimpleQueue[Callable[[], Any] | None]] = []
        self._threads: list[threading.Thread] = []
        if size == 1:
            return
        self._done: SimpleQueue[BaseException | float] = SimpleQueue()
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
                begin = thread_time()
                task()
            except BaseException as error:
                self.signals[ABORT] = 1
                self._done.put(error)
            else:
                self._done.put(thread_time() - begin)
            del task  # it refers to the arrays of the fit

    def run(self, kernel: Callable[..., None], *args: Any, size: int | None = None) -> float:
        """Run `kernel(rank, size, *args)` on every rank, or on ranks 0 to size - 1.

        Returns
        -------
        float
            Seconds of CPU time of all ranks. 0 for one rank, because reading the clock is a system call, and small
            fits make many short calls.
        """
        size = self.size if size is None else size
        if size == 1:
            kernel(0, 1, *args)
            return 0.0
        begin = thread_time()
        self.signals[ARRIVED] = 0  # its meaning depends on the number of threads
        try:
            for rank, tasks in enumerate(self._tasks[: size - 1], start=1):
                tasks.put(partial(kernel, rank, size, *args))
            kernel(0, size, *args)
            seconds = thread_time() - begin
            results = [self._done.get() for _ in range(size - 1)]
        except BaseException:
            # Ctrl-C between two kernels or while the tasks are distributed, or an error of this rank. No rank may wait
            # at a barrier for a rank that never arrives, and it is not known how many ranks have started.
            self.signals[ABORT] = 1
            self.close()
            raise
        for result in results:
            if isinstance(result, BaseException):
                raise result
            seconds += result
        return seconds

    def close(self) -> None:
        """Join the threads. A thread that is still running would not exist in a forked process."""
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
