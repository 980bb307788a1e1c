"""Diagnose why a network does not learn: measure every layer, and name problems together with their remedies."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike

from fastmlp._problem import Options, smooth_labels
from fastmlp.reference import vectorized
from fastmlp.training._blockwise import column_sizes
from fastmlp.training._network import Array

from ._composite import locate
from ._display import figure_and_axes
from ._objective import Objective, objective_of_estimator

__all__ = ["Diagnosis", "DiagnosticsDisplay", "LayerDiagnosis", "diagnose"]

# Limits beyond which a problem is reported. They are intentionally wide. In trained networks with good scores, up to a
# third of the units can be dead or saturated, and errors can shrink to 1 % from the last layer to the first.
VANISHED, EXPLODED = 1e-4, 1e3  # root mean square error of the first layer, relative to that of the last
STUCK = 0.5  # fraction of the units or values of a layer
LEARNT = 0.05  # error of the output, relative to the spread of Y: networks that fit the data are often saturated
UNSCALED = 50.0  # root mean square of a column; standardised ones have 1, bytes of images about 100

# A value is saturated if the slope is below 5 % of the steepest slope (|tanh| > 0.975).
FLAT = {"logistic": 0.05 / 4, "tanh": 0.05}
# Units with another activation are dead if the slope is below this limit for every row. Leaky relu cannot die.
NO_SLOPE = 0.01
CAN_DIE = ("relu", "elu", "selu", "gelu", "silu", "softplus")


class LayerDiagnosis(NamedTuple):
    """One row of the table: a weight matrix and the layer that it leads to.

    Attributes
    ----------
    name : str
        'hidden 1', 'hidden 2'..., 'output'.
    activation : str
        Activation of the units.
    weight_norm, gradient_norm : float
        Euclidean norms of W_l and of dJ/dW_l.
    error : float
        Root mean square of the error D_l = dJ_i/dZ_l over samples and units.
    mean, spread : float
        Mean and standard deviation of the units' values.
    stuck : float
        Fraction of values that are saturated ('logistic', 'tanh'), or of units that are dead ('relu' and similar:
        almost no slope in any row). NaN for activations that neither saturate nor die.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fastmlp import MLPClassifier, diagnose
    >>> from fastmlp.inspection import LayerDiagnosis
    >>> X, y = load_digits(return_X_y=True)
    >>> layer = diagnose(MLPClassifier(random_state=0), X / 16, y).layers[0]
    >>> isinstance(layer, LayerDiagnosis), layer.name, layer.activation
    (True, 'hidden 1', 'relu')
    """

    name: str
    activation: str
    weight_norm: float
    gradient_norm: float
    error: float
    mean: float
    spread: float
    stuck: float


@dataclass(frozen=True)
class Diagnosis:
    """Result of `diagnose`: prints as a table followed by the problems found.

    Attributes
    ----------
    layers : tuple of LayerDiagnosis
        From the first hidden layer to the output.
    findings : dict of str
        A sentence, with the remedy, for each problem: 'unscaled inputs', 'dead units', 'saturated units',
        'vanishing gradients', 'exploding gradients'. Empty if no problem was found.
    cost : float
        J for the given rows.
    source : str
        The diagnosed step, for a pipeline or a search; otherwise empty.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fastmlp import Diagnosis, MLPClassifier, diagnose
    >>> X, y = load_digits(return_X_y=True)
    >>> diagnosis = diagnose(MLPClassifier((30, 30), random_state=0), X, y)
    >>> isinstance(diagnosis, Diagnosis), len(diagnosis.layers), list(diagnosis.findings)
    (True, 3, [])
    >>> display = diagnosis.plot()
    """

    layers: tuple[LayerDiagnosis, ...]
    findings: dict[str, str]
    cost: float
    source: str = ""

    def __str__(self) -> str:
        head = (
            f"{'layer':<10} {'activation':<10} {'|W|':>8} {'|dJ/dW|':>8} {'error':>8} {'mean':>8} {'spread':>8}  stuck"
        )
        lines = [self.source, head] if self.source else [head]
        for layer in self.layers:
            numbers = layer[2:-1]
            stuck = "    -" if np.isnan(layer.stuck) else f"{layer.stuck:>5.0%}"
            lines.append(
                f"{layer.name:<10} {layer.activation:<10} " + " ".join(f"{x:>8.1e}" for x in numbers) + f"  {stuck}"
            )
        return "\n".join([*lines, *(self.findings.values() or ["Nothing unusual."])])

    __repr__ = __str__

    def plot(self, ax: Any = None) -> "DiagnosticsDisplay":
        """Draw the table; see `DiagnosticsDisplay.plot`."""
        return DiagnosticsDisplay(self).plot(ax)


def diagnose(estimator: Any, X: Any, y: Any = None, *, sample_weight: ArrayLike | None = None) -> Diagnosis:
    """Report problems in a network, from a forward and a backward pass through all of its layers.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor, MLPAutoencoder, Pipeline or search
        If an estimator of fastmlp is not fitted, the weights are those from which `fit` would start. If it is a fitted
        pipeline, the last step is diagnosed with the data that the other steps have transformed. If it is a fitted
        search, such as `GridSearchCV`, its best estimator is diagnosed.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Samples, used as one batch; a few hundred are enough.
    y : array-like
        Targets, as in `fit`.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples.

    Returns
    -------
    Diagnosis
        Prints as a table and sentences; `plot` draws it.

    Raises
    ------
    TypeError
        If the estimator, or the last step of the pipeline, does not belong to fastmlp.
    NotFittedError
        If the pipeline or the search is not fitted.
    ValueError
        If the data or a parameter are invalid, as in `fit`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fastmlp import MLPClassifier, diagnose
    >>> X, y = load_digits(return_X_y=True)
    >>> list(diagnose(MLPClassifier(random_state=0), X / 16, y).findings)
    []
    >>> deep = MLPClassifier((20,) * 10, activation="logistic", random_state=0)
    >>> list(diagnose(deep, X / 16, y).findings)
    ['vanishing gradients']
    """
    found = locate(estimator, X)
    with objective_of_estimator(found, y, sample_weight) as objective:
        J, g = objective.cost_and_gradient()
    layers = _layers(objective, g)
    learnt = layers[-1].error < LEARNT * _targets(objective).std()
    return Diagnosis(layers, _findings(layers, column_sizes(_dense(objective)), J, learnt), J, found.source)


def _dense(objective: Objective) -> Array:
    data = objective.data
    if not data.indptr.size:
        return data.X
    shape = data.rows, objective.network.units[0]
    dense: Array = scipy.sparse.csr_matrix((data.values, data.indices, data.indptr), shape).toarray()
    return dense


def _targets(objective: Objective) -> Array:
    data = objective.data
    return np.eye(objective.network.units[-1])[data.labels] if data.labels.size else data.Y


@np.errstate(over="ignore", invalid="ignore")  # an overflow is reported as a finding
def _layers(objective: Objective, g: Array) -> tuple[LayerDiagnosis, ...]:
    """Measure every layer by a forward and a backward pass in NumPy, which keep all intermediate values."""
    network, data = objective.network, objective.data
    parts, gradients = network.parts(objective.w), network.parts(g)
    weights = data.sample_weight if data.sample_weight.size else None
    arrays = parts.coefs, parts.intercepts, _dense(objective)
    options = Options(
        activation=network.activations,
        output=network.link,
        loss=network.loss,
        residual=network.residual,
        maxout_pieces=network.maxout_pieces,
    )
    if network.batch_norm:
        options["batch_norm"] = list(zip(parts.gammas, parts.betas, strict=True))
    values = vectorized.forward(*arrays, **options)[1:]
    Z = vectorized.pre_activations(*arrays, **options)
    # `vectorized.backward` would refuse the targets of an autoencoder, which lie between 0 and 1, for the log loss.
    targets = smooth_labels(_targets(objective), network.label_smoothing, network.link)
    parameters = [network.parameters_of_units(Z[-1].dtype)] if network.loss_parameters else []
    _, D = vectorized.OUTPUTS[network.link, network.loss].pair(Z[-1], targets, *parameters)
    errors = vectorized.backpropagate(*arrays, D if weights is None else D * weights[:, np.newaxis], **options)
    layers = []
    for l, (W, dW, D, A) in enumerate(zip(parts.coefs, gradients.coefs, errors, values, strict=True)):
        hidden = l < len(network.activations)
        layers.append(
            LayerDiagnosis(
                f"hidden {l + 1}" if hidden else "output",
                network.activations[l] if hidden else network.link,
                float(np.linalg.norm(W)),
                float(np.linalg.norm(dW)),
                float(np.sqrt(np.mean(D * D))),
                float(A.mean()),
                float(A.std()),
                _stuck(network.activations[l], Z[l]) if hidden else float("nan"),
            )
        )
    return tuple(layers)


def _stuck(activation: str, Z: Array) -> float:
    """Return the fraction of values that are saturated, or of units that are dead."""
    if activation not in FLAT and activation not in CAN_DIE:
        return float("nan")
    slopes = vectorized.ACTIVATIONS[activation].derivative(Z, vectorized.activate(activation, Z))
    if activation in FLAT:
        return float(np.mean(slopes < FLAT[activation]))
    return float(np.mean(np.abs(slopes.astype(float)).max(axis=0) < NO_SLOPE))


def _findings(layers: tuple[LayerDiagnosis, ...], sizes: Array, J: float, learnt: bool) -> dict[str, str]:
    """Return the problems that the measurements show, each as a sentence."""
    findings = {}
    if sizes.max() > UNSCALED:
        findings["unscaled inputs"] = (
            f"Unscaled inputs: the columns' root mean squares go from {sizes.min():.2g} to {sizes.max():.2g}; "
            "standardise them (sklearn.preprocessing.StandardScaler)."
        )
    if learnt:
        return findings
    stuck = [layer for layer in layers if layer.stuck >= STUCK]
    dead = [layer for layer in stuck if layer.activation in CAN_DIE]
    if dead:
        findings["dead units"] = (
            f"Dead units: {_list(dead)} gives no slope to {max(layer.stuck for layer in dead):.0%} of its units, which "
            "no longer learn; lower learning_rate_init, train again from new initial weights, or choose "
            "activation='leaky_relu' or batch_norm=True."
        )
    saturated = [layer for layer in stuck if layer.activation in FLAT]
    if saturated:
        findings["saturated units"] = (
            f"Saturated units: {max(layer.stuck for layer in saturated):.0%} of the values of {_list(saturated)} are "
            "at the flat ends of the activation; scale the inputs, begin with smaller weights, raise alpha, or choose "
            "activation='relu' or batch_norm=True."
        )
    first, last = layers[0].error, layers[-1].error
    # Dead or saturated layers, reported above, also let errors vanish.
    if not stuck and last > 0 and first < VANISHED * last:
        findings["vanishing gradients"] = (
            f"Vanishing gradients: the error of {layers[0].name} is {first / last:.1e} times that of the output, so "
            "the first layers hardly learn; choose activation='relu' with init='he', batch_norm=True, residual=True "
            "(layers of equal width), or fewer layers."
        )
    if not np.isfinite([J, first]).all() or first > EXPLODED * last > 0:
        grows = f"is {first / last:.1e} times that of the output" if np.isfinite(first / (last or 1)) else "overflows"
        findings["exploding gradients"] = (
            f"Exploding gradients: the error of {layers[0].name} {grows}; begin with smaller weights (init='glorot' or "
            "'he'), raise alpha, lower learning_rate_init, or choose batch_norm=True."
        )
    return findings


def _list(layers: list[LayerDiagnosis]) -> str:
    return ", ".join(layer.name for layer in layers)


class DiagnosticsDisplay:
    """Measurements of `diagnose` for each layer: gradients and errors, values, dead or saturated units.

    Parameters
    ----------
    diagnosis : Diagnosis
        From `diagnose`.

    Attributes
    ----------
    ax_ : ndarray of 3 Axes
        Gradient norms and errors; mean and spread of the values; saturated or dead fraction.
    figure_ : Figure
        The figure of the axes.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fastmlp import DiagnosticsDisplay, MLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> display = DiagnosticsDisplay.from_estimator(MLPClassifier((30, 30), random_state=0), X / 16, y)
    >>> len(display.ax_)
    3

    From what `diagnose` returns:

    >>> display = DiagnosticsDisplay(display.diagnosis).plot()
    """

    def __init__(self, diagnosis: Diagnosis) -> None:
        self.diagnosis = diagnosis

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any = None, *, sample_weight: ArrayLike | None = None, ax: Any = None
    ) -> Self:
        """Diagnose an estimator and draw the result.

        Parameters
        ----------
        estimator, X, y, sample_weight
            As in `diagnose`.
        ax : sequence of 3 Axes, default=None
            Axes to draw on. None creates a new figure.

        Returns
        -------
        DiagnosticsDisplay
            The display, drawn.
        """
        return cls(diagnose(estimator, X, y, sample_weight=sample_weight)).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the display.

        Parameters
        ----------
        ax : sequence of 3 Axes, default=None
            Axes to draw on. None creates a new figure.

        Returns
        -------
        DiagnosticsDisplay
            This display.
        """
        self.figure_, self.ax_ = figure_and_axes(ax, panels=3)
        layers = self.diagnosis.layers
        places = np.arange(len(layers))
        flow, values, stuck = self.ax_
        for name, label in (("gradient_norm", "|dJ/dW|, penalty included"), ("error", "error, root mean square")):
            sizes = np.array([getattr(layer, name) for layer in layers])
            flow.plot(places, np.where(sizes > 0, sizes, np.nan), "o-", label=label)
        flow.set(yscale="log", title="gradients (gaps: 0)")
        flow.legend()
        values.errorbar(
            places, [layer.mean for layer in layers], [layer.spread for layer in layers], fmt="o", capsize=4
        )
        values.set(title="values: mean and standard deviation")
        fractions = np.array([layer.stuck for layer in layers])
        bars = stuck.bar(places, np.nan_to_num(fractions))
        stuck.bar_label(bars, ["-" if np.isnan(fraction) else f"{fraction:.0%}" for fraction in fractions])
        stuck.set(ylim=(0, 1.1), title="saturated or dead fraction")
        for axes in self.ax_:
            axes.set_xticks(places, [layer.name for layer in layers], rotation=45, ha="right")
            axes.set_xlim(-0.6, len(layers) - 0.4)
            axes.grid(alpha=0.3, axis="y")
        findings = ", ".join(self.diagnosis.findings) or "nothing unusual"
        source = f"\n{self.diagnosis.source}" if self.diagnosis.source else ""
        self.figure_.suptitle(f"Diagnosis: {findings}{source}")
        return self
