"""The base class of the estimators for Dask collections: a local estimator with a distributed `fit`."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, Self

import numpy as np
from dask.delayed import delayed
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from fastmlp.estimators import MLPClassifier, MLPRegressor
from fastmlp.estimators._base import _BaseMLP
from fastmlp.estimators._stochastic import OPTIMIZER_PARAMETERS
from fastmlp.estimators._training_options import batch_rows, numbers_for_kernels, optimizer_name
from fastmlp.estimators._weights import check_same_shapes, set_weights
from fastmlp.kernels.layout import Hyper
from fastmlp.kernels.tables import OPTIMIZERS
from fastmlp.training._engine import NOT_FINITE
from fastmlp.training._initialization import initial_weights
from fastmlp.training._network import Network
from fastmlp.training._state import TrainingState

from ._collections import client_of, feature_names, map_rows, partitions
from ._partitions import Architecture, Facts, check_partition, encode, facts, pack
from ._training import Diverged, Objective, Progress, minimize_lbfgs, train

__all__ = ["_DaskMLP"]

# Parameters that the distributed `fit` supports. All others must have their default values.
UNDERSTOOD = {
    *("loss", "huber_delta", "quantile", "power", "focal_gamma", "label_smoothing"),
    *("hidden_layer_sizes", "activation", "out_activation", "maxout_pieces", "residual", "init", "init_scale"),
    *("alpha", "penalty_scaling", "batch_size", "shuffle", "max_iter", "max_fun", "tol", "n_iter_no_change"),
    *OPTIMIZER_PARAMETERS,
    *("random_state", "verbose", "warm_start", "n_jobs", "validation_fraction"),
}
ALLOWED = {"solver": ("adam", "sgd", "lbfgs"), "learning_rate": ("constant", "invscaling", "adaptive")}


class _DaskMLP(_BaseMLP):
    """Base class of `DaskMLPClassifier` and `DaskMLPRegressor`, with the differences from the local estimators."""

    loss: str
    quantile: Any

    def _targets(self, known: list[Facts], warm: bool) -> dict[str, Any]:
        """Return the fitted attributes that the targets of all partitions determine."""
        return {}

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, client: Any = None) -> Self:
        """Train on all partitions.

        Parameters
        ----------
        X : Dask array or data frame of shape (n_samples, n_features)
            The input data; every partition holds whole rows.
        y : Dask array, series or data frame of shape (n_samples,) or (n_samples, n_outputs)
            The target values, in the same partitions.
        sample_weight : Dask array or series of shape (n_samples,), default=None
            Sample weights, not negative, in the same partitions.
        client : distributed.Client, default=None
            Client whose workers train. None means the current client, see `distributed.get_client`.

        Returns
        -------
        self : object
            The fitted model. Its weights are arrays of this process.

        Raises
        ------
        TypeError
            If X, y or sample_weight is not a Dask collection, or client is not a Dask client.
        ValueError
            If there is no client; a parameter is not supported; columns are chunked; the partitions of the collections
            differ; a partition is empty or has invalid values (the message contains its number); or training diverged
            (the last finite weights are kept).
        """
        self._validate_params()
        self._check_supported()
        client = client_of(client)
        rows = partitions(X, y=y, sample_weight=sample_weight)
        dtype = _dtype_of(X)
        warm = self.warm_start and hasattr(self, "coefs_")
        stochastic = self.solver != "lbfgs"
        if warm and stochastic:
            dtype = np.result_type(*self.coefs_, np.float32)

        classify = isinstance(self, MLPClassifier)
        check = delayed(check_partition, pure=False)
        loss = (self.loss, float(self.power)) if isinstance(self, MLPRegressor) else None
        parts = client.compute([check(*part, number, dtype.name, loss) for number, part in enumerate(rows)])
        known: list[Facts] = client.gather(client.map(facts, parts, classify=classify, pure=False))
        _check_same("columns in X", [one.columns for one in known])
        _check_same("columns in y", [one.target_columns for one in known])
        if not sum(one.weight for one in known) > 0:
            raise ValueError("sample_weight must have a positive sum.")
        targets = self._targets(known, warm)
        parts = client.map(encode, parts, classes=targets.get("classes_"), pure=False)

        # Check everything on a copy first, so that an invalid fit does not change the model.
        model = type(self)(**self.get_params(deep=False))
        model.__dict__.update(targets)
        n_outputs = known[0].target_columns or (1 if classify is False else _outputs_for(targets["classes_"]))
        units = [known[0].columns, *model._hidden_layer_sizes(), n_outputs]
        network = model._network(units)
        random = check_random_state(self.random_state)
        if warm:
            check_same_shapes(self, network)
            w = pack(self.coefs_, self.intercepts_)
        else:
            w = pack(
                *network.parts(
                    initial_weights(network, self.init, float(self.init_scale), random, dtype, self.activation)
                )[:2]
            )
        objective = Objective(
            client,
            parts,
            [one.rows for one in known],
            _architecture(network),
            float(self.alpha),
            self.penalty_scaling,
            1.0 / n_outputs if network.loss == "squared_error" else 1.0,
        )
        names = feature_names(X)
        self.__dict__.pop("feature_names_in_", None)
        self.__dict__.update(targets, n_outputs_=n_outputs, n_features_in_=units[0], n_layers_=len(units))
        if names is not None:
            self.feature_names_in_ = names
        self.out_activation_ = network.link
        progress = self._progress(w.astype(dtype if stochastic else float), warm)
        try:
            self._train(objective, progress, random, stochastic)
        except Diverged:
            where = "The cost of the initial weights is not finite: scale the data."
            if stochastic:
                epoch, rate = progress.state.n_iter + 1, progress.state["rate"]
                where = (
                    f"Training diverged in epoch {epoch}, mini-batch {progress.batch + 1}, at learning rate {rate:g}:"
                    " scale the data or lower learning_rate_init. The last finite weights are kept."
                )
            raise ValueError(f"{NOT_FINITE} {where}") from None
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=2)
        finally:
            self._keep(network, objective.architecture, progress, stochastic)
        return self

    def _check_supported(self) -> None:
        """Raise for parameters that training on partitions does not support."""
        defaults = type(self)().get_params(deep=False)
        for name, value in self.get_params(deep=False).items():
            is_default = value is defaults[name] or (np.ndim(value) == 0 and value == defaults[name])
            if name not in UNDERSTOOD and not is_default:
                raise ValueError(
                    f"{type(self).__name__} does not support {name}={value!r}; allowed is {defaults[name]!r}."
                )
        if np.ndim(getattr(self, "quantile", 0.5)) > 0:
            raise ValueError(
                f"{type(self).__name__} does not support several quantiles, got quantile={self.quantile!r}; fit one "
                "model for each number."
            )
        for name, allowed in ALLOWED.items():
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(
                    f"{type(self).__name__} does not support {name}={value!r}; allowed are {list(allowed)}."
                )

    def _progress(self, w: np.ndarray, warm: bool) -> Progress:
        optimizer = None if self.solver == "lbfgs" else optimizer_name(self)
        state = TrainingState.new(optimizer, w.size, w.dtype, float(self.learning_rate_init))
        if warm and hasattr(self, "loss_curve_"):
            state.loss_curve, state.t = self.loss_curve_, self.t_
            state["best"] = np.inf if self.best_loss_ is None else float(self.best_loss_)
            state["no_change"] = self._no_improvement_count
        return Progress(w, state)

    def _train(self, objective: Objective, progress: Progress, random: np.random.RandomState, stochastic: bool) -> None:
        def report(line: str) -> None:
            if self.verbose:
                print(line)  # noqa: T201 -- what `verbose` asks for, as in scikit-learn

        if not stochastic:
            self.loss_, complaint = minimize_lbfgs(
                objective, progress, max_iter=self.max_iter, max_fun=self.max_fun, tol=self.tol, report=report
            )
            if complaint:
                warnings.warn(
                    f"lbfgs failed to converge after {progress.state.n_iter} iteration(s): {complaint}",
                    ConvergenceWarning,
                    stacklevel=3,
                )
            return
        schedule = self.learning_rate if self.solver == "sgd" else "constant"
        hyper = Hyper(
            optimizer=OPTIMIZERS[optimizer_name(self)].code,
            batch=batch_rows(self, objective.rows),
            adaptive=schedule == "adaptive",
            patience=self.n_iter_no_change,
        )._replace(**numbers_for_kernels(self, {}))
        stopped = train(
            objective,
            progress,
            hyper,
            random,
            shuffle=bool(self.shuffle),
            max_iter=int(self.max_iter),
            power_t=float(self.power_t) if schedule == "invscaling" else None,
            report=report,
        )
        if not stopped:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't "
                "converged yet.",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _keep(self, network: Network, architecture: Architecture, progress: Progress, stochastic: bool) -> None:
        """Set the public attributes for weights and progress."""
        coefs, intercepts = architecture.unpack(progress.w)
        set_weights(self, network, network.pack((coefs, intercepts, [], []), progress.w.dtype))
        state = progress.state
        self.n_iter_, self.t_ = state.n_iter, state.t
        if stochastic:
            self.loss_curve_, self.best_loss_ = state.loss_curve, state.best_loss
            self._no_improvement_count = state["no_change"]
            if state.loss_curve:
                self.loss_ = state.loss_curve[-1]

    def partial_fit(self, X: Any, y: Any, *args: Any, **kwargs: Any) -> Self:
        """Not supported for Dask collections; use `fit` with `warm_start=True`, or a local estimator."""
        raise AttributeError(
            f"{type(self).__name__} has no partial_fit: fit with warm_start=True continues with all partitions."
        )

    def set_callbacks(self, *callbacks: Any) -> Self:
        """Not supported, because the workers train and would not call the callbacks."""
        raise AttributeError(f"{type(self).__name__} has no callbacks: use verbose=True, or a local estimator.")

    def _lazily(self, X: Any, name: str, columns: Any, dtype: Any) -> Any:
        check_is_fitted(self)
        local: Callable[[Any], np.ndarray] = partial(_call, name, self)
        return map_rows(local, X, columns, dtype)

    def _score_dtype(self, X: Any) -> np.dtype[Any]:
        return np.result_type(_dtype_of(X), *self.coefs_)


def _call(name: str, model: Any, X: Any) -> np.ndarray:
    """Call a method of the local class on one partition."""
    return getattr(super(_DaskMLP, model), name)(X)


def _dtype_of(X: Any) -> np.dtype[Any]:
    """Return float32 if all columns are, else float64."""
    kinds = {np.dtype(X.dtype)} if hasattr(X, "dtype") else set(X.dtypes)
    return np.dtype(np.float32 if kinds == {np.dtype(np.float32)} else np.float64)


def _check_same(what: str, counts: list[int]) -> None:
    if len(set(counts)) > 1:
        raise ValueError(f"All partitions must have the same number of {what}, got {counts}.")


def _outputs_for(classes: np.ndarray) -> int:
    return len(classes) if len(classes) > 2 else 1


def _architecture(network: Network) -> Architecture:
    options = {
        "activation": list(network.activations),
        "output": network.link,
        "loss": network.loss,
        "residual": network.residual,
        "maxout_pieces": network.maxout_pieces,
        "loss_parameter": network.loss_parameters[0] if network.loss_parameters else None,
        "label_smoothing": network.label_smoothing,
    }
    return Architecture(network.shapes(), options)
