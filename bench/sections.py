"""The sections of the report, one for each suite."""

from collections.abc import Callable

import pandas as pd

from .analysis import exponent, peak, peak_share, roof_share
from .harness import DTYPES
from .kernels import ELEMENTS
from .peak import BANDWIDTHS
from .scaling import SERIES
from .store import Run
from .tables import by_implementation, cell, duration, markdown, number, percent, spread, times
from .workloads import ALPHA, WORKLOADS

__all__ = ["SECTIONS", "SEPARATE_SECTIONS", "about"]


def about(run: Run) -> str:
    """Return machine, instruction set, versions, date and command."""
    machine = run.machine
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items() if version)
    missing = [name for name, version in run.versions.items() if version is None]
    lines = [
        f"- Machine: {machine['cpu']}, {machine['cores']} cores, {machine['system']} {machine['architecture']}",
        f"- Instruction set: {run.isa}",
        f"- Versions: {versions}" + (f"; not installed: {', '.join(missing)}" if missing else ""),
        f"- Measured: {run.date}, commit {run.commit or 'unknown'}, in {run.minutes:g} minutes, by `{run.command}`",
    ]
    peaks = {dtype: peak(run, "arithmetic", dtype) for dtype in DTYPES}
    measured = ", ".join(f"{top / 1e9:.0f} GFLOP/s ({dtype})" for dtype, top in peaks.items() if pd.notna(top))
    if measured:
        lines.append(f"- Measured peak of one core, fused multiply-adds in registers: {measured}")
    return "\n".join(lines)


def timings(run: Run, cases: pd.DataFrame) -> str:
    """Return the tables of times, with what they were measured on."""
    used = cases["configuration"].groupby(level="implementation", sort=False).unique()
    configurations = "; ".join(f"{name}: {' or '.join(found)}" for name, found in used.items())
    machine = f"Instruction set {run.isa}, {run.machine['cpu']}, {run.machine['cores']} cores."
    return f"{times(cases)}\n\n{machine} Threads: {configurations}."


def by_workload(column: pd.Series) -> pd.Series:
    """Return the texts of all implementations as one cell, such as "NumPy: 1 thread; JAX: 2 threads"."""
    names = column.index.get_level_values("implementation")
    return (names + ": " + column).groupby(level=["workload", "dtype"], sort=False).agg("; ".join)


def training(run: Run, cases: pd.DataFrame) -> str:
    """Training next to all other libraries, with scores and shares of the peak."""
    ours = pd.DataFrame(
        {
            title: peak_share(run, cases.xs(name, level="implementation"), cores).map(percent)
            for title, name, cores in (
                ("all cores", "fastmlp", run.machine["cores"]),
                ("one core", "fastmlp, 1 thread", 1),
            )
            if name in cases.index.get_level_values("implementation")
        }
    )
    epochs = cases.groupby(level=["workload", "dtype"], sort=False)[["network", "flops"]].first()
    epochs["flops"] = (epochs["flops"] / 1e6).map("{:,.4g} MFLOP".format)
    epochs = epochs.rename(columns={"network": "rows, network, mini-batches", "flops": "work of an epoch"})
    scores = ""
    if "accuracy" in cases:
        accuracy = by_workload(cases["accuracy"].dropna().map("{:.4f}".format)).rename("accuracy")
        scores = f"""

Accuracy on the training rows, after the timed epochs:

{markdown(accuracy.reset_index())}"""
    configurations = by_workload(cases["configuration"]).rename("configurations")
    return f"""Seconds for an epoch: the time of a whole training divided by its epochs. Mini-batch Adam, ReLU,
alpha {ALPHA:g}; every implementation starts from the same weights, takes the same mini-batches in the same order, stops
after the same number of epochs, and must predict what the vectorised reference predicts after training in float64. The
time of the loops is scaled up from a few rows. Two classes have one logistic unit, as in scikit-learn.

{times(cases)}

![Time of an epoch, as a multiple of the time of fastmlp](pictures/benchmarks/training.png)

The work of an epoch, and the share of the measured peak of {run.isa} that the fastest run of fastmlp reaches (with all
threads: of all {run.machine["cores"]} cores; with one thread: of one core):

{markdown(epochs.join(ours).fillna("—").reset_index())}{scores}

The configuration that was timed, which is the fastest one of each implementation:

{markdown(configurations.reset_index())}"""


