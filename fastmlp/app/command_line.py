"""The command line of ``python -m fastmlp``: arguments, one-line errors, exit codes."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import fastmlp
from fastmlp.app import UserError
from fastmlp.app.wording import first_line

PROGRAM = "python -m fastmlp"

DESCRIPTION = """\
Search the best alpha and hidden_layer_sizes of a multilayer perceptron, on all
cores.

commands:
  fit TABLE --target NAME       search, compare, save the model and a report
  predict MODEL TABLE           predict the rows of a table with a saved model
  report FOLDER                 render the report again from what fit saved

Without a command, "TABLE --target NAME" is short for "fit TABLE --target NAME".
Without any arguments, the program searches on scikit-learn's digits, and runs
the same search with scikit-learn's MLP for comparison."""

FIT_DESCRIPTION = """\
Search the best alpha and hidden_layer_sizes of a multilayer perceptron on your
table, compare it with the tabular MLP, gradient boosting and simple models, and
save the best model, all metrics (metrics.json) and a page with tables and
figures (report.html) in a folder."""

PREDICT_DESCRIPTION = """\
Predict every row of TABLE with a model that fit saved. The table is prepared as
in fit; its columns are identified by name. Load only models that you trust: a
.joblib file can run any code."""

TABLES = """\
TABLE is text (separated by commas, semicolons, tabs, | or blanks), Excel or
Parquet, possibly compressed with gzip; - is standard input. The first line names
the columns. Empty cells, NA, N/A, NaN, null, none and ? are missing values."""

EXIT_CODES = "Exit codes: 0 success, 2 invalid input, 130 interrupted."

EPILOG = f"""\
examples:
  python -m fastmlp
  python -m fastmlp fit wine.csv --target quality --output wine
  python -m fastmlp predict wine/model.skops new.csv -o predictions.csv

{TABLES}
Tables and reports need the extra "app": pip install "fastmlp[app]".
{EXIT_CODES}"""

