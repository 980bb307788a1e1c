"""Displays in the style of scikit-learn; matplotlib is imported when the first one is drawn."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from fastmlp.training._network import Array

from ._composite import Located, locate, not_a_network

__all__ = ["LossCurveDisplay", "WeightImageDisplay", "figure_and_axes"]


def figure_and_axes(ax: Any, panels: int = 1) -> tuple[Any, Any]:
    """Return a figure and its axes: those of `ax`, or new ones if `ax` is None."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError('pictures need matplotlib: pip install "fastmlp[app]" brings it') from error
    if ax is None:
        figure, ax = plt.subplots(1, panels, figsize=(1.6 + 4.4 * panels, 4.4), layout="constrained", squeeze=False)
        return figure, ax[0] if panels > 1 else ax[0, 0]
    axes = np.ravel(ax)
    if len(axes) != panels:
        raise ValueError(f"ax must hold {panels} axes, got {len(axes)}.")
    return axes[0].figure, axes if panels > 1 else axes[0]


def _fitted_network(estimator: Any) -> Located:
    """Return a fitted network, which may be the last step of a pipeline or the best estimator of a search."""
    found = locate(estimator)
    check_is_fitted(found.estimator)
    if not hasattr(found.estimator, "coefs_"):
        raise not_a_network(found)
    return found


