"""The report: `python -m bench.report` turns the stored runs into docs/benchmarks.md and parts of the README.

Every figure comes from a stored run. In the README only the text between the markers is replaced.
"""

import argparse
import json
import sys
from pathlib import Path
from textwrap import fill

import pandas as pd

from . import pictures, quality
from .analysis import losses, peak_share
from .sections import SECTIONS, SEPARATE_SECTIONS, about
from .store import RESULTS, SEPARATE, Run
from .tables import by_implementation, duration, markdown, percent, times
from .workloads import GRIDS, TRAINING

__all__ = ["PARTS", "embed", "headline", "page", "speed", "summary", "write_report"]

ROOT = Path(__file__).parent.parent
PARTS = ("speed", "quality", "benchmarks")  # of the README, each between two markers
ISAS = {"avx512": "AVX-512", "avx2": "AVX2"}
HEADLINE = ["fastmlp", "scikit-learn", "PyTorch", "JAX"]
OURS = ["fastmlp", "fastmlp, 1 thread"]


def summary(run: Run) -> str:
    """Return what the terminal shows after a run."""
    parts = [about(run)]
    for suite in run.cases.index.unique("suite"):
        parts += [f"{suite}, {run.isa}", times(run.of(suite))]
    parts += [f"skipped: {', '.join(names)}: {reason}" for *names, reason in run.skipped]
    return "\n\n".join(parts)


def instruction_sets(runs: list[Run]) -> str:
    """Return the time of an epoch and the share of the peak, instruction sets side by side."""
    columns = {}
    for run in runs:
        cases = run.of("training")
        if cases.empty:
            continue
        ours = cases[cases.index.isin(OURS, level="implementation")]
        cores = ours.index.get_level_values("implementation").map({OURS[0]: run.machine["cores"], OURS[1]: 1})
        columns[run.isa] = ours["median"].map(duration)
        columns[f"{run.isa}, of its peak"] = peak_share(run, ours, cores).map(percent)
    return f"""Time of an epoch and share of the peak, which is the peak of the same instruction set, measured in the
same process, of as many cores as there are threads. The machine of each run is stated above.

{markdown(pd.DataFrame(columns).fillna("—").reset_index())}"""


def skipped(runs: list[Run]) -> str:
    """Return the cases that could not run, by reason."""
    rows = pd.DataFrame(
        [[run.isa, *names] for run in runs for names in run.skipped],
        columns=["isa", "suite", "workload", "dtype", "implementation", "reason"],
    )
    rows["case"] = rows["suite"].str.replace("_", " ") + " " + rows["workload"] + " " + rows["dtype"]
    lines = [
        f"- {name}: {reason} ({isa}; {', '.join(group['case'])})"
        for (name, reason, isa), group in rows.groupby(["implementation", "reason", "isa"], sort=False)
    ]
    return "\n".join(lines)


def page(runs: list[Run]) -> str:
    """Return docs/benchmarks.md; the sections of the suites are those of the first run."""
    run = runs[0]
    lost = [f"- {line} ({run.isa})" for run in runs for line in losses(run)]
    parts = [
        "# Benchmarks",
        "Written by `python -m bench.report` from the stored runs; every figure is measured.",
        *(about(run) for run in runs),
        """Every benchmark checks its result before it is timed. Implementations are timed alternately, so that a change
in the speed of the machine affects all of them; compilation and warm-up are not timed, except under "Start-up". Figures
are medians, ± half the distance of the quartiles. "Once": a run of some seconds is timed while it is checked, without a
warm-up.""",
        "## Where fastmlp is not the fastest",
        "\n".join(lost) or "Nowhere in this run.",
    ]
    if len(runs) > 1:
        parts += ["## Instruction sets", instruction_sets(runs)]
    for suite, (title, section) in SECTIONS.items():
        cases = run.of(suite)
        if len(cases):
            parts += [f"## {title}", section(run, cases)]
    for suite, (title, section) in SEPARATE_SECTIONS.items():
        if (path := SEPARATE / f"{suite}.jsonl").exists():
            separate = Run.load(path)
            parts += [f"## {title}", section(separate, separate.of(suite))]
    if quality.STORE.exists():
        parts += ["## Prediction quality", quality.section(json.loads(quality.STORE.read_text("utf-8")))]
    if any(run.skipped for run in runs):
        parts += ["## Skipped", skipped(runs)]
    parts += [
        "## Reproduce",
        """```sh
pip install -e ".[bench,bench-peers]"
python -m bench             # everything: the stored run, this page, the README's table
python -m bench --isa avx2  # the same with AVX2 instructions only
python -m bench --quick     # a first look
python -m bench.hyperband   # HyperbandSearchCV beside GridSearchCV
python -m bench.distributed # Dask's workers beside one process; needs the extra distributed
python -m bench.quality     # prediction quality, see above for what it needs
python -m bench.compare before.jsonl after.jsonl --threshold 1.1
```""",
    ]
    return "\n\n".join(parts) + "\n"


def _range(slow: pd.Series, fast: pd.Series) -> str:
    """Return the smallest and the largest of the ratios, rounded."""
    ratios = (slow / fast).dropna()
    low, high = f"{ratios.min():.0f}", f"{ratios.max():.0f}"
    return low if low == high else f"{low} to {high}"


