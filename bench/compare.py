"""Compare the times of two stored runs: `python -m bench.compare A B`.

For each case that both runs contain, the output shows the ratio of the medians and the range of ratios between opposite
quartiles. The exit code is 1 if a ratio is above the threshold, and 2 if the runs cannot be compared.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from .store import Run
from .tables import duration, markdown

__all__ = ["compare"]


def compare(a: Run, b: Run) -> pd.DataFrame:
    """Return, for each case of both runs, its medians and the ratio of b to a: of the medians, lowest and highest."""
    both = a.cases.merge(b.cases, left_index=True, right_index=True, suffixes=("_a", "_b"))
    return pd.DataFrame(
        {
            "A": both["median_a"],
            "B": both["median_b"],
            "ratio": both["median_b"] / both["median_a"],
            "low": both["low_b"] / both["high_a"],
            "high": both["high_b"] / both["low_a"],
        }
    )


def main(argv: list[str]) -> int:
    """Print the ratios; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument("a", type=Path, help="stored run before")
    parser.add_argument("b", type=Path, help="stored run after")
    parser.add_argument("--threshold", type=float, default=np.inf, help="largest ratio allowed, such as 1.1")
    parser.add_argument("--force", action="store_true", help="compare runs of different machines or instruction sets")
    args = parser.parse_args(argv)
    try:
        a, b = Run.load(args.a), Run.load(args.b)
    except (OSError, ValueError) as error:
        print(f"python -m bench.compare: {error}", file=sys.stderr)
        return 2
    for what, of_a, of_b in (("machines", a.machine, b.machine), ("instruction sets", a.isa, b.isa)):
        if of_a != of_b:
            print(f"warning: different {what}: {of_a} and {of_b}", file=sys.stderr)
            if not args.force:
                print("python -m bench.compare: pass --force to compare them nevertheless", file=sys.stderr)
                return 2
    ratios = compare(a, b)
    for key in a.cases.index.symmetric_difference(b.cases.index, sort=False):
        print(f"only in {'A' if key in a.cases.index else 'B'}: {', '.join(key)}")
    if ratios.empty:
        print("python -m bench.compare: the runs have no case in common", file=sys.stderr)
        return 2
    slower = ratios["ratio"] > args.threshold
    rows = pd.DataFrame(
        {
            "A": ratios["A"].map(duration),
            "B": ratios["B"].map(duration),
            "B / A": ratios["ratio"].map("{:.2f}".format),
            "quartiles": ratios["low"].map("{:.2f}".format) + " … " + ratios["high"].map("{:.2f}".format),
            "": np.where(slower, "slower", ""),
        }
    )
    print(markdown(rows.reset_index()))
    return int(slower.any())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
