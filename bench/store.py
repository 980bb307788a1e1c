"""Stored runs: the measurements, with the machine, the versions and the command.

A stored run is a file of JSON lines. The first line describes the run; every other line is one case.
"""

import contextlib
import importlib.metadata
import json
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cpuinfo
import pandas as pd
from pytest_benchmark.utils import get_commit_info

import fastmlp

from .harness import CORES, Key

__all__ = ["LIBRARIES", "RESULTS", "SEPARATE", "Run", "machine", "statistics", "table_of_cases"]

RESULTS = Path(__file__).parent / "results"  # one file for each instruction set; the report shows all of them
SEPARATE = RESULTS / "separate"  # runs that are not part of `python -m bench`, one file for each suite
LIBRARIES = ("numpy", "numba", "scikit-learn", "scipy", "torch", "jax", "skorch")
KEY = list(Key._fields)
DIGITS = 4  # significant digits of a timing


def statistics(seconds: list[float]) -> dict[str, float]:
    """Return the statistics of the timings of one case: number of runs, minimum, quartiles and median."""
    rounded = pd.Series(float(f"{s:.{DIGITS}g}") for s in seconds)
    best, low, median, high = rounded.quantile([0, 0.25, 0.5, 0.75])
    return {"runs": len(seconds), "best": best, "low": low, "median": median, "high": high}


def table_of_cases(records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Return the records as a table indexed by `Key`; statistics and facts are its columns."""
    records = list(records)
    return pd.DataFrame(records, columns=None if records else [*KEY, *statistics([0.0])]).set_index(KEY)


def machine() -> dict[str, Any]:
    """Return the properties of the machine, which must be the same for two runs to be comparable."""
    return {
        "cpu": cpuinfo.get_cpu_info().get("brand_raw", platform.processor()),
        "cores": CORES,
        "system": platform.system(),
        "architecture": platform.machine(),
    }


def _versions(libraries: Iterable[str]) -> dict[str, str | None]:
    """Return the version of each library; None if it is not installed."""
    versions: dict[str, str | None] = {"python": platform.python_version(), "fastmlp": fastmlp.__version__}
    for name in libraries:
        versions[name] = None
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def _commit() -> str:
    """Return the commit that is measured, followed by a plus sign if files differ from it."""
    commit = get_commit_info(project_name="fastmlp")
    return commit["id"][:10] + "+" * commit["dirty"]


def _short(value: Any) -> Any:
    """Return a whole number as int, because a column with gaps turns it into float; anything else unchanged."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


@dataclass
class Run:
    """One stored run.

    Attributes
    ----------
    command : str
        The command that measured it.
    isa : str
        The instruction set that the kernels were compiled for, see `bench.isa`.
    machine : dict
        Processor, number of cores, operating system and architecture.
    versions : dict
        Library to version; None for libraries that are not installed.
    commit, date : str
    minutes : float
        Duration of the run.
    skipped : list of list of str
        The cases that could not run: the fields of their `Key`, and the reason.
    cases : DataFrame
        One row for each case, indexed by `Key`. Times are seconds for one unit of work (an epoch, a call).
    """

    command: str
    isa: str
    machine: dict[str, Any]
    versions: dict[str, str | None]
    commit: str
    date: str
    minutes: float
    skipped: list[list[str]]
    cases: pd.DataFrame

    @classmethod
    def here(
        cls,
        command: str,
        isa: str,
        records: Iterable[dict[str, Any]],
        libraries: Iterable[str] = LIBRARIES,
        **rest: Any,
    ) -> "Run":
        """Return a run of this machine, with the current versions, commit and date."""
        date, cases = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), table_of_cases(records)
        return cls(command, isa, machine(), _versions(libraries), _commit(), date, cases=cases, **rest)

    def of(self, suite: str) -> pd.DataFrame:
        """Return the cases of one suite, indexed by the rest of `Key`, with the columns that they use."""
        cases = self.cases[self.cases.index.get_level_values("suite") == suite]
        return cases.droplevel("suite").dropna(axis="columns", how="all")

    def save(self, path: Path) -> None:
        """Write the run."""
        about = {name: value for name, value in asdict(self).items() if name != "cases"}
        records = (
            {name: _short(value) for name, value in record.items() if pd.notna(value)}
            for record in self.cases.reset_index().to_dict("records")
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in (about, *records)), "utf-8")

    @classmethod
    def load(cls, path: Path) -> "Run":
        """Read a run; raise ValueError if the file is not a stored run."""
        try:
            about, *records = map(json.loads, path.read_text("utf-8").splitlines())
            return cls(**about, cases=table_of_cases(records))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a stored run: {error!r}") from error
