"""The pictures of the report; needs matplotlib."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from fastmlp.app.search import ALPHAS, SIZES, Outcome, Split, best_of_each_size, input_names, mlp_of
from fastmlp.app.table import Table

MOST_INPUTS = 30
MOST_UNITS = 64


def save_pictures(
    folder: Path, table: Table, data: Split, ours: Outcome, theirs: Outcome | None, metric: str
) -> list[Path]:
    """Draw all pictures into `folder` and return their paths."""
    pictures = {
        "loss_curves.png": loss_curves(ours, theirs, data),
        "alpha_size_heatmap.png": heat_map(ours, metric),
        "first_layer_weights.png": first_layer(ours, table),
    }
    with warnings.catch_warnings():
        # A column name in a script that the font lacks is drawn as boxes; that is no reason for a warning.
        warnings.filterwarnings("ignore", "Glyph")
        for name, figure in pictures.items():
            figure.savefig(folder / name, dpi=120)
    return [folder / name for name in pictures]


def loss_curves(ours: Outcome, theirs: Outcome | None, data: Split) -> Figure:
    """Draw the training loss of each size at its best alpha, and scikit-learn's of the best of all."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for size, alpha, losses in best_of_each_size(ours, data):
        best = {"alpha": alpha, "hidden_layer_sizes": size} == ours.best
        axes.plot(
            np.arange(1, len(losses) + 1),
            losses,
            linewidth=2.5 if best else 1.2,
            label=f"{size}, alpha={alpha:g}" + (" (best)" if best else ""),
        )
    if theirs:
        losses = mlp_of(theirs.search.best_estimator_).loss_curve_
        axes.plot(
            np.arange(1, len(losses) + 1),
            losses,
            color="black",
            linestyle=(0, (1, 3)),
            linewidth=2.5,
            label=f"{theirs.library}: {theirs.best['hidden_layer_sizes']}, alpha={theirs.best['alpha']:g}",
        )
    axes.set(xlabel="epoch", ylabel="training loss, penalty included", yscale="log", title="Loss curves")
    axes.legend(title="hidden_layer_sizes, best alpha")
    axes.grid(alpha=0.3, which="both")
    return figure


def heat_map(ours: Outcome, metric: str) -> Figure:
    """Draw the mean score over the folds for every alpha and size."""
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    scores = ours.scores
    image = axes.imshow(scores, aspect="auto", cmap="viridis")
    middle = (np.nanmin(scores) + np.nanmax(scores)) / 2
    best = np.unravel_index(ours.search.best_index_, scores.shape)
    for (a, s), score in np.ndenumerate(scores):
        axes.text(
            s,
            a,
            f"{score:.4f}" + ("\nbest" if (a, s) == best else ""),
            ha="center",
            va="center",
            color="white" if score < middle else "black",
        )
    axes.set_xticks(range(len(SIZES)), [str(size) for size in SIZES])
    axes.set_yticks(range(len(ALPHAS)), [f"{alpha:g}" for alpha in ALPHAS])
    axes.set(xlabel="hidden_layer_sizes", ylabel="alpha", title=f"Mean {metric} over the folds")
    figure.colorbar(image, label=metric)
    return figure


def first_layer(ours: Outcome, table: Table) -> Figure:
    """Draw the weights of the first layer of the best network, strongest units first."""
    W = mlp_of(ours.search.best_estimator_).coefs_[0]
    units = np.argsort(-np.linalg.norm(W, axis=0), kind="stable")[:MOST_UNITS]
    if table.image_shape:
        return _weight_images(W[:, units], table.image_shape)
    inputs = np.argsort(-np.linalg.norm(W, axis=1), kind="stable")[:MOST_INPUTS]
    names = input_names(ours.search.best_estimator_, table)
    of = f"the {len(inputs)} strongest of {len(W)} inputs" if len(inputs) < len(W) else f"all {len(W)} inputs"
    return _weight_map(np.abs(W[np.ix_(inputs, units)]), [names[i] for i in inputs], of)


def _weight_images(W: np.ndarray[Any, Any], shape: tuple[int, int]) -> Figure:
    across = 8
    down = -(-W.shape[1] // across)
    figure = Figure(figsize=(7.5, 0.85 * down + 0.6), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False)
    largest = np.abs(W).max()
    for k, axes in enumerate(grid.flat):
        if k >= W.shape[1]:
            axes.axis("off")
            continue
        image = axes.imshow(W[:, k].reshape(shape), cmap="RdBu_r", vmin=-largest, vmax=largest)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color("lightgray")
    figure.suptitle(f"First-layer weights of the {W.shape[1]} strongest hidden units, one image each")
    figure.colorbar(image, ax=grid, label="weight", shrink=0.6)
    return figure


def _weight_map(sizes: np.ndarray[Any, Any], names: list[str], of: str) -> Figure:
    figure = Figure(figsize=(8, 1.6 + 0.24 * len(names)), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(sizes, aspect="auto", cmap="magma", vmin=0)
    shown = [name if len(name) <= 32 else f"{name[:31]}…" for name in names]
    axes.set_yticks(range(len(names)), [name.replace("$", r"\$") for name in shown])
    axes.set(xlabel="hidden unit, strongest first", title=f"First-layer |weights|, {of}")
    figure.colorbar(image, label="|weight|")
    return figure
