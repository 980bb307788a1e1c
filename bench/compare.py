"""`python -m bench.compare A B`: how the times of run B compare with those of run A.

For each case that both have: the ratio of the medians, and the range that their quartiles allow. Exits with 1 if a
ratio is above the threshold, with 2 if the runs cannot be compared.
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .harness import Key
from .report import duration, table
from .store import Result, Run

__all__ = ["Ratio", "compare", "ratio"]


class Ratio(NamedTuple):
    """Time in run B over time in run A: of the medians, and between opposite quartiles."""

    median: float
    low: float
    high: float


def ratio(a: Result, b: Result) -> Ratio:
    """Return how much slower b is than a."""
    low_a, high_a = np.quantile(a.seconds, (0.25, 0.75))
    low_b, high_b = np.quantile(b.seconds, (0.25, 0.75))
    return Ratio(b.median / a.median, float(low_b / high_a), float(high_b / low_a))


def compare(a: Run, b: Run) -> dict[Key, Ratio]:
    """Return the ratio of every case that both runs have."""
    return {key: ratio(a.results[key], b.results[key]) for key in a.results if key in b.results}


def main(argv: list[str]) -> int:
    """Print the ratios; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument("a", type=Path, help="stored run before")
    parser.add_argument("b", type=Path, help="stored run after")
    parser.add_argument("--threshold", type=float, default=np.inf, help="largest ratio allowed, such as 1.1")
    parser.add_argument("--force", action="store_true", help="compare runs of different machines")
    args = parser.parse_args(argv)
    try:
        a, b = Run.load(args.a), Run.load(args.b)
    except (OSError, ValueError) as error:
        print(f"python -m bench.compare: {error}", file=sys.stderr)
        return 2
    if a.machine != b.machine:
        print(f"warning: different machines: {a.machine} and {b.machine}", file=sys.stderr)
        if not args.force:
            print("python -m bench.compare: pass --force to compare them all the same", file=sys.stderr)
            return 2
    ratios = compare(a, b)
    rows = [
        [
            *key,
            duration(a.results[key].median),
            duration(b.results[key].median),
            f"{found.median:.2f} ({found.low:.2f} … {found.high:.2f})",
            "slower" if found.median > args.threshold else "",
        ]
        for key, found in ratios.items()
    ]
    print(table(["suite", "workload", "contestant", "A", "B", "B / A (quartiles)", ""], rows))
    for key in a.results.keys() ^ b.results.keys():
        print(f"only in {'A' if key in a.results else 'B'}: {key}")
    if not ratios:
        print("python -m bench.compare: the runs have no case in common", file=sys.stderr)
        return 2
    return int(any(found.median > args.threshold for found in ratios.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
