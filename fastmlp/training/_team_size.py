"""Number of threads of a fit, which depends on how much of the cores other processes use.

If another process occupies the core of one thread, the others wait for that thread at every barrier, and a single
thread may be faster than all of them. Results do not depend on the number of threads, so it can change between two
calls of a kernel. A fit that gets the CPU time it asks for tries nothing.

The host of a virtual machine may take CPU time away for some milliseconds. Therefore no single measurement decides: a
trial begins after two windows in a row that lost CPU time, and compares the best of several turns.
"""

import copy
import math
import sys
import threading
import time
from collections.abc import Hashable
from typing import NamedTuple, Self

__all__ = ["TeamSize"]

# Calls are evaluated together, as one window, until they have taken this long. The clock of CPU time ticks every 16 ms
# on Windows.
WINDOW_SECONDS = 0.1 if sys.platform == "win32" else 0.005
# Share of the CPU time that the threads of a team did not get. With one of two cores busy it was 0.5 to 0.8; on an idle
# virtual machine, single windows lost as much.
LOST_SHARE = 0.15
LOSING_WINDOWS = 2  # in a row, before a trial
# In a trial, both sizes take turns, for about so many seconds and at least so many mini-batches.
TURNS, TURN_SECONDS, TURN_PASSES = 2, 2 * WINDOW_SECONDS, 2
# A trial is repeated when its expected loss is at most this share of the training time since the last one, but not
# before so many seconds.
SHARE, SHORTEST = 0.02, 0.1
FORGOTTEN_SECONDS = 5.0  # after a pause of this length, all threads are tried again
CLEARLY = 0.9  # a team that still loses CPU time must be faster by this factor than a smaller one
KEPT = 16  # numbers of threads that a Python thread remembers, each for other work


class Trial(NamedTuple):
    """A trial of `size` threads, which take turns with the number in use; `turn` turns are done.

    `tried` and `used` are the seconds of a pass in the best turn of each, `lost` is the largest share of the CPU time
    that `size` threads did not get, and `seconds` the duration of their turns.
    """

    size: int
    turn: int = 0
    tried: float = math.inf
    used: float = math.inf
    lost: float = 0.0
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

    # Of each Python thread: `choices`, by (largest, work), the last one at the end.
    _kept = threading.local()

    def __init__(self, largest: int, work: Hashable = None) -> None:
        self.largest = largest
        self.work = work
        self._recorded = -math.inf  # time of the last record
        self._forget()

    def _forget(self) -> None:
        """Begin again, with all threads."""
        self.size = self.largest
        self._trial: Trial | None = None
        self._rejected = 0  # number of threads of the last trial, if it was rejected
        self._wait = 0.0  # training time before the next trial
        self._losing = 0  # windows in a row
        self._pass_seconds = 0.0  # in the last window
        self._start_window()

    def _start_window(self) -> None:
        self._wall = self._cpu = 0.0
        self._passes = 0

    @classmethod
    def of(cls, largest: int, work: Hashable) -> Self:
        """Return a choice that begins with what the last fits in this Python thread have found.

        Many fits are shorter than a trial, so a fit continues the trial of the last fit with the same work.
        """
        choices: dict[tuple[int, Hashable], Self] = getattr(cls._kept, "choices", {})
        if (largest, work) in choices:
            return copy.copy(choices[largest, work])
        sizing = cls(largest, work)
        if choices:
            last = list(choices.values())[-1]
            sizing.size = max(min(largest, last.size), largest - last.largest + last.size)
            sizing._wait, sizing._recorded = last._wait, last._recorded
        return sizing

    def next(self, longest: float) -> tuple[int, float]:
        """Return the number of threads and the duration of the next call: `longest`, or that of a turn."""
        if self.largest > 1 and time.perf_counter() > self._recorded + FORGOTTEN_SECONDS:
            self._forget()
        if self._trial is None and self.size < self.largest and self._pass_seconds > 0 and self._wait <= 0:
            self._trial = Trial(self.size + 1)
        if self._trial is None:
            return self.size, longest
        size = self._trial.size if self._trial.turn % 2 == 0 else self.size
        return size, max(TURN_SECONDS, TURN_PASSES * self._pass_seconds)

    def record(self, size: int, wall: float, cpu: float, passes: int) -> None:
        """Evaluate a call: its threads, its duration, the CPU time of all threads (unused for one), and its passes."""
        if self.largest == 1:
            return
        self._recorded = time.perf_counter()
        self._wall, self._cpu, self._passes = self._wall + wall, self._cpu + cpu, self._passes + passes
        if self._wall < WINDOW_SECONDS or (self._trial is not None and self._passes < TURN_PASSES):
            return
        wall, lost = self._wall, 1 - self._cpu / (size * self._wall) if size > 1 else 0.0
        self._pass_seconds = wall / self._passes
        self._wait -= wall
        self._start_window()
        if self._trial is not None:
            self._end_turn(self._trial, size, wall, lost)
        else:
            self._losing = self._losing + 1 if lost > LOST_SHARE else 0
            # After a smaller team was rejected, a larger one is tried, by `next`.
            up = self.size < self.largest and self._rejected == self.size - 1
            if self._losing >= LOSING_WINDOWS and self._wait <= 0 and not up:
                self._trial = Trial(self.size - 1)
        self._keep()

    def _keep(self) -> None:
        """Let the next fits of this Python thread begin with this choice."""
        choices = vars(TeamSize._kept).setdefault("choices", {})
        choices.pop((self.largest, self.work), None)
        choices[self.largest, self.work] = self
        if len(choices) > KEPT:
            choices.pop(next(iter(choices)))

    def _end_turn(self, trial: Trial, size: int, wall: float, lost: float) -> None:
        """Record a turn. After the last one, choose the size whose best turn was faster."""
        if size == trial.size:
            trial = trial._replace(
                tried=min(trial.tried, self._pass_seconds), lost=max(trial.lost, lost), seconds=trial.seconds + wall
            )
        else:
            trial = trial._replace(used=min(trial.used, self._pass_seconds))
        self._trial = trial = trial._replace(turn=trial.turn + 1)
        if trial.turn < 2 * TURNS:
            return
        expected_loss = (1 - min(trial.tried, trial.used) / max(trial.tried, trial.used)) * trial.seconds
        self._wait = max(SHORTEST, expected_loss / SHARE)
        factor = CLEARLY if trial.size > self.size and trial.lost > LOST_SHARE else 1.0
        accepted = trial.tried < factor * trial.used
        self._rejected = 0 if accepted else trial.size
        if accepted:
            self.size = trial.size
        self._trial, self._losing = None, 0
