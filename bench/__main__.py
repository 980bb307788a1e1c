"""`python -m bench`: run the suites, print the tables, and, for the full set, write the report."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from . import isa
from .conftest import SUITES
from .report import stored_runs, summary, write_report
from .store import RESULTS, Run

EPILOG = """
examples
  python -m bench                                   everything; writes the stored run and docs/benchmarks.md
  python -m bench --isa avx2                        the same with AVX2 instructions only, stored in a file of its own
  python -m bench --quick                           a first look
  python -m bench training --only digits,wide --quick
  python -m bench training --store before.jsonl     then change the code, store after.jsonl, and
  python -m bench.compare before.jsonl after.jsonl

Other options go to pytest, such as -k fastmlp or -x. PyTorch, JAX and skorch take part if they are installed.
"""
HERE = Path(__file__).parent
CACHE = HERE / "__pycache__" / "kernels"  # of instruction sets other than the native one


def main(argv: list[str]) -> int:
    """Run the benchmarks in a separate process; return pytest's exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suites", nargs="*", metavar="suite", help=f"one or more of: {', '.join(SUITES)}")
    parser.add_argument("--only", default="", help="comma-separated workloads")
    parser.add_argument("--quick", action="store_true", help="fewer workloads, implementations and turns")
    parser.add_argument("--isa", default="native", choices=isa.CHOICES, help="instruction set; default: native")
    parser.add_argument("--store", type=Path, help="file for the run; the full set has its own")
    args, others = parser.parse_known_args(argv)
    full = not (args.suites or args.only or args.quick or others)
    stated = [*args.suites, *([f"--only {args.only}"] if args.only else []), *["--quick"] * args.quick]
    stated += [f"--isa {args.isa}"] * (args.isa != "native")
    options = ["-q", "--benchmark-enable", "--benchmark-quiet", f"--only={args.only}", f"--isa={args.isa}"]
    options += [f"--command={' '.join(['python -m bench', *stated])}"] + ["--quick"] * args.quick
    options += [f"--suites={','.join(args.suites)}"] * bool(args.suites)
    cache = Path(os.environ.get("NUMBA_CACHE_DIR", CACHE))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.jsonl"
        command = [sys.executable, "-m", "pytest", str(HERE), *options, f"--store={path}", *others]
        code = subprocess.run(command, env=os.environ | isa.environment(args.isa, cache)).returncode
        if path.exists():
            run = Run.load(path)
            print(summary(run))
            for store in [args.store] if args.store else [RESULTS / isa.file_name(run.isa)] * full:
                run.save(store)
    if full and code == 0:
        write_report(stored_runs())
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
