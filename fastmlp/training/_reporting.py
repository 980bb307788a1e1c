"""The output of `verbose`: a line for each epoch as in scikit-learn, or one line that is updated in place."""

import math
import sys
import time
from datetime import timedelta
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self

from ._progress import Progress

__all__ = ["PROGRESS", "Reporter", "progress_text", "reporter_of"]

PROGRESS = 2  # the value of `verbose` for one line; scikit-learn does not distinguish positive values
SECONDS_PER_UPDATE = 0.1  # writing to a terminal can take longer than an epoch of a small network


def progress_text(progress: Progress, seconds_left: float) -> str:
    """Return epoch, loss, validation score, learning rate and time left in one line."""
    parts = [f"epoch {progress.epoch}/{progress.max_iter}", f"loss {progress.loss:.6g}"]
    if progress.validation_score is not None:
        parts.append(f"validation score {progress.validation_score:.4f}")
    if not math.isnan(progress.learning_rate):
        parts.append(f"learning rate {progress.learning_rate:.3g}")
    return ", ".join([*parts, f"time left {timedelta(seconds=round(seconds_left))}"])


class Reporter:
    """A reporter that prints nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def epoch(self, progress: Progress) -> None:
        """Report an epoch."""

    def say(self, text: str) -> None:
        """Report an action of the stopping rule."""

    def close(self) -> None:
        """End the report."""


class Lines(Reporter):
    """Prints the same lines as scikit-learn."""

    def epoch(self, progress: Progress) -> None:
        """Print the loss and the validation score."""
        self.say(f"Iteration {progress.epoch}, loss = {progress.loss:.8f}")
        if progress.validation_score is not None:
            self.say(f"Validation score: {progress.validation_score:f}")

    def say(self, text: str) -> None:
        """Print a line."""
        print(text)  # noqa: T201 -- what `verbose` asks for, as in scikit-learn


class ProgressLines(Lines):
    """Prints one line for each epoch, if the output is not a terminal."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._begin = time.monotonic()

    def epoch(self, progress: Progress) -> None:
        """Print epoch, loss, validation score, learning rate and time left."""
        if self._first is None:  # a fit that is resumed does not begin with epoch 1
            self._first = progress.epoch
        done = progress.epoch - self._first + 1
        seconds = (time.monotonic() - self._begin) / done * (progress.max_iter - progress.epoch)
        self._show(progress_text(progress, seconds), final=progress.ended)

    def _show(self, text: str, *, final: bool) -> None:
        self.say(text)


class ProgressLine(ProgressLines):
    """Prints a line that replaces the previous one, on a terminal if rich is not installed."""

    def __init__(self) -> None:
        super().__init__()
        self._shown, self._text, self._next = "", "", 0.0

    def _show(self, text: str, *, final: bool) -> None:
        self._text = text
        if final or time.monotonic() >= self._next:
            self._write(text)
            self._next = time.monotonic() + SECONDS_PER_UPDATE

    def _write(self, text: str) -> None:
        sys.stdout.write("\r" + text.ljust(len(self._shown)))
        sys.stdout.flush()
        self._shown = text

    def say(self, text: str) -> None:
        """Print a line, and the progress below it."""
        self._write("")
        sys.stdout.write("\r")
        super().say(text)
        self._write(self._text)

    def close(self) -> None:
        """Show the last epoch and end the line."""
        if self._text:
            self._write(self._text)
            sys.stdout.write("\n")
            sys.stdout.flush()


class RichProgressLine(ProgressLines):
    """Updates a line on a terminal with rich."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        super().__init__()
        # Output of the user's callbacks is not redirected: that would exchange `sys.stdout` during the fit.
        self._live: Any = Live(console=Console(), auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._live.start()
        self._next = 0.0

    def _show(self, text: str, *, final: bool) -> None:
        from rich.text import Text

        now = time.monotonic()
        self._live.update(Text(text, style="green" if final else ""), refresh=final or now >= self._next)
        if now >= self._next:
            self._next = now + SECONDS_PER_UPDATE

    def say(self, text: str) -> None:
        """Print a line above the progress."""
        self._live.console.print(text, highlight=False, markup=False)

    def close(self) -> None:
        """Show the last epoch and end the line."""
        self._live.stop()


def reporter_of(verbose: Any) -> Reporter:
    """Return the reporter for a value of `verbose`.

    Parameters
    ----------
    verbose : bool or int
        0: no output. 2: one line that is updated in place if the output is a terminal, otherwise one line for each
        epoch. Other values: the output of scikit-learn.
    """
    if not verbose:
        return Reporter()
    if verbose != PROGRESS:
        return Lines()
    if not sys.stdout.isatty():
        return ProgressLines()
    return RichProgressLine() if find_spec("rich") else ProgressLine()
