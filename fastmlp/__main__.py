"""``python -m fastmlp``: a grid search on digits or the user's table, timed beside scikit-learn's MLP."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import joblib

import fastmlp
from fastmlp.app import UserError, report, search
from fastmlp.app.progress import progress
from fastmlp.app.table import digits, read_table

DESCRIPTION = """\
Search the best alpha and hidden_layer_sizes of a multilayer perceptron, on all
cores, and time the same search with scikit-learn's own MLP beside it.

Without FILE the data are scikit-learn's digits. With it, the table is read and
prepared: classification or regression is recognised from the target, text
columns are one-hot encoded, missing values imputed, numbers standardised; the
report says what was done. A fifth of the rows is set aside for the test."""

EPILOG = """\
examples:
  python -m fastmlp
  python -m fastmlp wine.csv --target quality --task regression

FILE is UTF-8 text; the first line names the columns, separated by commas,
semicolons or tabs. Empty cells, NA, NaN, null, none and ? are missing values.
Pictures (loss curves, heat map, first-layer weights) need the extra "app":
pip install "fastmlp[app]". Exit codes: 0 done, 2 wrong input, 130 interrupted."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line; the usage is a ``--help`` away."""
        self.exit(2, f"{self.prog}: error: {message} (see --help)\n")


class _Interrupted(BaseException):
    """Ctrl-C. Not a KeyboardInterrupt, which the fit of an MLP takes for a wish to stop early and go on."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the main job and return its exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.file is None and (args.target is not None or args.task is not None):
        parser.error("--target and --task need a FILE")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a column name that the console cannot show
    try:
        with _interruptible():
            _job(args)
    except UserError as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 2
    except _Interrupted:
        print(f"{parser.prog}: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m fastmlp",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="a table in CSV form")
    parser.add_argument("--target", metavar="NAME", help="the column of FILE to predict")
    parser.add_argument(
        "--task", choices=["classification", "regression"], help="what to do, if not what is recognised"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("fastmlp-report"),
        metavar="FOLDER",
        help="where the pictures go (default: %(default)s)",
    )
    parser.add_argument("--jobs", type=_positive, metavar="N", help="fits at a time (default: all cores)")
    parser.add_argument("--seed", type=_seed, default=0, help="of splits and weights (default: %(default)s)")
    parser.add_argument("--no-compare", action="store_true", help="leave out the search with scikit-learn's MLP")
    parser.add_argument("--version", action="version", version=f"fastmlp {fastmlp.__version__}")
    return parser


def _positive(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")


def _seed(text: str) -> int:
    if text.isdecimal() and int(text) < 2**32:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2**32 - 1")


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise _Interrupted

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _job(args: argparse.Namespace) -> None:
    table = digits() if args.file is None else read_table(args.file, args.target, args.task)
    save_pictures = _pictures(args.output)
    jobs = args.jobs or joblib.cpu_count()
    metric = report.METRIC[table.task]
    data = search.split(table, args.seed)
    print("\n".join(report.introduction(table, data, jobs)), flush=True)

    # First of all, or the check would compile what the search is said to have waited for.
    ready = search.warm_up("fastmlp", table.task, data, jobs)
    print("\nback-propagation against central differences, on a sample:")
    print(search.gradient_check(table, data, args.seed), flush=True)

    def run(library: str, ready: float) -> search.Outcome:
        with progress(library, report.FITS, search.FOLDS, sys.stderr) as log:
            return search.run(library, table, data, log, jobs, args.seed, ready)

    ours, theirs = run("fastmlp", ready), None
    if not args.no_compare:
        theirs = run("scikit-learn", search.warm_up("scikit-learn", table.task, data, jobs))
    print("\n".join(report.findings(ours, theirs, metric)))

    if save_pictures is None:
        print('no pictures: they need matplotlib; pip install "fastmlp[app]" brings it')
        return
    paths = save_pictures(args.output, table, data, ours, theirs, metric)
    print(f"pictures in {args.output}: {', '.join(path.name for path in paths)}")


def _pictures(folder: Path) -> Callable[..., list[Path]] | None:
    """Return what draws the pictures, with the folder ready for them, or None without matplotlib."""
    try:
        from fastmlp.app.pictures import save_pictures
    except ImportError:
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {folder}: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise UserError(f"cannot write into the folder {folder}")
    return save_pictures


if __name__ == "__main__":
    sys.exit(main())
