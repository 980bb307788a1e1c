"""The pictures of the report, drawn from its data. Requires matplotlib."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
from matplotlib.figure import Figure

# Colours for a white page: a strong one for the best model, a muted one for the others.
STRONG, MUTED = "#1f6f8b", "#9db4bd"
RC = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
DPI = 144  # for screens with a high resolution; the page sets the size of a picture
MOST_LABELED = 12  # classes whose counts are written into the confusion matrix


def draw(results: dict[str, Any]) -> dict[str, bytes]:
    """Return the pictures as PNG files, in the order of the report.

    Parameters
    ----------
    results : dict
        The data that `fastmlp.app.results` collects.

    Returns
    -------
    dict of str to bytes
        The pictures by title.
    """
    data = results["pictures"]
    figures: dict[str, Figure] = {}
    with warnings.catch_warnings(), _style():
        # Characters that the font lacks are drawn as boxes. Hide matplotlib's warning about them.
        warnings.filterwarnings("ignore", "Glyph")
        if results["models"] is not None:
            figures["Models on the test rows"] = compared(results)
        if "confusion" in data["predictions"]:
            figures["Confusion matrix on the test rows"] = confusion(data["predictions"])
        else:
            figures["Predictions on the test rows"] = scatter(data["predictions"], results["target"])
        figures["Mean score of each candidate"] = heat_map(results)
        figures["Loss curves"] = loss_curves(data["curves"])
        figures["First-layer weights"] = first_layer(data["first_layer"])
        return {title: _png(figure) for title, figure in figures.items()}


def _style() -> Any:
    from matplotlib import rc_context

    return rc_context(RC)


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DPI)
    return file.getvalue()


def _name(text: str, most: int = 32) -> str:
    """Return a short label in which dollar signs do not begin a formula of matplotlib."""
    return (text if len(text) <= most else f"{text[: most - 1]}…").replace("$", r"\$")


def compared(results: dict[str, Any]) -> Figure:
    """Draw the score of each model on the test rows, and over the folds."""
    models, metric = results["models"]["models"], results["metric"]
    figure = Figure(figsize=(7, 1.4 + 0.45 * len(models)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(models))[::-1]
    test = [model["test"][metric] for model in models]
    colors = [STRONG if value == max(test) else MUTED for value in test]
    axes.barh(places, test, height=0.6, color=colors)
    for place, value in zip(places, test, strict=True):
        inside = value > 0.5 * max(test)
        axes.text(
            value,
            place,
            f" {value:.4f} ",
            ha="right" if inside else "left",
            va="center",
            color="white" if inside and value == max(test) else "black",
        )
    axes.errorbar(
        [model["cv_score"] for model in models],
        places - 0.38,
        xerr=[model["cv_std"] for model in models],
        fmt="D",
        markersize=4,
        color="black",
        elinewidth=1,
        label="mean and standard deviation of the folds",
    )
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(places, [_name(model["title"], 44) for model in models])
    axes.set_xlabel(metric)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)
    return figure


def confusion(predictions: dict[str, Any]) -> Figure:
    """Draw the confusion matrix."""
    counts, labels = np.array(predictions["confusion"]), [_name(label, 16) for label in predictions["labels"]]
    side = min(8.0, 2.4 + 0.42 * len(labels))
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(counts, cmap="Blues", vmin=0)
    if len(labels) <= MOST_LABELED:
        for (i, k), count in np.ndenumerate(counts):
            if count:
                color = "white" if count > counts.max() / 2 else "black"
                axes.text(k, i, str(count), ha="center", va="center", color=color)
    steep = max(map(len, labels)) > 3
    axes.set_xticks(range(len(labels)), labels, rotation=45 if steep else 0, ha="right" if steep else "center")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="predicted class", ylabel="true class")
    figure.colorbar(image, label="rows")
    return figure


def scatter(predictions: dict[str, Any], target: str) -> Figure:
    """Draw predicted against true values."""
    true, predicted = predictions["true"], predictions["predicted"]
    figure = Figure(figsize=(5.5, 5), layout="constrained")
    axes = figure.subplots()
    both = [min(*true, *predicted), max(*true, *predicted)]
    axes.plot(both, both, color="black", linewidth=0.8, label="prediction equals truth")
    axes.scatter(true, predicted, s=14, alpha=0.6, color=STRONG, edgecolors="none")
    axes.set(xlabel=f"true {_name(target)}", ylabel=f"predicted {_name(target)}")
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    return figure


def heat_map(results: dict[str, Any]) -> Figure:
    """Draw the mean score over the folds for every alpha and size."""
    search, found, metric = results["search"], results["ours"], results["metric"]
    scores = np.full((len(search["alphas"]), len(search["sizes"])), np.nan)
    for row in found["candidates"]:
        place = search["alphas"].index(row["alpha"]), search["sizes"].index(row["hidden_layer_sizes"])
        scores[place] = np.nan if row["score"] is None else row["score"]
    best = (
        search["alphas"].index(found["best"]["alpha"]),
        search["sizes"].index(found["best"]["hidden_layer_sizes"]),
    )
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(scores, aspect="auto", cmap="viridis")
    middle = (np.nanmin(scores) + np.nanmax(scores)) / 2
    for place, score in np.ndenumerate(scores):
        axes.text(
            place[1],
            place[0],
            f"{score:.4f}" + ("\nbest" if place == best else ""),
            ha="center",
            va="center",
            color="white" if score < middle else "black",
        )
    axes.set_xticks(range(len(search["sizes"])), [str(tuple(size)) for size in search["sizes"]])
    axes.set_yticks(range(len(search["alphas"])), [f"{alpha:g}" for alpha in search["alphas"]])
    axes.set(xlabel="hidden_layer_sizes", ylabel="alpha")
    axes.spines[:].set_visible(False)
    figure.colorbar(image, label=f"mean {metric} over the folds")
    return figure


def loss_curves(curves: list[dict[str, Any]]) -> Figure:
    """Draw the training loss of each size with its best alpha, and the loss of scikit-learn's best network."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    for curve in curves:
        losses = [np.nan if loss is None else loss for loss in curve["losses"]]
        epochs = np.arange(1, len(losses) + 1)
        if curve["peer"]:
            axes.plot(epochs, losses, color="black", linestyle=(0, (1, 3)), linewidth=2.5, label=curve["label"])
        else:
            best = " (best)" if curve["best"] else ""
            axes.plot(epochs, losses, linewidth=2.5 if best else 1.2, label=curve["label"] + best)
    axes.set(xlabel="epoch", ylabel="training loss, penalty included", yscale="log")
    axes.legend(title="hidden_layer_sizes, best alpha", frameon=False)
    axes.grid(alpha=0.3, which="both")
    return figure


