"""Number of threads of a fit, which depends on how much of the cores other processes use.

If another process occupies the core of one thread, the others wait for that thread at every barrier, and a single
thread may be faster than all of them. Results do not depend on the number of threads, so it can change between two
calls of a kernel. A fit that gets the CPU time it asks for tries nothing.

On a virtual machine, the host takes CPU time away for a moment and then for none. Therefore a single call decides
nothing: a trial begins after two calls in a row that lost CPU time, and compares the best of several turns.
"""

import copy
import math
import sys
import threading
import time
from collections.abc import Hashable
from typing import NamedTuple, Self

__all__ = ["TeamSize"]

# Calls are evaluated together until they have taken this long. The clock of CPU time ticks every 16 ms on Windows.
WINDOW_SECONDS = 0.1 if sys.platform == "win32" else 0.005
# CPU time that the threads of a team did not get, in cores. With one of two cores busy it was 1.0 to 1.6; on an idle
# virtual machine, a tenth to a half of the calls lost more than this as well.
LOST_CORES = 0.3
LOSING_WINDOWS = 2  # in a row, before a trial
# In a trial, both sizes take turns. A turn lasts for several time slices of the scheduler, and several mini-batches.
TURNS, TURN_SECONDS, TURN_PASSES = 2, 0.01, 2
# A trial is repeated when its expected loss is at most this share of the training time since the last one, within these
# bounds in seconds.
SHARE, SHORTEST, LONGEST = 0.02, 0.1, 1.0
FORGOTTEN_SECONDS = 5.0  # after a pause of this length, a fit tries all threads again
CLEARLY = 0.9  # a team that still loses CPU time must be faster by this factor than a smaller one


class Trial(NamedTuple):
    """A trial of `size` threads, which take turns with the number in use; `turn` turns are done.

    `tried` and `used` hold the best turn of each: seconds of a pass, and CPU time that was lost. `seconds` is the
    duration of the turns of `size` threads.
    """

    size: int
    turn: int = 0
    tried: tuple[float, float] = (math.inf, 0.0)
    used: tuple[float, float] = (math.inf, 0.0)
    seconds: float = 0.0


class TeamSize:
    """Choice of the number of threads for the next call of a kernel.

    Parameters
    ----------
    largest : int
        Number of threads in the team.
    work : Hashable, default=None
        What the duration of a pass depends on.

    Attributes
    ----------
    size : int
        The number of threads that was the fastest in the last trial.
    """

    _last = threading.local()

    def __init__(self, largest: int, work: Hashable = None) -> None:
        self.largest = self.size = largest
        self.work = work
        self._trial: Trial | None = None
        self._wait = 0.0  # training time before the next trial
        self._recorded = 0.0  # time of the last record
        self._losing = 0  # windows in a row
        self._pass_seconds = 0.0  # in the last window
        self._wall = self._cpu = 0.0  # in this window
        self._passes = 0

    @classmethod
    def of(cls, largest: int, work: Hashable) -> Self:
        """Return a choice that begins with what the last one in this Python thread has found.

        Many fits are shorter than a trial, so a fit with the same work continues the trial of the last one.
        """
        last = getattr(cls._last, "sizing", None)
        if last is None or time.perf_counter() > last._recorded + FORGOTTEN_SECONDS:
            return cls(largest, work)
        if (last.largest, last.work) == (largest, work):
            sizing = copy.copy(last)
            sizing._start_window()
        else:
            sizing = cls(largest, work)
            sizing.size, sizing._wait = max(1, largest - last.largest + last.size), last._wait
        return sizing

    def next(self, longest: float) -> tuple[int, float]:
        """Return the number of threads and the duration of the next call: `longest`, or that of a turn."""
        smaller = self.size < self.largest and self._pass_seconds > 0
        if smaller and self._trial is None and self._wait <= 0:
            self._trial = Trial(self.size + 1)
        if self._trial is None:
            return self.size, longest
        size = self._trial.size if self._trial.turn % 2 == 0 else self.size
        return size, max(TURN_SECONDS, TURN_PASSES * self._pass_seconds)

    def record(self, size: int, wall: float, cpu: float, passes: int) -> None:
        """Evaluate a call: its threads, its duration, the CPU time of all threads (unused for one), and its passes."""
        if self.largest == 1:
            return
        self._wall, self._cpu, self._passes = self._wall + wall, self._cpu + cpu, self._passes + passes
        if self._wall < WINDOW_SECONDS:
            return
        wall, lost = self._wall, size - self._cpu / self._wall if size > 1 else 0.0
        self._pass_seconds = wall / self._passes
        self._wait -= wall
        self._recorded = time.perf_counter()
        self._start_window()
        if self._trial is not None:
            self._end_turn(self._trial, size, wall, lost)
        else:
            self._losing = self._losing + 1 if lost > LOST_CORES else 0
            if self._losing >= LOSING_WINDOWS and self._wait <= 0:
                self._trial = Trial(size - 1)
        TeamSize._last.sizing = self

    def _start_window(self) -> None:
        self._wall = self._cpu = 0.0
        self._passes = 0

    def _end_turn(self, trial: Trial, size: int, wall: float, lost: float) -> None:
        """Record a turn. After the last one, choose the size whose best turn was faster."""
        result = self._pass_seconds, lost
        if size == trial.size:
            trial = trial._replace(tried=min(trial.tried, result), seconds=trial.seconds + wall)
        else:
            trial = trial._replace(used=min(trial.used, result))
        self._trial = trial = trial._replace(turn=trial.turn + 1)
        if trial.turn < 2 * TURNS:
            return
        (tried, lost), (used, _) = trial.tried, trial.used
        expected_loss = (1 - min(tried, used) / max(tried, used)) * trial.seconds
        self._wait = min(LONGEST, max(SHORTEST, expected_loss / SHARE))
        if tried < (CLEARLY if trial.size > self.size and lost > LOST_CORES else 1.0) * used:
            self.size = trial.size
        self._trial, self._losing = None, 0