class LossCurveDisplay:
    """Training loss of each epoch, and the validation score if there was early stopping.

    Parameters
    ----------
    loss_curves : dict of sequences of float
        Loss of each epoch, keyed by the name of the estimator.
    validation_scores : dict of sequences of float, default=None
        Validation score of each epoch, keyed by the same names; names may be missing.

    Attributes
    ----------
    ax_ : Axes
        Axes with the losses.
    score_ax_ : Axes or None
        Axes with the scores, whose scale is on the right; None if there are no scores.
    figure_ : Figure
        The figure of both.
    lines_ : list of Line2D
        The curves.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fastmlp import LossCurveDisplay, MLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = MLPClassifier(early_stopping=True, random_state=0).fit(X / 16, y)
    >>> display = LossCurveDisplay.from_estimator(clf)
    >>> len(display.lines_)
    2

    From numbers:

    >>> display = LossCurveDisplay({"first": [1.0, 0.5], "second": [2.0, 0.4]}).plot()
    """

    def __init__(
        self,
        loss_curves: Mapping[str, Sequence[float]],
        validation_scores: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        self.loss_curves = loss_curves
        self.validation_scores = validation_scores or {}

    @classmethod
    def from_estimator(cls, estimator: Any, *, name: str | None = None, ax: Any = None) -> Self:
        """Draw the curves of one estimator, or of several.

        Parameters
        ----------
        estimator : fitted estimator, pipeline or search, or dict of them
            Must have been trained with 'sgd' or 'adam'. The keys of a dict are the names in the legend. For a
            pipeline, the curve is that of the last step; for a search, that of the best estimator.
        name : str, default=None
            Name in the legend. None: the name of the class and, for a pipeline or a search, the place of the estimator.
        ax : Axes, default=None
            Axes to draw on. None creates a new figure.

        Returns
        -------
        LossCurveDisplay
            The display, drawn.
        """
        if isinstance(estimator, Mapping):
            networks = {label: _fitted_network(given) for label, given in estimator.items()}
        else:
            found = _fitted_network(estimator)
            networks = {name or found.source or type(found.estimator).__name__: found}
        losses, scores = {}, {}
        for label, (fitted, _, _) in networks.items():
            if not hasattr(fitted, "loss_curve_"):
                raise ValueError(f"estimator {label!r} has no loss curve: solver must be 'sgd' or 'adam', not 'lbfgs'.")
            losses[label] = fitted.loss_curve_
            if getattr(fitted, "validation_scores_", None):
                scores[label] = fitted.validation_scores_
        return cls(losses, scores).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the display.

        Parameters
        ----------
        ax : Axes, default=None
            Axes to draw on. None creates a new figure.

        Returns
        -------
        LossCurveDisplay
            This display.
        """
        self.figure_, self.ax_ = figure_and_axes(ax)
        self.lines_: list[Any] = []
        for label, losses in self.loss_curves.items():
            (line,) = self.ax_.plot(np.arange(1, len(losses) + 1), losses, label=f"{label}: training loss")
            self.lines_.append(line)
        self.ax_.set(xlabel="epoch", ylabel="training loss, penalty included")
        if all(np.min(losses) > 0 for losses in self.loss_curves.values()):
            self.ax_.set_yscale("log")
        self.ax_.grid(alpha=0.3)
        self.score_ax_: Any = None
        if self.validation_scores:
            self.score_ax_ = self.ax_.twinx()
            self.score_ax_.set_ylabel("validation score (dashed)")
        colors = dict(zip(self.loss_curves, (line.get_color() for line in self.lines_), strict=True))
        for label, scores in self.validation_scores.items():
            (line,) = self.score_ax_.plot(
                np.arange(1, len(scores) + 1),
                scores,
                color=colors[label],
                linestyle="--",
                label=f"{label}: validation score",
            )
            self.lines_.append(line)
        # The legend is below the axes, because loss and score curves leave no corner free.
        self.ax_.legend(handles=self.lines_, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)
        return self


class WeightImageDisplay:
    """The weights of each unit of a layer as a small image, for inputs that are images.

    Parameters
    ----------
    weights : array-like of shape (n_inputs, n_units)
        One column for each unit.
    image_shape : tuple of int
        Rows and columns of an image; their product is n_inputs.
    source : str, default=""
        Description of the estimator, for the title.

    Attributes
    ----------
    ax_ : Axes
        Axes with the grid of images.
    figure_ : Figure
        The figure of the axes.
    im_ : AxesImage
        All images as one image.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fastmlp import MLPClassifier, WeightImageDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = MLPClassifier((20,), tol=0.01, random_state=0).fit(X / 16, y)
    >>> WeightImageDisplay.from_estimator(clf).image_shape
    (8, 8)

    From an array with a column for each image:

    >>> display = WeightImageDisplay(clf.coefs_[0][:, :4], (8, 8)).plot()
    """

    def __init__(self, weights: ArrayLike, image_shape: tuple[int, int], source: str = "") -> None:
        self.weights = weights
        self.image_shape = image_shape
        self.source = source

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        layer: int = 0,
        image_shape: tuple[int, int] | None = None,
        max_units: int = 100,
        ax: Any = None,
    ) -> Self:
        """Draw the weights of a fitted estimator. The units are ordered by their norms, the largest first.

        Parameters
        ----------
        estimator : fitted estimator, pipeline or search
            Must have the attribute `coefs_`. For a pipeline, the last step is drawn; for a search, the best estimator.
        layer : int, default=0
            Index into `coefs_`. For a matrix whose output is the image (the last of an autoencoder), rows are drawn.
        image_shape : tuple of int, default=None
            Rows and columns of an image. None means a square.
        max_units : int, default=100
            Largest number of units to draw.
        ax : Axes, default=None
            Axes to draw on. None creates a new figure.

        Returns
        -------
        WeightImageDisplay
            The display, drawn.
        """
        found = _fitted_network(estimator)
        coefs = found.estimator.coefs_
        if not -len(coefs) <= layer < len(coefs):
            raise ValueError(f"layer must be a place in the {len(coefs)} arrays of coefs_, got {layer!r}.")
        W = np.asarray(coefs[layer])
        pixels = found.estimator.n_features_in_
        if W.shape[0] != pixels and W.shape[1] == pixels:
            W = W.T
        side = math.isqrt(W.shape[0])
        shape = (side, W.shape[0] // side) if image_shape is None else tuple(image_shape)
        if math.prod(shape) != W.shape[0]:
            raise ValueError(f"image_shape must have {W.shape[0]} pixels, one for each input, got {image_shape}.")
        strongest = np.argsort(-np.linalg.norm(W, axis=0), kind="stable")[:max_units]
        return cls(W[:, strongest], (shape[0], shape[1]), found.source).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the display.

        Parameters
        ----------
        ax : Axes, default=None
            Axes to draw on. None creates a new figure.

        Returns
        -------
        WeightImageDisplay
            This display.
        """
        W = np.asarray(self.weights)
        self.figure_, self.ax_ = figure_and_axes(ax)
        largest = float(np.abs(W).max()) or 1.0
        self.im_ = self.ax_.imshow(_mosaic(W, self.image_shape), cmap="RdBu_r", vmin=-largest, vmax=largest)
        source = f"\n{self.source}" if self.source else ""
        self.ax_.set(xticks=[], yticks=[], title=f"weights of {W.shape[1]} units, one image each{source}")
        self.ax_.spines[:].set_visible(False)
        self.figure_.colorbar(self.im_, ax=self.ax_, label="weight", shrink=0.8)
        return self


def _mosaic(W: Array, shape: tuple[int, int]) -> Array:
    """Return the columns of W as images in a grid, separated by NaN."""
    height, width = shape
    across = math.ceil(math.sqrt(W.shape[1] * height / width))
    down = -(-W.shape[1] // across)
    grid = np.full((down * (height + 1) - 1, across * (width + 1) - 1), np.nan)
    for k, column in enumerate(W.T):
        top, left = k // across * (height + 1), k % across * (width + 1)
        grid[top : top + height, left : left + width] = column.reshape(shape)
    return grid
