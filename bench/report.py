"""The report: `python -m bench.report [RUN.json]` turns a stored run into docs/benchmarks.md and README's table.

Every figure comes from the stored run; nothing is typed. In README only what stands between the markers is replaced.
"""

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from .kernels import ELEMENTS
from .peak import BANDWIDTHS
from .scaling import SERIES
from .store import FULL_RUN, Result, Run
from .workloads import ALPHA, GRIDS, TRAINING, WORKLOADS

__all__ = ["BEGIN", "END", "losses", "peak", "summary", "write_report"]

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- benchmarks:begin -->", "<!-- benchmarks:end -->"
UNITS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))
HEADLINE = ("fastmlp", "scikit-learn", "PyTorch", "JAX")
OURS = ("fastmlp", "fastmlp, 1 thread", "fastmlp, loky", "fastmlp, threading", "cost_and_gradient")


# ---- cells and tables


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table, its columns padded so that it reads well as text too."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in (head, ["-" * width for width in widths], *rows)
    ]
    return "\n".join(lines)


def number(value: float) -> str:
    """Return a number with three digits."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if rounded >= 100 else f"{rounded:g}"


def duration(value: float) -> str:
    """Return a time in a fitting unit."""
    unit, size = next((u for u in UNITS if value >= u[1]), UNITS[-1])
    return f"{number(value / size)} {unit}"


def percent(value: float) -> str:
    """Return a share with two digits."""
    return f"{float(f'{100 * value:.2g}'):g} %"


def cell(result: Result | None) -> str:
    """Return median and spread, or a dash."""
    if result is None:
        return "—"
    spread = f"± {result.spread:.0%}" if len(result.seconds) > 1 else "(once)"
    return f"{duration(result.median)} {spread}"


def tables(run: Run, suite: str, title: str) -> str:
    """Return tables of times: workloads by contestants, one table for each set of contestants."""
    groups: dict[tuple[str, ...], list[list[str]]] = {}
    for workload, row in run.of(suite).items():
        groups.setdefault(tuple(row), []).append([workload, *map(cell, row.values())])
    return "\n\n".join(table([title, *contestants], rows) for contestants, rows in groups.items())


def summary(run: Run) -> str:
    """Return what a terminal shows after a run."""
    suites = dict.fromkeys(key.suite for key in run.results)
    parts = [tables(run, suite, suite) for suite in suites]
    parts += [f"skipped: {key.contestant} at {key.workload}: {reason}" for key, reason in run.skipped.items()]
    return "\n\n".join(parts)


# ---- what follows from the figures


def peak(run: Run, name: str) -> float | None:
    """Return a roof of the machine (one core): operations or bytes a second."""
    result = run.of("kernels").get("peak", {}).get(name)
    return (result.facts.get("flops") or result.facts["bytes"]) / result.best if result else None


def roof(run: Run, facts: dict[str, Any]) -> float | None:
    """Return the rate that the roofs allow a kernel (one core), from the cache or the memory that holds its arrays."""
    top = peak(run, f"arithmetic, {facts['dtype']}")
    level = next((name for name, size in BANDWIDTHS.items() if facts["footprint"] <= size), list(BANDWIDTHS)[-1])
    bandwidth = peak(run, f"memory, {level}")
    return min(top, bandwidth * facts["flops"] / facts["bytes"]) if top and bandwidth else None


def losses(run: Run) -> list[str]:
    """Return a line for every workload at which somebody else is faster than the best of ours."""
    lines = []
    for suite in dict.fromkeys(key.suite for key in run.results):
        for workload, row in run.of(suite).items():
            ours = {name: row[name].median for name in row if name in OURS}
            others = {name: row[name].median for name in row if name not in OURS}
            if not ours or not others or suite == "start_up":
                continue
            best, rival = min(ours, key=ours.__getitem__), min(others, key=others.__getitem__)
            if others[rival] < ours[best]:
                lines.append(
                    f"{suite.replace('_', ' ')}, {workload}: {rival} {duration(others[rival])},"
                    f" {best} {duration(ours[best])} ({ours[best] / others[rival]:.2f} times)"
                )
    return lines


def exponent(values: Iterable[float], sizes: Iterable[float]) -> float:
    """Return the slope of log(size) over log(value), fitted to the larger half of the values."""
    points = sorted(zip(values, sizes, strict=True))
    points = points[(len(points) - 1) // 2 :]
    x, y = np.log(points).T
    return float(np.polyfit(x, y, 1)[0])


# ---- sections


def about(run: Run) -> str:
    """Machine, versions, date, command."""
    machine = run.machine
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items() if version)
    missing = [name for name, version in run.versions.items() if version is None]
    lines = [
        f"- Machine: {machine['cpu']}, {machine['cores']} cores, {machine['system']} {machine['architecture']}",
        f"- Versions: {versions}" + (f"; not installed: {', '.join(missing)}" if missing else ""),
        f"- Measured: {run.date}, commit {run.commit or 'unknown'}, in {run.minutes:g} minutes, by `{run.command}`",
    ]
    roofs = {name: peak(run, name) for name in ("arithmetic, float32", "arithmetic, float64")}
    if all(roofs.values()):
        measured = ", ".join(f"{roof / 1e9:.0f} GFLOP/s ({name.split()[1]})" for name, roof in roofs.items() if roof)
        lines.append(f"- Measured peak of one core, fused multiply-adds in registers: {measured}")
    return "\n".join(lines)


def share(run: Run, result: Result | None, cores: int) -> str:
    """Share of the measured peak of `cores` cores."""
    dtype = "float64" if result and "float64" in result.facts["what"] else "float32"
    top = peak(run, f"arithmetic, {dtype}")
    return f"{percent(result.facts['flops'] / result.best / (top * cores))}" if result and top else "—"


def training(run: Run) -> str:
    """Training against all peers, with scores and shares of the peak."""
    results, cores = run.of("training"), run.machine["cores"]
    facts, scores, configurations = [], [], []
    for workload, row in results.items():
        some = next(iter(row.values())).facts
        facts.append(
            [
                workload,
                some["what"].split(": ")[1],
                f"{some['flops'] / 1e6:,.4g} MFLOP",
                share(run, row.get("fastmlp"), cores),
                share(run, row.get("fastmlp, 1 thread"), 1),
            ]
        )
        accuracies = [f"{name} {r.facts['accuracy']:.4f}" for name, r in row.items() if "accuracy" in r.facts]
        scores.append([workload, ", ".join(accuracies)])
        chosen = [f"{name}: {r.facts['configuration']}" for name, r in row.items() if name not in OURS]
        configurations.append([workload, "; ".join(chosen)])
    return f"""Seconds an epoch: the time of a whole training divided by its epochs. Mini-batch Adam, ReLU,