SEPARATORS = {"tab": "\t", r"\t": "\t", "blank": " ", "blanks": " ", ",": ",", ";": ";", "|": "|", "\t": "\t", " ": " "}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Print the error in one line, without the usage, and exit."""
        self.exit(2, f"{self.prog}: error: {message} (see --help)\n")


class _Interrupted(BaseException):
    """Ctrl-C. It is not a KeyboardInterrupt, because `fit` of an MLP handles that by ending the training early."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = arguments.pop(0) if arguments and arguments[0] in ("fit", "predict", "report") else None
    parser = _parser(command)
    args = parser.parse_args(arguments)
    if args.command == "fit" and args.file is None:
        _refuse_without_table(parser, args)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # the console may be unable to show a column name
    try:
        with _interruptible():
            _run(args)
            sys.stdout.flush()
    except UserError as error:
        return _fail(parser.prog, str(error))
    except _Interrupted:
        print(f"{parser.prog}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of the output has closed it. Without the next line, Python would print an error at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError as error:
        return _fail(parser.prog, f"not enough memory ({first_line(error)})")
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        return _fail(
            parser.prog,
            f"unexpected {type(error).__name__}: {first_line(error)} (python -X dev -m fastmlp shows where)",
        )
    return 0


def _fail(program: str, message: str) -> int:
    print(f"{program}: error: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _run(args: argparse.Namespace) -> None:
    from fastmlp.app import commands  # inside _interruptible: this import takes a second

    {"fit": commands.fit, "predict": commands.predict, "report": commands.render_again}[args.command](args)


def _parser(command: str | None) -> argparse.ArgumentParser:
    """Return the parser of a command, or the parser of the short form if `command` is None."""
    description, epilog = {
        None: (DESCRIPTION, EPILOG),
        "fit": (FIT_DESCRIPTION, f"{TABLES}\n{EXIT_CODES}"),
        "predict": (PREDICT_DESCRIPTION, f"{TABLES}\n{EXIT_CODES}"),
        "report": ("Render report.html again from the metrics.json that fit saved.", EXIT_CODES),
    }[command]
    parser = _Parser(
        prog=PROGRAM if command is None else f"{PROGRAM} {command}",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command=command or "fit")
    if command in (None, "fit"):
        _add_fit(parser, "?" if command is None else None)
    elif command == "predict":
        parser.add_argument("model", type=Path, metavar="MODEL", help="model.skops or model.joblib of fit")
        parser.add_argument("file", metavar="TABLE", help="the table to predict")
        parser.add_argument(
            "-o",
            "--output",
            default="-",
            metavar="FILE",
            help="CSV file for the predictions (default: standard output)",
        )
        _add_reading(parser)
    else:
        parser.add_argument("folder", type=Path, metavar="FOLDER", help="the folder that fit wrote")
        parser.add_argument(
            "-o", "--output", type=Path, metavar="FILE", help="the page (default: report.html in FOLDER)"
        )
    if command is None:
        parser.add_argument("--version", action="version", version=f"fastmlp {fastmlp.__version__}")
    return parser


def _add_fit(parser: argparse.ArgumentParser, number: str | None) -> None:
    parser.add_argument("file", nargs=number, metavar="TABLE", help="the table to learn from")
    parser.add_argument("--target", metavar="NAME", help="the column to predict")
    parser.add_argument(
        "--task", choices=["classification", "regression"], help="the task (default: recognised from the target)"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("fastmlp-report"),
        metavar="FOLDER",
        help="folder for the model, the metrics and the report (default: %(default)s)",
    )
    parser.add_argument(
        "--model",
        choices=["best", "mlp", "tabular", "boosting", "linear", "constant"],
        default="best",
        help="which model to save (default: best mean score over the folds)",
    )
    parser.add_argument(
        "--format",
        choices=["skops", "joblib"],
        default="skops",
        help="format of the saved model (default: %(default)s)",
    )
    for option, what in (("--keep", "use a column that looks like an identifier"), ("--drop", "do not use a column")):
        parser.add_argument(option, metavar="NAME", action="append", default=[], help=f"{what}; may be repeated")
    _add_reading(parser)
    parser.add_argument("--jobs", type=_positive, metavar="N", help="number of parallel fits (default: all cores)")
    parser.add_argument(
        "--seed", type=_seed, default=0, help="seed of the splits and the weights (default: %(default)s)"
    )
    parser.add_argument(
        "--max-iter",
        type=_positive,
        default=200,
        metavar="N",
        help="maximum number of epochs of a fit (default: %(default)s)",
    )
    parser.add_argument(
        "--compare",
        action=argparse.BooleanOptionalAction,
        help="also run the search with scikit-learn's MLP (default: only for the digits)",
    )


def _add_reading(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("text files, if the detection fails")
    group.add_argument(
        "--separator",
        type=_separator,
        metavar="SIGN",
        help="separator of the cells: , ; | tab or blank (default: detected)",
    )
    group.add_argument("--decimal", choices=[".", ","], help="the decimal sign (default: detected)")
    group.add_argument(
        "--encoding", metavar="NAME", help="encoding, such as utf-8, utf-16 or latin-1 (default: detected)"
    )


def _refuse_without_table(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    for option in ("target", "task", "keep", "drop", "separator", "decimal", "encoding"):
        if getattr(args, option):
            parser.error(f"--{option} needs a TABLE")
    for option in ("model", "format"):
        if getattr(args, option) != parser.get_default(option):
            parser.error(f"--{option} needs a TABLE")


def _positive(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")


def _seed(text: str) -> int:
    if text.isdecimal() and int(text) < 2**32:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2**32 - 1")


def _separator(text: str) -> str:
    if text in SEPARATORS:
        return SEPARATORS[text]
    raise argparse.ArgumentTypeError(f"{text!r} is none of , ; | tab blank")


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise _Interrupted

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
