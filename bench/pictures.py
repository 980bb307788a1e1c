"""The pictures of the report."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .peak import BANDWIDTHS
from .report import exponent, peak
from .scaling import SERIES
from .store import Result, Run
from .workloads import TRAINING

__all__ = ["draw"]

OUR_COLOUR, MEMORY_COLOUR = "#d62728", "#1f77b4"
# Contestants keep their colours from picture to picture.
COLOURS = {
    "fastmlp": OUR_COLOUR,
    "fastmlp, 1 thread": "#ff9896",
    "JAX": "#2ca02c",
    "PyTorch compile": "#9467bd",
    "PyTorch": "#c5b0d5",
    "skorch": "#8c564b",
    "NumPy": "#7f7f7f",
    "scikit-learn": "#1f77b4",
    "loops": "#c7c7c7",
}
GROUPS = {"products": "o", "optimizers": "s"}


def draw(run: Run, folder: Path) -> None:
    """Write the pictures of the suites that the run has."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {"training": training, "kernels": roofline, "scaling": scaling}
    for suite, picture in pictures.items():
        if run.of(suite):
            with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 9}):
                figure = picture(run)
            name = "roofline" if suite == "kernels" else suite
            figure.savefig(folder / f"{name}.png", dpi=120)


def training(run: Run) -> Figure:
    """Bars: the time of an epoch as a multiple of fastmlp's, on a log axis."""
    results = {name: row for name, row in run.of("training").items() if name in TRAINING and "fastmlp" in row}
    contestants = [name for name in COLOURS if any(name in row for row in results.values()) and name != "loops"]
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set_yscale("log")
    width = 0.85 / len(contestants)
    ratios = []
    for i, name in enumerate(contestants):
        for j, row in enumerate(results.values()):
            if name not in row:
                continue
            ratio = row[name].median / row["fastmlp"].median
            ratios.append(ratio)
            x = j + (i - (len(contestants) - 1) / 2) * width
            axes.bar(x, ratio, width * 0.92, color=COLOURS[name], label=name if j == 0 else None)
            axes.text(x, ratio * 1.05, f"{ratio:.2g}" if ratio < 10 else f"{ratio:.0f}", ha="center", fontsize=6.5)
    axes.axhline(1, color=OUR_COLOUR, linewidth=0.8, zorder=0)
    axes.set_ylim(min(ratios) / 1.5, max(ratios) * 2)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xticks(range(len(results)), list(results))
    axes.set_ylabel("time of an epoch ÷ fastmlp's")
    axes.set_title(f"Training, float32, {run.machine['cpu']}, {run.machine['cores']} cores (lower is faster)")
    axes.legend(ncols=len(contestants), loc="upper center", bbox_to_anchor=(0.5, -0.1), frameon=False, fontsize=8)
    return figure


def roofline(run: Run) -> Figure:
    """Rates of the kernels over their operations a byte, under the measured roofs."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    for axes, dtype in zip(figure.subplots(1, 2, sharex=True, sharey=True), ("float32", "float64"), strict=True):
        _roofs(axes, run, dtype)
        for name, row in run.of("kernels").items():
            for contestant in ("NumPy", "fastmlp"):
                result = row.get(contestant)
                if result and result.facts["dtype"] == dtype and "flops" in result.facts:
                    _point(axes, name, contestant, result)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel("operations a byte")
        axes.set_title(f"One core, {dtype}")
    axes.figure.axes[0].set_ylabel("GFLOP/s")
    handles = [
        axes.plot([], [], GROUPS[group], color=COLOURS[name], label=f"{name}: {group}", linestyle="")[0]
        for name in ("fastmlp", "NumPy")
        for group in GROUPS
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    return figure


def _roofs(axes: Axes, run: Run, dtype: str) -> None:
    """The measured peak, and the bandwidths of the caches and the memory."""
    x = np.logspace(-1.2, 2.4, 100)
    top = peak(run, f"arithmetic, {dtype}")
    if not top:
        return
    axes.axhline(top / 1e9, color="black", linewidth=1, label=f"fused multiply-adds: {top / 1e9:.0f} GFLOP/s")
    for name, style in zip(BANDWIDTHS, ("-", "--", ":"), strict=True):
        bandwidth = peak(run, f"memory, {name}")
        if bandwidth:
            below = x[x * bandwidth < top]
            label = f"memory, {name}: {bandwidth / 1e9:.0f} GB/s"
            axes.plot(below, below * bandwidth / 1e9, style, color="grey", linewidth=1, label=label)
    axes.legend(loc="lower right", fontsize=7, frameon=False)


def _point(axes: Axes, name: str, contestant: str, result: Result) -> None:
    """One kernel."""
    flops = result.facts["flops"]
    axes.plot(
        flops / result.facts["bytes"],
        flops / result.median / 1e9,
        GROUPS[result.facts["group"]],
        color=COLOURS[contestant],
        markersize=4,
        alpha=0.8,
    )


def scaling(run: Run) -> Figure:
    """Time (above) and memory (below) of every series, with the expected slopes."""
    results = [row["fastmlp"] for row in run.of("scaling").values()]
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    grid = figure.subplots(2, len(SERIES))
    for (time, memory), (name, series) in zip(grid.T, SERIES.items(), strict=True):
        found = sorted((r for r in results if r.facts["series"] == name), key=lambda r: r.facts["value"])
        values = [r.facts["value"] for r in found]
        _growth(time, values, [r.median for r in found], series.time, OUR_COLOUR)
        _growth(memory, values, [r.facts.get("memory", np.nan) / 2**20 for r in found], series.memory, MEMORY_COLOUR)
        (memory if memory.get_visible() else time).set_xlabel(name)
    grid[0, 0].set_ylabel("seconds")
    grid[1, 0].set_ylabel("MiB")
    figure.suptitle("Growth of a fit, float64: measured, and dashed the expected exponent through the last point")
    return figure


def _growth(axes: Axes, values: list[int], sizes: list[float], expected: float | None, colour: str) -> None:
    """One line; over its larger half the expected slope, and above it the fitted one."""
    if len(values) < 2 or np.isnan(sizes).any():
        axes.set_visible(False)
        return
    x, y = np.array(values, dtype=float), np.array(sizes)
    axes.plot(x, y, "o-", color=colour, markersize=3)
    title = f"exponent {exponent(values, sizes):.2f}"
    if expected is not None:
        half = x[(len(x) - 1) // 2 :]
        axes.plot(half, y[-1] * (half / x[-1]) ** expected, "--", color="black", linewidth=0.8)
        title += f", expected {expected:g}"
    axes.set_title(title, fontsize=8)
    axes.set_xscale("log")
    axes.set_yscale("log")
    # A decade at least, so that noise does not look like growth.
    low, high = axes.get_ylim()
    middle, room = np.sqrt(low * high), max(np.sqrt(high / low), np.sqrt(10))
    axes.set_ylim(middle / room, middle * room)
    axes.set_xticks(x[[0, -1]], [f"{value:,g}" if value < 10_000 else f"{value:.0e}" for value in x[[0, -1]]])
    axes.xaxis.set_minor_formatter(lambda value, _: "")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: "")
