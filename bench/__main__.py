"""`python -m bench`: run the suites, print the tables, and, for the full set, write the report."""

import argparse
import sys
import tempfile
from pathlib import Path

import pytest

from .conftest import SUITES
from .report import summary, write_report
from .store import FULL_RUN, Run

EPILOG = """
examples
  python -m bench                                   everything; writes the stored run and docs/benchmarks.md
  python -m bench --quick                           a first look
  python -m bench training --only digits,wide --quick
  python -m bench training --store before.json      then change the code, store after.json, and
  python -m bench.compare before.json after.json

Other options go to pytest, such as -k fastmlp or -x. Peers (PyTorch, JAX, skorch) take part where installed.
"""


def main(argv: list[str]) -> int:
    """Run the benchmarks; return pytest's exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suites", nargs="*", metavar="suite", help=f"one or more of: {', '.join(SUITES)}")
    parser.add_argument("--only", default="", help="comma-separated workloads")
    parser.add_argument("--quick", action="store_true", help="fewer workloads, contestants and turns")
    parser.add_argument("--store", type=Path, help="file for the run; the full set has its own")
    args, others = parser.parse_known_args(argv)
    full = not (args.suites or args.only or args.quick or others)
    store = args.store or (FULL_RUN if full else None)
    options = ["-q", "--benchmark-enable", "--benchmark-quiet"]
    stated = [*args.suites, *([f"--only {args.only}"] if args.only else []), *["--quick"] * args.quick]
    options += [f"--command={' '.join(['python -m bench', *stated])}", f"--only={args.only}"]
    options += [f"--suites={','.join(args.suites)}"] * bool(args.suites) + ["--quick"] * args.quick
    with tempfile.TemporaryDirectory() as folder:
        path = store or Path(folder) / "run.json"
        code = pytest.main([str(Path(__file__).parent), *options, f"--store={path}", *others])
        if path.exists():
            print(summary(Run.load(path)))
    if full and code == 0:
        write_report(FULL_RUN)
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
