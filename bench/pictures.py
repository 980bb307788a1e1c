"""The pictures of the report."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .analysis import exponent, peak
from .harness import DTYPES
from .peak import BANDWIDTHS
from .scaling import SERIES
from .store import Run
from .tables import by_implementation
from .workloads import TRAINING

__all__ = ["draw"]

OUR_COLOUR, MEMORY_COLOUR = "#d62728", "#1f77b4"
# Implementations keep their colours in all pictures.
COLOURS = {
    "fastmlp": OUR_COLOUR,
    "fastmlp, 1 thread": "#ff9896",
    "JAX": "#2ca02c",
    "PyTorch compile": "#9467bd",
    "PyTorch": "#c5b0d5",
    "skorch": "#8c564b",
    "NumPy": "#7f7f7f",
    "scikit-learn": "#1f77b4",
}
GROUPS = {"products": "o", "optimizers": "s"}


def draw(run: Run, folder: Path) -> None:
    """Write the pictures of the suites that the run has."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {"training": ("training", training), "kernels": ("roofline", roofline), "scaling": ("scaling", scaling)}
    for suite, (name, picture) in pictures.items():
        if len(run.of(suite)):
            with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 9}):
                picture(run).savefig(folder / f"{name}.png", dpi=120)


def training(run: Run) -> Figure:
    """Draw the time of an epoch as a multiple of the time of fastmlp, on a log axis."""
    medians = by_implementation(run.of("training")["median"])
    ratios = medians.div(medians["fastmlp"], axis="index").reindex(columns=[n for n in COLOURS if n in medians])
    shown = [dtype for dtype in DTYPES if dtype in ratios.index.get_level_values("dtype")]
    figure = Figure(figsize=(10, 4.2 * len(shown)), layout="constrained")
    for axes, dtype in zip(figure.subplots(len(shown), squeeze=False, sharey=True).flat, shown, strict=True):
        rows = ratios.xs(dtype, level="dtype").reindex([n for n in TRAINING if (n, dtype) in ratios.index])
        rows.plot.bar(ax=axes, logy=True, width=0.85, rot=0, color=COLOURS, legend=axes.get_subplotspec().is_last_row())
        for bars in axes.containers:
            axes.bar_label(bars, fmt=lambda ratio: f"{ratio:.2g}" if ratio < 10 else f"{ratio:.0f}", fontsize=6.5)
        axes.axhline(1, color=OUR_COLOUR, linewidth=0.8, zorder=0)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set(xlabel="", ylabel="time of an epoch / time of fastmlp")
        axes.set_title(
            f"Training, {dtype}, {run.isa}, {run.machine['cpu']}, {run.machine['cores']} cores (lower is faster)"
        )
    if axes.get_legend():
        axes.legend(ncols=len(COLOURS), loc="upper center", bbox_to_anchor=(0.5, -0.1), frameon=False, fontsize=8)
    return figure


def roofline(run: Run) -> Figure:
    """Draw the rates of the kernels over their operations per byte, under the measured limits."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    cases = run.of("kernels").dropna(subset=["flops"])
    for axes, dtype in zip(figure.subplots(1, 2, sharex=True, sharey=True), DTYPES, strict=True):
        _limits(axes, run, dtype)
        if dtype in cases.index.get_level_values("dtype"):
            points = cases.xs(dtype, level="dtype").reset_index()
            for (name, group), found in points.groupby(["implementation", "group"]):
                axes.plot(
                    found["flops"] / found["bytes"],
                    found["flops"] / found["median"] / 1e9,
                    GROUPS[group],
                    color=COLOURS[name],
                    markersize=4,
                    alpha=0.8,
                )
        axes.set(xscale="log", yscale="log", xlabel="operations per byte", title=f"One core, {dtype}, {run.isa}")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_major_formatter("{x:g}")
    figure.axes[0].set_ylabel("GFLOP/s")
    handles = [
        figure.axes[0].plot([], [], GROUPS[group], color=COLOURS[name], label=f"{name}: {group}", linestyle="")[0]
        for name in ("fastmlp", "NumPy")
        for group in GROUPS
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    return figure


def _limits(axes: Axes, run: Run, dtype: str) -> None:
    """Draw the measured peak, and the bandwidths of the caches and the memory."""
    x = np.logspace(-1.2, 2.4, 100)
    top = peak(run, "arithmetic", dtype)
    if np.isnan(top):
        return
    axes.axhline(top / 1e9, color="black", linewidth=1, label=f"fused multiply-adds: {top / 1e9:.0f} GFLOP/s")
    for name, style in zip(BANDWIDTHS, ("-", "--", ":"), strict=True):
        bandwidth = peak(run, f"memory, {name}")
        if not np.isnan(bandwidth):
            below = x[x * bandwidth < top]
            label = f"memory, {name}: {bandwidth / 1e9:.0f} GB/s"
            axes.plot(below, below * bandwidth / 1e9, style, color="grey", linewidth=1, label=label)
    axes.legend(loc="lower right", fontsize=7, frameon=False)


def scaling(run: Run) -> Figure:
    """Draw time (above) and memory (below) of every series, with the expected slopes."""
    cases = run.of("scaling").sort_values("value")
    cases["memory"] = cases.get("memory", np.nan) / 2**20
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    grid = figure.subplots(2, len(SERIES))
    for (time, memory), (name, series) in zip(grid.T, SERIES.items(), strict=True):
        found = cases[cases["series"] == name].set_index("value")
        _growth(time, found["median"], series.time, OUR_COLOUR)
        _growth(memory, found["memory"], series.memory, MEMORY_COLOUR)
        (memory if memory.get_visible() else time).set_xlabel(name)
    grid[0, 0].set_ylabel("seconds")
    grid[1, 0].set_ylabel("MiB")
    figure.suptitle(f"Growth of a fit, float64, {run.isa}: measured, and dashed with the expected exponent")
    return figure


def _growth(axes: Axes, sizes: pd.Series, expected: float | None, colour: str) -> None:
    """Draw one line; its title states the fitted exponent, the dashed line has the expected one."""
    if len(sizes) < 2 or sizes.isna().any():
        axes.set_visible(False)
        return
    axes.plot(sizes, "o-", color=colour, markersize=3)
    title = f"exponent {exponent(sizes.index, sizes):.2f}"
    if expected is not None:
        half = sizes.index[(len(sizes) - 1) // 2 :].to_numpy(float)
        axes.plot(half, sizes.iloc[-1] * (half / half[-1]) ** expected, "--", color="black", linewidth=0.8)
        title += f", expected {expected:g}"
    axes.set_title(title, fontsize=8)
    axes.set(xscale="log", yscale="log")
    # Show at least a decade, so that noise does not look like growth.
    low, high = axes.get_ylim()
    middle, half_height = np.sqrt(low * high), max(np.sqrt(high / low), np.sqrt(10))
    axes.set_ylim(middle / half_height, middle * half_height)
    ends = sizes.index[[0, -1]]
    axes.set_xticks(ends, [f"{value:,.0f}" if value < 10_000 else f"{value:.0e}" for value in ends])
    axes.xaxis.set_minor_formatter("")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")