def one_core_busy(run: Run, cases: pd.DataFrame) -> str:
    """Return the time with all threads over the time with one, while another process uses a core."""
    medians = by_implementation(cases["median"])
    cells = by_implementation(cases.apply(cell, axis=1))
    if {"fastmlp", "fastmlp, 1 thread"} <= set(medians):
        cells["all threads / one thread"] = (medians["fastmlp"] / medians["fastmlp, 1 thread"]).map("{:.2f}".format)
    return f"""Time of an epoch while another process keeps one of the {run.machine["cores"]} cores busy ({run.isa}).
The fit with all threads should not take longer than the fit with one thread; 1.05 allows for noise.

{markdown(cells.reset_index())}"""


def gradient(run: Run, cases: pd.DataFrame) -> str:
    """One gradient."""
    prepared = cases.index.get_level_values("implementation").str.contains("prepared").any()
    note = " The columns with `prepared` leave that out, as L-BFGS does." if prepared else ""
    return f"""Cost and gradient of one mini-batch. `fastmlp` is the public function `cost_and_gradient`, which checks
its arguments and copies the weights into one vector.{note} The time of the loops is scaled up from a few rows.

{timings(run, cases)}"""


def kernels(run: Run, cases: pd.DataFrame) -> str:
    """Rates of the kernels and their shares of the limits of one core."""
    ours, numpy = (cases.xs(name, level="implementation") for name in ("fastmlp", "NumPy"))
    ours = ours.merge(numpy, left_index=True, right_index=True, suffixes=("", "_numpy"))
    rows = pd.DataFrame(
        {
            "fastmlp": ours.apply(cell, axis=1),
            "NumPy": numpy.loc[ours.index].apply(cell, axis=1),
            "NumPy / fastmlp": (ours["median_numpy"] / ours["median"]).map("{:.2f}".format),
            "GFLOP/s": (ours["flops"] / ours["median"] / 1e9).map(number, na_action="ignore"),
            "GB/s": (ours["bytes"] / ours["median"] / 1e9).map(number),
            "of the limit": roof_share(run, ours).map(percent),
        }
    ).fillna("—")
    bandwidths = {name: peak(run, f"memory, {name}") for name in BANDWIDTHS}
    memory = ", ".join(f"{size / 1e9:.0f} GB/s over {name}" for name, size in bandwidths.items() if pd.notna(size))
    used = cases["configuration"].groupby(level="implementation", sort=False).unique()
    how = "; ".join(f"{name}: {' or '.join(found)}" for name, found in used.items())
    return f"""One thread each, {run.isa} ({how}). Measured bandwidth of one core, for a ← a / 2 + b: {memory}. In this
count a matrix product moves each factor once and its result twice; functions work on {ELEMENTS:,} numbers. The limit of
a kernel is the peak of arithmetic, or what the cache or memory that holds its arrays can deliver, if that is less.

{markdown(rows.reset_index())}

![Roofline: rate of each kernel over its operations per byte](pictures/benchmarks/roofline.png)"""


def grid_search(run: Run, cases: pd.DataFrame) -> str:
    """Whole grid searches."""
    best = cases["best_parameters"].groupby(level="workload", sort=False).first()
    best = best.rename("best parameters, the same for both").rename_axis("data")
    return f"""Wall time of `GridSearchCV` over alpha × hidden size: {cases["fits"].iloc[0]:.0f} fits of a pipeline with
a scaler, default parameters, on all cores; joblib's processes are already running. Both estimators must choose the same
parameters and have the same scores.

{timings(run, cases)}

{markdown(best.reset_index())}"""


def predict(run: Run, cases: pd.DataFrame) -> str:
    """Rows a second."""
    rates = (cases["rows"] / cases["median"]).map(number) + " " + cases.apply(spread, axis=1)
    network = " → ".join(map(str, WORKLOADS["covertype-like"].units))
    return f"""Rows a second through {network}, NumPy arrays in and out. scikit-learn and fastmlp check what they are
given; PyTorch and JAX do not. Instruction set {run.isa}.

{markdown(by_implementation(rates).fillna("—").reset_index())}"""


def start_up(run: Run, cases: pd.DataFrame) -> str:
    """Fresh processes."""
    medians = by_implementation(cases["median"])
    cells = by_implementation(cases.apply(cell, axis=1)).fillna("—")
    ours = medians.columns[medians.columns.str.startswith("fastmlp")]
    for name in ours if "scikit-learn" in medians else []:
        extra = medians[name] - medians["scikit-learn"]
        cells[f"{name} − scikit-learn"] = extra.map("{:+.2f} s".format, na_action="ignore").fillna("—")
    return f"""Wall time of fresh processes, interpreter included; {run.isa}, {run.machine["cores"]} cores. "Empty
caches" is the state right after the installation. `FASTMLP_JIT=1` compiles the kernels instead of loading precompiled
ones. Differences from scikit-learn are those of the same script with scikit-learn's estimators.

{markdown(cells.reset_index())}"""


