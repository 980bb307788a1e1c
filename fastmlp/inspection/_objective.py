"""The cost J of a network, which `fit` minimises, and its gradient, computed by the kernels."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self, Unpack

import numpy as np
from numpy.typing import ArrayLike

from fastmlp._problem import BatchNorm, Options, check_problem
from fastmlp.kernels.layout import Hyper
from fastmlp.reference.vectorized import ACTIVATIONS, OUTPUTS
from fastmlp.training._aligned import padded
from fastmlp.training._blockwise import is_finite
from fastmlp.training._data import Data, prepare_data
from fastmlp.training._engine import Engine
from fastmlp.training._network import Array, Network, tie_gradient, tie_weights
from fastmlp.training._objective import ObjectiveInputs
from fastmlp.training._predict import FLOPS_PER_THREAD
from fastmlp.training._state import TrainingState
from fastmlp.training._threads import Team, available_threads

from ._composite import Located, not_a_network

__all__ = ["Objective", "cost", "cost_and_gradient", "objective_of_arrays", "objective_of_estimator"]

KEPT_BYTES = 1 << 20  # largest memory of an objective that a thread keeps for its next call


@dataclass
class Objective:
    """J as a function of the weight vector. It is a context manager, because it may own threads.

    Parameters
    ----------
    network : Network
    data : Data
    w : ndarray of shape (sizes.w,)
        The point at which J is evaluated. Change it in place, then evaluate.
    hyper : Hyper
        The options of the penalty.
    threads : int
        Upper bound for the team.
    tied : bool
        Whether the second half of the matrices are the transposes of the first, see `tie_weights`.
    """

    network: Network
    data: Data
    w: Array
    hyper: Hyper
    threads: int = 1
    tied: bool = False

    def __post_init__(self) -> None:
        self.w = padded(self.w)
        # The optimizer STORE leaves the gradient of one full batch in `g`. Running statistics are not wanted.
        self._engine = Engine(
            self.network,
            self.data,
            self.w,
            np.ones(self.network.table()[1].stats, self.w.dtype),
            self.hyper._replace(batch=self.data.rows),
            TrainingState.new(None, self.w.size, self.w.dtype),
            threads=self.threads,
        )
        self._team = Team(self._engine.threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._team.close()

    def takes(self, inputs: ObjectiveInputs) -> bool:
        """Whether `inputs` differ from those of this objective in the numbers of w, X and Y only."""
        return (
            not inputs.data.weighted
            and (self.network, self.hyper) == (inputs.network, inputs.hyper)
            and (self.data.rows, self.w.dtype, self.threads) == (inputs.data.rows, inputs.w.dtype, inputs.threads)
        )

    def replace(self, inputs: ObjectiveInputs) -> None:
        """Use the numbers of other `inputs`, whose data the caller keeps."""
        self.w[:] = inputs.w
        self._engine.use_data(inputs.data.X, inputs.data.Y)

    @cached_property
    def reusable(self) -> bool:
        """Whether other data may replace the present ones, and the memory is small."""
        engine, weighted = self._engine, self.data.weighted
        return (
            engine.threads == 1
            and not (weighted or self.network.batch_norm)
            and sum(array.nbytes for array in engine.workspace.memory) <= KEPT_BYTES
        )

    def release_data(self) -> None:
        """Keep no reference to the data of the caller."""
        self._engine.release_data()
        self.data = self._engine.data

    def arrays(self, vector: Array) -> dict[str, Array]:
        """Return the parts of `vector` that belong to free parameters by name, each as a one-dimensional view."""
        parts = self.network.parts(vector)
        free = {f"{name}[{l}]": a.reshape(-1) for name, part in parts._asdict().items() for l, a in enumerate(part)}
        if self.tied:
            for l in range(len(parts.coefs) // 2, len(parts.coefs)):
                del free[f"coefs[{l}]"]
        return free

    def cost(self) -> float:
        """Return J at `w`; NaN where it is not finite."""
        if self.tied:
            tie_weights(self.network, self.w)
        J = self._engine.evaluate(self._team)
        return J if np.isfinite(J) else float("nan")

    def cost_and_gradient(self) -> tuple[float, Array]:
        """Return J at `w` and dJ/dw, in the order of `w`; NaN where J is not finite."""
        J = self.cost()
        g = self._engine.g.copy()
        if self.tied:
            tie_gradient(self.network, g)
        return J, g if np.isfinite(J) else np.full_like(g, np.nan)


def _check_finite(**arrays: Sequence[Array]) -> None:
    for name, parts in arrays.items():
        if not all(map(is_finite, parts)):
            raise ValueError(f"{name} must be finite, got NaN or infinity.")


def objective_of_arrays(*args: Any, **kwargs: Any) -> Objective:
    """Return the objective of the arguments of `_inputs_of_arrays`."""
    return Objective(**_inputs_of_arrays(*args, **kwargs)._asdict())


class _Kept(threading.local):
    """The last small objective of this thread, without its data, or None."""

    objective: Objective | None = None


_kept = _Kept()


@contextmanager
def _evaluation(*args: Any) -> Iterator[Objective]:
    """Yield the objective of one call: that of the last call in this thread, if only numbers differ.

    For a small network, making an objective takes several times as long as evaluating it.
    """
    inputs = _inputs_of_arrays(*args)
    # Nobody else may use the objective meanwhile: not even a signal handler that calls `cost` in this thread.
    objective, _kept.objective = _kept.objective, None
    if objective is not None and objective.takes(inputs):
        objective.replace(inputs)
    else:
        objective = Objective(**inputs._asdict())
    with objective:
        yield objective
    if objective.reusable:
        objective.release_data()
        _kept.objective = objective


def _inputs_of_arrays(
    coefs: Sequence[ArrayLike],
    intercepts: Sequence[ArrayLike],
    X: ArrayLike,
    Y: ArrayLike,
    options: Options,
    *,
    keep_float32: bool = True,
) -> ObjectiveInputs:
    """Check the arguments of `cost` and return the inputs of the objective, in float64 unless `keep_float32`."""
    if options.get("dropout_masks") is not None:
        raise ValueError("dropout_masks is for fastmlp.reference only: this cost is the one without dropout.")
    problem = check_problem(ACTIVATIONS, OUTPUTS, coefs, intercepts, X, Y, keep_float32=keep_float32, **options)
    pieces, residual = options.get("maxout_pieces", 2), options.get("residual", False)
    if pieces < 2:
        raise ValueError(f"maxout_pieces must be an integer >= 2, got {pieces!r}.")
    batch_norm = problem.batch_norm or []
    weights = [] if problem.sample_weight is None else [problem.sample_weight]
    _check_finite(
        coefs=problem.coefs,
        intercepts=problem.intercepts,
        X=[problem.X],
        Y=[problem.Y],
        sample_weight=weights,
        batch_norm=[array for pair in batch_norm for array in pair],
    )
    counts = zip(problem.intercepts, (*problem.pieces, 1), strict=True)
    units = (problem.X.shape[1], *(b.size // p for b, p in counts))
    if residual and not any(problem.skips):
        raise ValueError(
            f"residual=True needs a hidden layer as wide as its input, got layers of the widths {units[:-1]}."
        )
    link = options.get("output", "softmax")
    network = Network(
        units,
        problem.activations,
        link,
        problem.loss,
        maxout_pieces=int(pieces),
        residual=residual,
        batch_norm=bool(batch_norm),
        loss_parameters=problem.loss_parameters,
    )
    gammas, betas = [gamma for gamma, _ in batch_norm], [beta for _, beta in batch_norm]
    dtype = problem.X.dtype
    # A single evaluation, like a prediction, has to start its threads.
    worth = network.flops() * len(problem.X) // FLOPS_PER_THREAD
    return ObjectiveInputs(
        network,
        prepare_data(problem.X, problem.Y, problem.sample_weight, dtype),
        network.pack((problem.coefs, problem.intercepts, gammas, betas), dtype),
        Hyper(alpha=float(problem.alpha), penalty_sum=problem.penalty == "sum"),
        available_threads(None) if worth > 1 else 1,
        tied=False,
    )


def objective_of_estimator(found: Located, y: Any, sample_weight: Any) -> Objective:
    """Return what `fit` of an estimator minimises, in float64, at the fitted weights or at the initial ones.

    The estimator describes its objective through the method `__fastmlp_objective__`, which returns an
    `ObjectiveInputs`.
    """
    if not hasattr(found.estimator, "__fastmlp_objective__"):
        raise not_a_network(found)
    return Objective(**found.estimator.__fastmlp_objective__(found.X, y, sample_weight)._asdict())


def cost(
    coefs: Sequence[ArrayLike],
    intercepts: Sequence[ArrayLike],
    X: ArrayLike,
    Y: ArrayLike,
    *,
    activation: str | Sequence[str] = "relu",
    output: str = "softmax",
    loss: str = "auto",
    loss_parameter: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    alpha: float = 0.0,
    penalty: str = "mean",
    sample_weight: ArrayLike | None = None,
    residual: bool = False,
    batch_norm: BatchNorm | None = None,
    maxout_pieces: int = 2,
) -> float:
    """Compute the cost J of a network.

    It takes as long as `cost_and_gradient`, which computes J as well.

    Parameters
    ----------
    coefs, intercepts : sequences of L arrays, (n_{l-1}, n_l) and (n_l,)
        Weights and biases, as `coefs_` and `intercepts_` of the estimators.
    X : array-like of shape (m, n_0)
        Samples. If they are float32, everything is computed in float32, otherwise in float64.
    Y : array-like of shape (m, n_L)
        Targets: one-hot rows for softmax, 0 and 1 for the log loss and the focal loss of logistic units, non-negative
        numbers for poisson and tweedie, positive ones for gamma and for tweedie with a power >= 2, else numbers.
    activation : str or sequence of str, default="relu"
        Activation of the hidden layers, one name for all or one for each; the names are those of `MLPClassifier`.
    output : {"softmax", "logistic", "identity", "exp", "ordered"}, default="softmax"
        The link of the last layer. "ordered" is h_0 = z_0, h_k = h_{k-1} + log(1 + e^{z_k}).
    loss : {"auto", "log_loss", "squared_error", "poisson", "absolute_error", "huber", "quantile", "cauchy", "gamma", \
"tweedie", "focal"}, default="auto"
        "auto" is the canonical loss of `output`: log_loss for softmax and logistic, squared_error for
        identity, poisson for exp, quantile for ordered. squared_error and focal also go with logistic outputs, focal
        with softmax, absolute_error, huber, quantile and cauchy with identity, gamma and tweedie with exp. Half the
        squared error and half the deviances are summed over the outputs, like all other losses; no loss is capped.
    loss_parameter : float or array-like of shape (n_L,), default=None
        Parameter of the loss: delta of "huber" (default 1), the quantile of "quantile" (0.5), the power of "tweedie"
        (1.5) or gamma of "focal" (2), for all output units or for each.
    label_smoothing : float, default=0.0
        Targets y become (1 - s) y + s / n_L with softmax and (1 - s) y + s / 2 with logistic units, where s is this
        number in [0, 1).
    alpha : float, default=0.0
        Strength lambda of the L2 penalty; biases are never penalised.
    penalty : {"mean", "sum"}, default="mean"
        lambda / 2m or lambda / 2, times the sum of all squared weights.
    sample_weight : array-like of shape (m,), default=None
        Weights of the samples; m becomes their sum.
    residual : bool, default=False
        Whether each hidden layer that is as wide as its input adds the input to its output.
    batch_norm : sequence of (gamma, beta), default=None
        Scale and shift of the batch normalisation of each hidden layer, with one number for each column of Z.
    maxout_pieces : int, default=2
        Number of linear pieces of a maxout unit, see `MLPClassifier`.

    Returns
    -------
    float
        J, averaged over the (weighted) samples, with the penalty; NaN if it overflows.

    Raises
    ------
    ValueError
        If shapes do not match, a number is not finite, targets are outside the domain of the loss, or an option is
        invalid or does not go with the others.

    See Also
    --------
    fastmlp.reference.vectorized.cost : The same in whole-batch NumPy.
    fastmlp.reference.loops.cost : The same as plain loops.

    Examples
    --------
    >>> from fastmlp import cost
    >>> round(cost([[[0.0, 0.0]]], [[0.0, 0.0]], [[1.0]], [[1.0, 0.0]]), 4)
    0.6931
    """
    options = Options(
        activation=activation,
        output=output,
        loss=loss,
        loss_parameter=loss_parameter,
        label_smoothing=label_smoothing,
        alpha=alpha,
        penalty=penalty,
        sample_weight=sample_weight,
        residual=residual,
        batch_norm=batch_norm,
        maxout_pieces=maxout_pieces,
    )
    with _evaluation(coefs, intercepts, X, Y, options) as objective:
        return objective.cost_and_gradient()[0]


def cost_and_gradient(
    coefs: Sequence[ArrayLike],
    intercepts: Sequence[ArrayLike],
    X: ArrayLike,
    Y: ArrayLike,
    **options: Unpack[Options],
) -> tuple[Any, ...]:
    """Compute the cost J of a network and its gradient, by back-propagation.

    Parameters
    ----------
    coefs, intercepts, X, Y, **options
        As in `cost`.

    Returns
    -------
    J : float
        The cost.
    coef_grads, intercept_grads : lists of arrays
        dJ/dW_l and dJ/db_l, with the shapes of `coefs` and `intercepts`; NaN if J overflows.
    batch_norm_grads : list of (gamma, beta)
        Only if `batch_norm` is given.

    Raises
    ------
    ValueError
        As in `cost`.

    See Also
    --------
    check_gradient : Compares this gradient with central differences.

    Examples
    --------
    >>> from fastmlp import cost_and_gradient
    >>> J, coef_grads, intercept_grads = cost_and_gradient(
    ...     [[[2.0]]], [[0.0]], [[1.0], [3.0]], [[1.0], [1.0]], output="identity"
    ... )
    >>> J, coef_grads[0].tolist(), intercept_grads[0].tolist()
    (6.5, [[8.0]], [3.0])
    """
    with _evaluation(coefs, intercepts, X, Y, options) as objective:
        J, g = objective.cost_and_gradient()
    parts = objective.network.parts(g)
    if options.get("batch_norm") is None:
        return J, parts.coefs, parts.intercepts
    return J, parts.coefs, parts.intercepts, list(zip(parts.gammas, parts.betas, strict=True))