alpha {ALPHA:g}; every contestant starts from the same weights, takes the same mini-batches in the same order, stops
after the same number of epochs, and must predict what the vectorised reference predicts after training in float64. The
time of the loops is scaled up from a few rows. One logistic unit serves two classes, as in scikit-learn.

{tables(run, "training", "an epoch")}

![Time of an epoch, as a multiple of fastmlp's](pictures/benchmarks/training.png)

What an epoch is, and the share of the measured peak that the fastest run of fastmlp reaches (with all threads,
of all cores; with one thread, of one core):

{table(["workload", "rows, network, mini-batches", "work of an epoch", "all cores", "one core"], facts)}

Accuracy on the training rows, after the timed epochs:

{table(["workload", "accuracy"], scores)}

The fastest configuration of each peer, which is the one that was timed:

{table(["workload", "configurations"], configurations)}"""


def gradient(run: Run) -> str:
    """One gradient."""
    return f"""Cost and gradient of one mini-batch. `cost_and_gradient` is the public function, which checks its
arguments and gathers the weights anew; the columns `fastmlp` are what L-BFGS evaluates again and again. The time of the
loops is scaled up from a few rows.

{tables(run, "gradient", "a mini-batch")}"""


def kernels(run: Run) -> str:
    """Rates of the kernels and their shares of the roofs."""
    lines = []
    for name, row in run.of("kernels").items():
        if not {"fastmlp", "NumPy"} <= row.keys():
            continue
        ours, numpy = row["fastmlp"], row["NumPy"]
        rate, top = None, None
        if "flops" in ours.facts:
            rate, top = ours.facts["flops"] / ours.median, roof(run, ours.facts)
        lines.append(
            [
                name,
                cell(ours),
                cell(numpy),
                f"{numpy.median / ours.median:.2f}",
                number(rate / 1e9) if rate else "—",
                number(ours.facts["bytes"] / ours.median / 1e9),
                percent(rate / top) if rate and top else "—",
            ]
        )
    bandwidths = {name: peak(run, f"memory, {name}") for name in BANDWIDTHS}
    memory = ", ".join(f"{size / 1e9:.0f} GB/s over {name}" for name, size in bandwidths.items() if size)
    head = ["kernel", "fastmlp", "NumPy", "NumPy / fastmlp", "GFLOP/s", "GB/s", "of the roof"]
    return f"""One thread each. Measured bandwidth of one core, for a ← a / 2 + b: {memory}. A matrix product
moves each factor once and its result twice, in this count; functions work on {ELEMENTS:,} numbers. The roof of a kernel
is the peak of arithmetic, or what the cache or memory that holds its arrays can deliver, if that is less.

{table(head, lines)}

![Roofline: rate of each kernel over its operations a byte](pictures/benchmarks/roofline.png)"""


def grid(run: Run) -> str:
    """Whole grid searches."""
    results = run.of("grid_search")
    best = [[name, next(iter(row.values())).facts["best"]] for name, row in results.items()]
    fits = next(iter(next(iter(results.values())).values())).facts["fits"]
    return f"""Wall time of `GridSearchCV` over alpha × hidden size: {fits} fits of a pipeline with a scaler,
float64, default parameters, on all cores; joblib's processes run already. Both estimators must
choose the same parameters and have the same scores.

{tables(run, "grid_search", "a search")}

{table(["data", "best parameters, the same for both"], best)}"""


def predict(run: Run) -> str:
    """Rows a second."""
    rows = [
        [workload, *(f"{number(r.facts['rows'] / r.median)} ± {r.spread:.0%}" for r in row.values())]
        for workload, row in run.of("predict").items()
    ]
    contestants = list(next(iter(run.of("predict").values())))
    network = " → ".join(map(str, WORKLOADS["covertype-like"].units))
    return f"""Rows a second through {network} in float32, NumPy arrays in and out. scikit-learn and fastmlp
check what they are given; PyTorch and JAX do not.

{table(["at once", *contestants], rows)}"""


def start_up(run: Run) -> str:
    """Fresh processes."""
    return f"""Wall time of a fresh process, interpreter included: importing; importing and a short fit on the
digits; importing and the grid search on wine in joblib's processes. "After installation" means that no kernel has been
compiled yet.

{tables(run, "start_up", "a process")}"""


def scaling(run: Run) -> str:
    """Fitted exponents beside the expected ones."""
    results = [row["fastmlp"] for row in run.of("scaling").values()]
    lines = []
    for name, series in SERIES.items():
        found = [r for r in results if r.facts["series"] == name]
        if len(found) < 2:
            continue
        values = [r.facts["value"] for r in found]
        memory = [r.facts.get("memory") for r in found]
        lines.append(
            [
                name,
                f"{min(values):,} … {max(values):,}",
                f"{exponent(values, [r.median for r in found]):.2f}",
                f"{series.time:g}",
                "—" if None in memory else f"{exponent(values, memory):.2f}",
                "—" if series.memory is None else f"{series.memory:g}",
                series.why,
            ]
        )
    head = ["over", "range", "exponent of time", "expected", "exponent of memory", "expected", "because"]
    return f"""Time of a fit and the peak of the memory that it allocates, float64. Exponents are fitted to the
larger half of the values, where constant parts no longer count.

{table(head, lines)}

![Time and memory over rows, width, depth, batch size, threads and candidates](pictures/benchmarks/scaling.png)"""


SECTIONS: dict[str, tuple[str, Callable[[Run], str]]] = {
    "training": ("Training", training),
    "grid_search": ("Grid search", grid),
    "gradient": ("One gradient", gradient),
    "predict": ("Prediction", predict),
    "start_up": ("Start-up", start_up),
    "kernels": ("Kernels", kernels),
    "scaling": ("Scaling", scaling),
}


def page(run: Run) -> str:
    """Return docs/benchmarks.md."""
    lost = losses(run)
    parts = [
        "# Benchmarks",
        "Written by `python -m bench.report` from the stored run; every figure is measured.",
        about(run),
        """Every benchmark checks its result before it is timed. Contestants take turns, round after round, so that
drift of the machine hits all alike; compilation and warm-up are outside the timing. Figures are medians, ± half the
distance of the quartiles. "Once": a run of some seconds is timed while it is checked, without a warm-up.""",
        "## Where fastmlp is not the fastest",
        "\n".join(f"- {line}" for line in lost) or "Nowhere in this run.",
    ]
    for suite, (title, section) in SECTIONS.items():
        if run.of(suite):
            parts += [f"## {title}", section(run)]
    if run.skipped:
        skipped: dict[tuple[str, str], list[str]] = {}
        for key, reason in run.skipped.items():
            skipped.setdefault((key.contestant, reason), []).append(f"{key.suite.replace('_', ' ')} {key.workload}")
        parts += ["## Skipped"]
        parts += ["\n".join(f"- {name}: {why} ({', '.join(at)})" for (name, why), at in skipped.items())]
    parts += [
        "## Reproduce",
        """```sh
pip install -e ".[bench,bench-peers]"
python -m bench          # everything: the stored run, this page, README's table
python -m bench --quick  # a first look
python -m bench.compare before.json after.json --threshold 1.1
```""",
    ]
    return "\n\n".join(parts) + "\n"


def headline(run: Run) -> str:
    """Return README's table."""
    rows = []
    results = run.of("training")
    contestants = [name for name in HEADLINE if any(name in row for row in results.values())]
    for name in TRAINING:
        if name in results:
            row = results[name]
            what = next(iter(row.values())).facts["what"].split(": ")[1].rsplit(",", 1)[0]
            rows.append([f"{name}: {what}", *(duration(row[c].median) if c in row else "—" for c in contestants)])
    grids = run.of("grid_search")
    searches = []
    for name in GRIDS:
        times = [
            [r.median for contestant, r in grids.get(name, {}).items() if contestant.startswith(estimator)]
            for estimator in ("fastmlp", "scikit-learn")
        ]
        if all(times):
            ours, theirs = map(min, times)
            searches.append(f"{name} {duration(ours)} against {duration(theirs)}")
    machine = run.machine
    lost = [line for line in losses(run) if line.startswith(("training", "grid", "predict"))]
    lines = [
        f"One epoch of training, float32, {machine['cpu']}, {machine['cores']} cores, {run.date.split()[0]}:",
        "",
        table(["workload", *contestants], rows),
    ]
    if searches:
        lines += ["", f"Grid searches (alpha × hidden size, scikit-learn's time second): {'; '.join(searches)}."]
    lines += ["", f"Slower than the best rival: {'; '.join(lost)}." if lost else "No case was lost to a rival."]
    return "\n".join(lines)


def embed(text: str, content: str) -> str:
    """Return `text` with `content` between its markers."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README must contain {BEGIN} and {END}, in this order")
    return f"{before}{BEGIN}\n\n{content}\n\n{END}{after}"


def write_report(path: Path, root: Path = ROOT) -> None:
    """Write docs/benchmarks.md, its pictures, and README's table from the stored run at `path`."""
    from . import pictures

    run = Run.load(path)
    readme = root / "README.md"
    text = embed(readme.read_text(), headline(run))
    docs = root / "docs"
    pictures.draw(run, docs / "pictures" / "benchmarks")
    (docs / "benchmarks.md").write_text(page(run))
    readme.write_text(text)


def main(argv: list[str]) -> int:
    """Write the report."""
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("run", nargs="?", type=Path, default=FULL_RUN, help="stored run; default: that of the full set")
    args = parser.parse_args(argv)
    try:
        write_report(args.run)
    except (OSError, ValueError) as error:
        print(f"python -m bench.report: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