def scaling(run: Run, cases: pd.DataFrame) -> str:
    """Fitted exponents next to the expected ones."""
    lines = []
    for name, found in cases.groupby("series", sort=False):
        if len(found) < 2:
            continue
        series, values = SERIES[name], found["value"]
        memory = found["memory"] if "memory" in found else values * float("nan")
        lines.append(
            {
                "over": name,
                "range": f"{values.min():,.0f} … {values.max():,.0f}",
                "exponent of time": f"{exponent(values, found['median']):.2f}",
                "expected": f"{series.time:g}",
                "exponent of memory": "—" if memory.isna().any() else f"{exponent(values, memory):.2f}",
                "expected memory": "—" if series.memory is None else f"{series.memory:g}",
                "reason": series.why,
            }
        )
    return f"""Time of a fit and the peak of the memory that it allocates, float64, {run.isa}. Exponents are fitted to
the larger half of the values, where constant parts matter less.

{markdown(pd.DataFrame(lines))}

![Time and memory over rows, width, depth, batch size, threads and candidates](pictures/benchmarks/scaling.png)"""


def hyperband(run: Run, cases: pd.DataFrame) -> str:
    """Time and best score of both searches."""
    best = by_implementation(cases["best"])
    score = by_implementation(cases["score"])
    error = by_implementation(cases["standard_error"])
    tried = by_implementation(cases["candidates"])
    ours, grid = "HyperbandSearchCV", "GridSearchCV"
    rows = pd.DataFrame(
        {
            "data": best.index.get_level_values("workload"),
            ours: best[ours].map(duration).array,
            grid: best[grid].map(duration).array,
            "share of the time": (best[ours] / best[grid]).map(percent).array,
            "best score": score[ours].map("{:.4f}".format).array,
            f"best score of {grid}": (
                score[grid].map("{:.4f}".format) + " ± " + error[grid].map("{:.4f}".format)
            ).array,
            "candidates": (tried[ours].map("{:.0f}".format) + " of " + tried[grid].map("{:.0f}".format)).array,
        }
    )
    return f"""`HyperbandSearchCV` and `GridSearchCV` over the same grid of alpha, hidden sizes and learning rates: a
pipeline with a scaler, five folds, refit included, one process and one thread. The least time of
{cases["runs"].max():.0f} runs, in turns, because other programs may run on the machine. Scores are mean accuracies over
the folds; ± is the standard error over the folds.

{about(run)}

{markdown(rows)}"""


def distributed(run: Run, cases: pd.DataFrame) -> str:
    """Seconds of a step, by one process and by Dask's workers on the same cores."""
    best = by_implementation(cases["best"])
    ours, dask = "MLPClassifier", "DaskMLPClassifier"
    extra = best[dask] - best[ours]
    rows = pd.DataFrame(
        {
            "rows of a step": best.index.get_level_values("workload"),
            "dtype": best.index.get_level_values("dtype"),
            ours: best[ours].map(duration).array,
            dask: best[dask].map(duration).array,
            "difference": [("−" if value < 0 else "+") + duration(abs(value)) for value in extra],
        }
    )
    cores = run.machine["cores"]
    return f"""Time of one step of `DaskMLPClassifier` and of `MLPClassifier` with the same {cores} cores: {cores}
worker processes of one thread against one process of {cores} threads. A step is a mini-batch of 'adam', or an
evaluation of the cost and its gradient over all rows for 'lbfgs'. 50 columns, hidden layers of 128 and 64 units, 7
classes. The time is the difference between the fastest of {cases["runs"].max():.0f} fits and the fastest of as many
fits of twice the steps, in turns, because other programs may run on the machine.

{about(run)}

{markdown(rows)}"""


SEPARATE_SECTIONS: dict[str, tuple[str, Callable[[Run, pd.DataFrame], str]]] = {
    "hyperband": ("Hyperband", hyperband),
    "distributed": ("Distributed training", distributed),
}

SECTIONS: dict[str, tuple[str, Callable[[Run, pd.DataFrame], str]]] = {
    "training": ("Training", training),
    "one_core_busy": ("One core busy", one_core_busy),
    "grid_search": ("Grid search", grid_search),
    "gradient": ("One gradient", gradient),
    "predict": ("Prediction", predict),
    "start_up": ("Start-up", start_up),
    "kernels": ("Kernels", kernels),
    "scaling": ("Scaling", scaling),
}