def _best_grids(run: Run) -> pd.DataFrame:
    """Return the seconds of each grid search, with one column for each estimator: those of its faster backend."""
    cases = run.of("grid_search")
    if cases.empty:
        return pd.DataFrame(columns=[OURS[0], "scikit-learn"])
    median = cases["median"]
    names = median.index.get_level_values("workload")
    estimators = median.index.get_level_values("implementation").str.split(",").str[0]
    return median.groupby([names, estimators]).min().unstack().reindex(columns=[OURS[0], "scikit-learn"])


def speed(runs: list[Run]) -> str:
    """Return the README's sentences about the speed, one for each instruction set."""
    sentences = []
    for run in runs:
        cases = run.of("training")
        cases = cases[cases.index.isin(TRAINING, level="workload") & cases.index.isin(["float32"], level="dtype")]
        if cases.empty:
            continue
        epochs = by_implementation(cases["median"]).reindex(columns=[OURS[0], "scikit-learn"])
        grids = _best_grids(run)
        if epochs.dropna().empty or grids.dropna().empty:
            continue
        epoch, grid = (_range(found["scikit-learn"], found[OURS[0]]) for found in (epochs, grids))
        machine, isa = f"{run.machine['cores']}-core {run.machine['cpu']}", ISAS.get(run.isa, run.isa)
        sentences.append(
            f"With {isa} only, on a {machine}, it is {epoch} times as fast, and the search {grid} times."
            if sentences
            else f"On a {machine} with {isa}, an epoch of training in float32 is {epoch} times as fast as with "
            f"scikit-learn, and a grid search is {grid} times as fast; small networks gain most "
            "([benchmarks](docs/benchmarks.md))."
        )
    return " ".join(sentences)


def headline(runs: list[Run]) -> str:
    """Return the README's table, which is that of the first run, and where fastmlp is slower than others in any run."""
    run = runs[0]
    cases = run.of("training")
    cases = cases[cases.index.isin(TRAINING, level="workload") & cases.index.isin(HEADLINE, level="implementation")]
    cells = by_implementation(cases["median"].map(duration))
    cells = cells.reindex(columns=[name for name in HEADLINE if name in cells]).fillna("—")
    networks = cases["network"].groupby(level=["workload", "dtype"], sort=False).first()
    cells.insert(0, "network", networks)
    lines = [
        f"One epoch of training, {run.isa}, {run.machine['cpu']}, {run.machine['cores']} cores, {run.date.split()[0]}:",
        "",
        markdown(cells.reset_index()),
    ]
    best = _best_grids(run).dropna().map(duration)
    searches = [
        f"{name} {best.loc[name, 'fastmlp']} against {best.loc[name, 'scikit-learn']}"
        for name in GRIDS
        if name in best.index
    ]
    if searches:
        lines += ["", f"Grid searches (alpha × hidden size, scikit-learn's time second): {'; '.join(searches)}."]
    compared = ("training", "grid", "predict")
    lost = [f"{line} ({run.isa})" for run in runs for line in losses(run) if line.startswith(compared)]
    if lost:
        lines += ["", f"Slower than the fastest other library: {'; '.join(lost)}."]
    else:
        lines += ["", "fastmlp was the fastest in every training, grid search and prediction."]
    return "\n".join(lines)


def embed(text: str, part: str, content: str) -> str:
    """Return `text` with `content` between the markers of a part."""
    begin, end = f"<!-- {part}:begin -->", f"<!-- {part}:end -->"
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"README must contain {begin} and {end}, in this order")
    return f"{before}{begin}\n\n{content}\n\n{end}{after}"


def stored_runs(folder: Path = RESULTS) -> list[Path]:
    """Return the stored runs; the widest vectors, as a native run on most machines has, come first."""
    return sorted(folder.glob("*.jsonl"), key=lambda path: (path.stem != "avx512", path.stem))


def write_report(paths: list[Path], root: Path = ROOT) -> None:
    """Write docs/benchmarks.md, its pictures, and parts of the README from the stored runs at `paths`."""
    if not paths:
        raise ValueError("there is no stored run: python -m bench makes one")
    runs = [Run.load(path) for path in paths]
    readme = root / "README.md"
    text = readme.read_text("utf-8")
    quality_line = quality.headline(json.loads(quality.STORE.read_text("utf-8"))) if quality.STORE.exists() else ""
    for part, content in zip(PARTS, (speed(runs), quality_line, headline(runs)), strict=True):
        text = embed(text, part, content if part == "benchmarks" else fill(content, 120, break_on_hyphens=False))
    docs = root / "docs"
    pictures.draw(runs[0], docs / "pictures" / "benchmarks")
    (docs / "benchmarks.md").write_text(page(runs), "utf-8")
    readme.write_text(text, "utf-8")


def main(argv: list[str]) -> int:
    """Write the report."""
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("runs", nargs="*", type=Path, help="stored runs, the main one first; default: the full ones")
    args = parser.parse_args(argv)
    try:
        write_report(args.runs or stored_runs())
    except (OSError, ValueError) as error:
        print(f"python -m bench.report: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
