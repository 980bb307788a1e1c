"""Number of threads of a fit, which depends on how much of the cores other processes use.

If another process occupies the core of one thread, the others wait for that thread at every barrier, and a single
thread may be faster than all of them. Results do not depend on the number of threads, so it can change between two
calls of a kernel. A fit that gets the CPU time it asks for tries nothing.
"""

import sys
import time

__all__ = ["TeamSize"]

# Calls are evaluated together until they have taken this long. The clock of CPU time ticks every 16 ms on Windows.
WINDOW_SECONDS = 0.1 if sys.platform == "win32" else 0.005
# Duration of a trial: several time slices of the scheduler, and several mini-batches.
TRIAL_SECONDS, TRIAL_PASSES = 0.01, 4
# CPU time that the threads of a team did not get, in cores. With one of two cores busy it was 1.0 to 1.6, on an idle
# machine less than 0.2, except for one call of 0.6 (the fits of `python -m bench one_core_busy`).
LOST_CORES = 0.3
# A trial is repeated when its expected loss is at most this share of the time, within these bounds in seconds.
SHARE, SHORTEST, LONGEST = 0.02, 0.1, 1.0
CLEARLY = 0.9  # a team that still loses CPU time must be faster by this factor than a smaller one


class _LastTrial:
    """How many threads the last trial of any fit omitted, and until when; for fits that are shorter than a trial."""

    omitted, until = 0, 0.0


class TeamSize:
    """Choice of the number of threads for the next call of a kernel.

    Parameters
    ----------
    largest : int
        Number of threads in the team.

    Attributes
    ----------
    size : int
        The number of threads that was the fastest in the last trial.
    """

    def __init__(self, largest: int) -> None:
        self.largest = self.size = largest
        self._trial = 0  # number of threads that is on trial; 0: none
        self._again = 0.0  # time of the next trial
        self._pass_seconds = 0.0  # with `size` threads; 0: not yet measured
        self._wall = self._cpu = 0.0
        self._passes = 0
        if _LastTrial.omitted and time.perf_counter() < _LastTrial.until:
            self.size, self._again = max(1, largest - _LastTrial.omitted), _LastTrial.until

    def next(self, longest: float) -> tuple[int, float]:
        """Return the number of threads and the duration of the next call: `longest`, or that of a trial."""
        smaller = self.size < self.largest and self._pass_seconds > 0
        if smaller and not self._trial and time.perf_counter() >= self._again:
            self._trial = self.size + 1
        if self._trial:
            return self._trial, max(TRIAL_SECONDS, TRIAL_PASSES * self._pass_seconds)
        return self.size, longest

    def record(self, size: int, wall: float, cpu: float, passes: int) -> None:
        """Evaluate a call: its threads, its duration, the CPU time of all threads (unused for one), and its passes."""
        if self.largest == 1:
            return
        self._wall, self._cpu, self._passes = self._wall + wall, self._cpu + cpu, self._passes + passes
        if self._wall < WINDOW_SECONDS:
            return
        wall, pass_seconds, lost = self._wall, self._wall / self._passes, size - self._cpu / self._wall
        self._wall, self._cpu, self._passes = 0.0, 0.0, 0
        if self._trial:
            self._decide(size, wall, pass_seconds, lost)
            return
        self._pass_seconds = pass_seconds
        if size > 1 and lost > LOST_CORES and time.perf_counter() >= self._again:
            self._trial = size - 1

    def _decide(self, size: int, wall: float, pass_seconds: float, lost: float) -> None:
        """End the trial of `size` threads."""
        slower, faster = max(pass_seconds, self._pass_seconds), min(pass_seconds, self._pass_seconds)
        factor = CLEARLY if size > self.size and lost > LOST_CORES else 1.0
        expected_loss = (1 - faster / slower) * wall
        self._again = time.perf_counter() + min(LONGEST, max(SHORTEST, expected_loss / SHARE))
        if pass_seconds < factor * self._pass_seconds:
            self.size, self._pass_seconds = size, pass_seconds
        self._trial = 0
        _LastTrial.omitted, _LastTrial.until = self.largest - self.size, self._again
