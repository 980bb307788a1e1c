"""Quantities computed from the results of a run: fractions of the peak, lost cases, exponents of growth."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from .peak import BANDWIDTHS
from .store import Run
from .tables import duration

__all__ = ["exponent", "is_ours", "losses", "peak", "peak_share", "roof_share"]

# Shared cores must not make the fit with all threads slower than with one.
WORST_BUSY_RATIO = 1.05


def is_ours(cases: pd.DataFrame) -> np.ndarray:
    """Return which cases are implementations of this package."""
    return cases.index.get_level_values("implementation").str.startswith("fastmlp")


def peak(run: Run, name: str, dtype: str = "float32") -> float:
    """Return a limit of one core, "arithmetic" or "memory, ...", per second; NaN if it is unknown."""
    found = run.of("peak").query("workload == @name and dtype == @dtype")
    if found.empty:
        return np.nan
    case = found.iloc[0]
    return float((case["flops"] if name == "arithmetic" else case["bytes"]) / case["best"])


def peak_share(run: Run, cases: pd.DataFrame, cores: int) -> pd.Series:
    """Return the share of the arithmetic peak of `cores` cores that the fastest run of each case reaches."""
    tops = cases.index.get_level_values("dtype").map(lambda dtype: peak(run, "arithmetic", dtype))
    return cases["flops"] / cases["best"] / (tops.astype(float) * cores)


def roof_share(run: Run, cases: pd.DataFrame) -> pd.Series:
    """Return the share of its limit that each case reaches.

    The limit of one core is the peak of arithmetic, or what the cache or memory that holds the arrays can deliver, if
    that is less.
    """

    def roof(case: pd.Series) -> float:
        top = peak(run, "arithmetic", case.name[1])
        if pd.isna(case.get("flops")) or pd.isna(case.get("footprint")):
            return np.nan
        level = next((name for name, size in BANDWIDTHS.items() if case["footprint"] <= size), list(BANDWIDTHS)[-1])
        return min(top, peak(run, f"memory, {level}") * case["flops"] / case["bytes"])

    return cases["flops"] / cases["median"] / cases.apply(roof, axis=1)


def losses(run: Run) -> list[str]:
    """Return a line for every workload in which another library is faster than the best configuration of fastmlp.

    Workloads in which a busy core makes training with all threads slower than with one thread are also listed.
    """
    lines = []
    for (suite, workload, dtype), cases in run.cases.groupby(level=["suite", "workload", "dtype"], sort=False):
        medians = cases["median"].droplevel(["suite", "workload", "dtype"])
        ours, others = medians[is_ours(cases)], medians[~is_ours(cases)]
        name = f"{suite.replace('_', ' ')}, {workload}, {dtype}"
        if suite == "one_core_busy" and len(ours) == 2:
            ratio = ours["fastmlp"] / ours["fastmlp, 1 thread"]
            if ratio > WORST_BUSY_RATIO:
                lines.append(f"{name}: all threads take {ratio:.2f} times as long as one thread")
        elif suite not in ("start_up", "peak") and len(ours) and len(others) and others.min() < ours.min():
            lines.append(
                f"{name}: {others.idxmin()} {duration(others.min())}, {ours.idxmin()} {duration(ours.min())}"
                f" ({ours.min() / others.min():.2f} times)"
            )
    return lines


def exponent(values: Iterable[float], sizes: Iterable[float]) -> float:
    """Return the slope of log(size) over log(value), fitted to the larger half of the values."""
    points = sorted(zip(values, sizes, strict=True))
    points = points[(len(points) - 1) // 2 :]
    x, y = np.log(points).T
    return float(np.polyfit(x, y, 1)[0])
