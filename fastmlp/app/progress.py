"""Show the progress of a search: a bar on a terminal if rich is installed, otherwise plain lines."""

from __future__ import annotations

import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

try:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
except ImportError:  # without the extra "app"
    HAS_RICH = False
else:
    HAS_RICH = True

INTERVAL = 0.1  # seconds between two reads of the log
QUIET = 2.0  # seconds until the first plain line; each later one takes twice as long, so that a log stays short

Show = Callable[[int, float | None], None]


@contextmanager
def progress(title: str, fits: int, folds: int, stream: TextIO) -> Iterator[Path]:
    """Show the progress of the search inside the ``with`` block.

    Parameters
    ----------
    title : str
        Name of the search.
    fits, folds : int
        Number of all fits, and number of fits for the score of one candidate.
    stream : text file
        Output stream. A bar is drawn on terminals only.

    Yields
    ------
    Path
        The log. Every finished fit, in any thread or process, appends a line ``candidate<tab>score`` to this file.
    """
    display = contextmanager(_bar if HAS_RICH and stream.isatty() else _lines)
    with tempfile.TemporaryDirectory() as folder, display(title, fits, stream) as show:
        log = Path(folder) / "log"
        log.touch()
        done = threading.Event()

        def watch() -> None:
            while not done.wait(INTERVAL):
                show(*read_log(log, folds))

        watcher = threading.Thread(target=watch, name="fastmlp-progress", daemon=True)
        watcher.start()
        try:
            yield log
        finally:
            done.set()
            watcher.join()
            show(*read_log(log, folds))


def read_log(log: Path, folds: int) -> tuple[int, float | None]:
    """Return the number of finished fits and the best mean score of the candidates whose folds are all finished."""
    scores = defaultdict(list)
    for line in log.read_text().splitlines(keepends=True):
        if line.endswith("\n"):  # otherwise, a worker is still writing the line
            candidate, score = line.split("\t")
            scores[candidate].append(float(score))
    complete = [sum(s) / folds for s in scores.values() if len(s) == folds]
    return sum(map(len, scores.values())), max(complete, default=None)


def _bar(title: str, fits: int, stream: TextIO) -> Iterator[Show]:
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[message]}"),
        TimeElapsedColumn(),
        console=Console(file=stream),
        transient=True,  # the report shows the result of the search
    )
    with bar:
        task = bar.add_task(title, total=fits, message="")

        def show(finished: int, best: float | None) -> None:
            bar.update(task, completed=finished, message=_message(finished, fits, best))

        yield show


def _lines(title: str, fits: int, stream: TextIO) -> Iterator[Show]:
    start = last = time.perf_counter()
    quiet, shown = QUIET, 0

    def show(finished: int, best: float | None) -> None:
        nonlocal last, quiet, shown
        now = time.perf_counter()
        if finished == shown or (now - last < quiet and finished < fits):
            return
        last, quiet, shown = now, 2 * quiet, finished
        stream.write(f"  {title}: {_message(finished, fits, best)}, {now - start:.1f} s\n")
        stream.flush()

    yield show


def _message(finished: int, fits: int, best: float | None) -> str:
    score = "" if best is None else f", best score so far {best:.4f}"
    return f"{finished}/{fits} fits{score}"