def first_layer(layer: dict[str, Any]) -> Figure:
    """Draw the weights of the first layer of the best network, strongest units first."""
    W = np.array(layer["weights"])
    return _weight_images(W, layer["image_shape"]) if layer["image_shape"] else _weight_map(W, layer["names"])


def _weight_images(W: np.ndarray[Any, Any], shape: list[int]) -> Figure:
    across = 8
    down = -(-W.shape[1] // across)
    figure = Figure(figsize=(7.5, 0.85 * down + 0.3), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False)
    largest = np.abs(W).max()
    for k, axes in enumerate(grid.flat):
        if k >= W.shape[1]:
            axes.axis("off")
            continue
        image = axes.imshow(W[:, k].reshape(shape), cmap="RdBu_r", vmin=-largest, vmax=largest)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(visible=True, color="lightgray")
    figure.colorbar(image, ax=grid, label="weight", shrink=0.6)
    return figure


def _weight_map(W: np.ndarray[Any, Any], names: list[str]) -> Figure:
    figure = Figure(figsize=(8, 1.3 + 0.24 * len(names)), layout="constrained")
    axes = figure.subplots()
    largest = np.abs(W).max()
    image = axes.imshow(W, aspect="auto", cmap="RdBu_r", vmin=-largest, vmax=largest)
    axes.set_yticks(range(len(names)), [_name(name) for name in names])
    axes.set(xlabel="hidden unit, strongest first")
    axes.spines[:].set_visible(False)
    figure.colorbar(image, label="weight")
    return figure
