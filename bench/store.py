"""Stored runs: what was measured, on which machine, with which versions, by which command."""

import contextlib
import importlib.metadata
import json
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cpuinfo
import numpy as np

from .harness import CORES, Key

__all__ = ["FOLDER", "FULL_RUN", "Result", "Run"]

FOLDER = Path(__file__).parent / "results"
FULL_RUN = FOLDER / "full.json"  # what the report shows
LIBRARIES = ("fastmlp", "numpy", "numba", "scikit-learn", "scipy", "torch", "jax", "skorch")


@dataclass
class Result:
    """Times of one case: seconds a unit of work, one number for each timed run; and facts about a unit."""

    seconds: list[float] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """The figure that is reported."""
        return float(np.median(self.seconds))

    @property
    def best(self) -> float:
        """The least disturbed run."""
        return min(self.seconds)

    @property
    def spread(self) -> float:
        """Half the distance of the quartiles, as a share of the median."""
        low, high = np.quantile(self.seconds, (0.25, 0.75))
        return float(high - low) / 2 / self.median


def _machine() -> dict[str, Any]:
    """What two runs must share to be compared."""
    return {
        "cpu": cpuinfo.get_cpu_info().get("brand_raw", platform.processor()),
        "cores": CORES,
        "system": platform.system(),
        "architecture": platform.machine(),
    }


def _versions() -> dict[str, str | None]:
    """Version of each library; None where it is not installed."""
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for name in LIBRARIES:
        versions[name] = None
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def _commit() -> str:
    """The commit that was measured, with a + if files differ from it; empty outside a repository."""
    command = ["git", "describe", "--always", "--dirty=+", "--abbrev=10"]
    try:
        done = subprocess.run(command, cwd=FOLDER.parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


@dataclass
class Run:
    """One stored run."""

    command: str = ""
    machine: dict[str, Any] = field(default_factory=_machine)
    versions: dict[str, str | None] = field(default_factory=_versions)
    commit: str = field(default_factory=_commit)
    date: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))
    minutes: float = 0.0
    results: dict[Key, Result] = field(default_factory=dict)
    skipped: dict[Key, str] = field(default_factory=dict)

    def add(self, key: Key, seconds: list[float], facts: dict[str, Any]) -> None:
        """Add the times of one turn."""
        result = self.results.setdefault(key, Result())
        result.seconds += seconds
        result.facts = facts

    def of(self, suite: str) -> dict[str, dict[str, Result]]:
        """Return the results of a suite: workload to contestant to result."""
        table: dict[str, dict[str, Result]] = {}
        for key, result in self.results.items():
            if key.suite == suite:
                table.setdefault(key.workload, {})[key.contestant] = result
        return table

    def save(self, path: Path) -> None:
        """Write the run."""
        content = asdict(self)
        content["results"] = [
            {**key._asdict(), "seconds": [float(f"{s:.4g}") for s in result.seconds], "facts": result.facts}
            for key, result in self.results.items()
        ]
        content["skipped"] = [{**key._asdict(), "reason": reason} for key, reason in self.skipped.items()]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Run":
        """Read a run; a ValueError names a file that is none."""
        try:
            content = json.loads(path.read_text())
            results = {
                Key(r["suite"], r["workload"], r["contestant"]): Result(r["seconds"], r["facts"])
                for r in content.pop("results")
            }
            skipped = {Key(s["suite"], s["workload"], s["contestant"]): s["reason"] for s in content.pop("skipped")}
            return cls(**content, results=results, skipped=skipped)
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a stored run: {error!r}") from error
