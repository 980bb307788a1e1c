"""The estimators: scikit-learn's words outside, and no arithmetic."""

import operator
import os
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import scipy.sparse
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, _fit_context
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import Tags, check_random_state, column_or_1d
from sklearn.utils._param_validation import Interval, InvalidParameterError, Options, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from ._diagnostics import warn_of_scales
from ._engine import CHUNK_ROWS, Engine, Hyper, OptimizerState, log_loss_cap, prepare_data
from ._init import INITS, initial_weights
from ._network import Array, Network
from ._predict import predict
from ._room import roomy
from ._team import available_threads
from ._training import Progress, minimize_lbfgs, train_stochastic
from ._validation import binarizer_for, count_labels, is_plain, is_plain_target
from .kernels.activations import ACTIVATIONS
from .kernels.outputs import OUTPUTS

__all__ = ["MLPClassifier", "MLPRegressor"]

STOCHASTIC_SOLVERS = ("sgd", "adam")
OPTIMIZER_PARAMETERS = (
    "solver",
    "learning_rate",
    "learning_rate_init",
    "power_t",
    "momentum",
    "nesterovs_momentum",
    "beta_1",
    "beta_2",
    "epsilon",
)
ROWS_LIMIT = 2**31 - 1  # row numbers are int32 in the kernels

# Where Linux says how much memory a container may use, version 2 of control groups and version 1.
MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@cache
def _memory() -> float:
    """Bytes of memory of this machine, or of its container; infinity where the system does not say."""
    known = [np.inf]
    with suppress(AttributeError, ValueError, OSError):
        known.append(float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")))
    for path in MEMORY_LIMITS:
        with suppress(ValueError, OSError):  # version 2 says "max" where there is no limit
            known.append(float(path.read_text()))
    return min(known)


class _Packed(NamedTuple):
    """The vector that the public arrays are views of, as long as nobody has replaced one."""

    network: Network
    w: Array
    views: list[Array]  # coefs, intercepts, gammas, betas


def _same(arrays: list[Any], views: list[Array]) -> bool:
    """Whether `arrays` are the first of `views`, the very objects."""
    return len(arrays) <= len(views) and all(map(operator.is_, arrays, views))


class _BaseMLP(BaseEstimator):
    """What classifier and regressor share."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS)), list, tuple],
        "solver": [StrOptions({"lbfgs", *STOCHASTIC_SOLVERS})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": [None, Interval(Integral, 1, None, closed="left"), Interval(Integral, None, -1, closed="right")],
        "maxout_pieces": [Interval(Integral, 2, None, closed="left")],
        "penalty_scaling": [StrOptions({"mean", "sum"})],
        "init": [StrOptions(set(INITS)), tuple, list],
        "init_scale": [Interval(Real, 0, None, closed="neither")],
        "batch_norm": ["boolean"],
        "residual": ["boolean"],
    }

    # ---- what a subclass says

    @abstractmethod
    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        """Return X and the targets: labels 0..K-1 of shape (m,) and type int32, or values of shape (m, K)."""

    @abstractmethod
    def _output(self) -> tuple[str, str]:
        """Return the link and the loss of the output layer."""

    @abstractmethod
    def _score(self, X: Any, y: Any, sample_weight: Any) -> float:
        """Validation score of the present weights."""

    # ---- the network

    def _hidden_layer_sizes(self) -> list[int]:
        """Return `hidden_layer_sizes` as a list of positive integers."""
        sizes = self.hidden_layer_sizes
        sizes = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
        if not all(isinstance(n, Integral) and not isinstance(n, bool) for n in sizes):
            raise TypeError(f"hidden_layer_sizes must be integers > 0, got {self.hidden_layer_sizes!r}.")
        if any(n <= 0 for n in sizes):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
        return [int(n) for n in sizes]

    def _activations(self, hidden: list[int]) -> tuple[str, ...]:
        """Return one activation for each hidden layer."""
        if isinstance(self.activation, str):
            return (self.activation,) * len(hidden)
        names = list(self.activation)
        for name in names:
            if not isinstance(name, str) or name not in ACTIVATIONS:
                raise InvalidParameterError(
                    f"The 'activation' parameter must name activations out of {sorted(ACTIVATIONS)}, got {name!r}."
                )
        if len(names) != len(hidden):
            raise InvalidParameterError(
                f"The 'activation' parameter must be one name, or one for each of the {len(hidden)} hidden layers; "
                f"got {len(names)}: {names}."
            )
        return tuple(names)

    def _network(self, units: list[int]) -> Network:
        """Return the network that the parameters describe, between layers of `units`."""
        hidden = units[1:-1]
        if self.residual and not any(a == b for a, b in zip(units, hidden, strict=False)):
            raise ValueError(
                "The 'residual' parameter needs a hidden layer as wide as its input, got layers of the widths "
                f"{units[:-1]}."
            )
        link, loss = self._output()
        return Network(
            tuple(units),
            self._activations(hidden),
            link,
            loss,
            maxout_pieces=int(self.maxout_pieces),
            residual=bool(self.residual),
            batch_norm=bool(self.batch_norm),
        )

    def _check_memory(self, units: list[int], m: int, itemsize: int) -> None:
        """Refuse, before anything is allocated, a network that no allocation can hold."""
        pieces = [self.maxout_pieces if name == "maxout" else 1 for name in self._activations(units[1:-1])]
        widths = [int(p) * n for p, n in zip([*pieces, 1], units[1:], strict=True)]
        weights = sum((a + 1) * q for a, q in zip(units, widths, strict=False))
        copies = 20 if self.solver == "lbfgs" else 5  # weights, gradient or transposed copy, optimizer's state
        batch = m if self.solver == "lbfgs" else min(m, 200 if self.batch_size == "auto" else int(self.batch_size))
        rows = batch if self.batch_norm else min(batch, CHUNK_ROWS)
        needed = itemsize * (float(weights) * copies + float(rows) * (sum(units) + sum(widths)))
        memory = _memory()
        if needed > memory:
            raise MemoryError(
                f"hidden_layer_sizes={self.hidden_layer_sizes!r} with {units[0]} features and {units[-1]} outputs makes"
                f" {weights} weights, which need about {needed / 2**30:.0f} GiB to train; this machine or its container"
                f" has {memory / 2**30:.0f} GiB. Allowed are networks that fit: choose smaller hidden layers."
            )

    def _set_weights(self, network: Network, w: Array) -> None:
        """Let the public arrays be views of `w`."""
        w = roomy(w)
        parts = network.parts(w)
        self.coefs_, self.intercepts_ = parts.coefs, parts.intercepts
        if network.batch_norm:
            self.gammas_, self.betas_ = parts.gammas, parts.betas
        self._packed = _Packed(network, w, [*parts.coefs, *parts.intercepts, *parts.gammas, *parts.betas])
        self._network_of_fit = network

    def _fitted_network(self) -> Network:
        """Return the network that the fitted arrays describe."""
        packed: _Packed | None = self.__dict__.get("_packed")
        if packed is not None and _same([*self.coefs_, *self.intercepts_], packed.views):
            return packed.network
        kept: Network | None = self.__dict__.get("_network_of_fit")
        if kept is not None and [np.shape(coef) for coef in self.coefs_] == list(kept.shapes()):
            return kept
        # The weights were set by hand.
        n_features = np.shape(self.coefs_[0])[0]
        units = [n_features, *(np.shape(b)[0] for b in self.intercepts_)]
        activations = self._activations(units[1:-1])
        pieces = int(self.maxout_pieces)
        for l, name in enumerate(activations, start=1):
            units[l] //= pieces if name == "maxout" else 1
        # Predictions need the link only: any loss that goes with it will do.
        loss = next(loss for link, loss in OUTPUTS if link == self.out_activation_)
        return Network(
            tuple(units),
            activations,
            self.out_activation_,
            loss,
            maxout_pieces=pieces,
            residual=bool(self.residual),
            batch_norm=bool(self.batch_norm),
        )

    def _weights(self, network: Network) -> Array:
        """Return the weight vector of the public arrays: the one they are views of, or a new one."""
        batch_norm = (self.gammas_, self.betas_) if network.batch_norm else ([], [])
        arrays = [*self.coefs_, *self.intercepts_, *batch_norm[0], *batch_norm[1]]
        packed: _Packed | None = self.__dict__.get("_packed")
        if packed is not None and _same(arrays, packed.views):
            return packed.w
        dtype = np.result_type(*arrays, np.float32)
        return roomy(network.pack((self.coefs_, self.intercepts_, *batch_norm), dtype))

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("_packed", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        # One vector again, so that a prediction need not gather the weights; memory-mapped arrays stay mapped.
        if "coefs_" in state and not any(isinstance(a, np.memmap) for a in self.coefs_):
            network = self._fitted_network()
            self._set_weights(network, self._weights(network))

    # ---- fitting

    def _initialize(self, network: Network, dtype: Any) -> None:
        """Begin afresh: weights, and everything that counts progress."""
        random = self._random_state
        scale = float(self.init_scale)
        self._set_weights(network, initial_weights(network, self.init, scale, random, dtype, self.activation))
        self._reset_stats(network, dtype)
        self.n_iter_ = self.t_ = 0
        self.n_layers_ = len(network.units)
        self.out_activation_ = network.link
        self.__dict__.pop("_optimizer", None)
        if self.solver in STOCHASTIC_SOLVERS:
            self._begin_progress()

    def _reset_stats(self, network: Network, dtype: Any) -> None:
        self._stats = np.zeros(network.table()[1].stats, dtype)
        for variance in network.running(self._stats)[1]:
            variance[...] = 1

    def _begin_progress(self) -> None:
        self.loss_curve_: list[float] = []
        self._no_improvement_count = 0
        self.validation_scores_: list[float] | None = [] if self.early_stopping else None
        self.best_validation_score_ = -np.inf if self.early_stopping else None
        self.best_loss_ = None if self.early_stopping else np.inf

    def _check_continued(self, network: Network) -> None:
        """Refuse to go on with weights of another shape."""
        shapes = [np.shape(c) for c in self.coefs_]
        if shapes != list(network.shapes()):
            raise ValueError(
                "Training can only go on with the same network: coefs_ have the shapes "
                f"{shapes}, hidden_layer_sizes={self.hidden_layer_sizes!r} and the data ask for "
                f"{list(network.shapes())}."
            )

    @contextmanager
    def _unchanged_on_error(self) -> Iterator[None]:
        """Let a refused fit leave the model as it was."""
        before = self.__dict__.copy()
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _fit(self, X: Any, y: Any, sample_weight: Any = None, incremental: bool = False) -> Self:
        hidden = self._hidden_layer_sizes()
        first_pass = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        stochastic = self.solver in STOCHASTIC_SOLVERS
        with self._unchanged_on_error():
            X, Y = self._validate_input(X, y, incremental, reset=first_pass)
            m, n_features = X.shape
            if m > ROWS_LIMIT:
                raise ValueError(f"X has {m} rows; at most {ROWS_LIMIT} are allowed.")
            if sample_weight is not None:
                sample_weight = _check_sample_weight(sample_weight, X)
            if self.early_stopping and incremental and stochastic:
                raise ValueError("partial_fit does not support early_stopping=True")
            self.n_outputs_ = self._count_outputs(Y)
            units = [n_features, *hidden, self.n_outputs_]
            self._check_memory(units, m, X.dtype.itemsize)
            network = self._network(units)
            # A batch normalisation takes any scale off the first hidden layer.
            if self.solver == "sgd" and first_pass and not (network.batch_norm and hidden):
                warn_of_scales(X, float(self.learning_rate_init), network.link in ("softmax", "logistic"))
            self._random_state = check_random_state(self.random_state)
            dtype = X.dtype if stochastic else np.dtype(np.float64)
            if first_pass:
                self._initialize(network, X.dtype)
            else:
                self._check_continued(network)
                if not hasattr(self, "_stats"):  # the weights were set by hand
                    self._reset_stats(network, X.dtype)
                if stochastic:
                    dtype = np.result_type(*self.coefs_, np.float32)
            if stochastic and not hasattr(self, "loss_curve_"):
                self._begin_progress()
            self._set_weights(network, self._weights(network).astype(dtype, copy=not first_pass))
            score = None
            if self.early_stopping and stochastic:
                X, Y, sample_weight, score = self._split_validation(X, Y, sample_weight)
        if stochastic:
            self._fit_stochastic(network, X, Y, sample_weight, score, incremental)
        else:
            self._fit_lbfgs(network, X, Y, sample_weight)
        return self

    def _validate_data(self, X: Any, y: Any, reset: bool, y_numeric: bool = False) -> tuple[Any, Any]:
        """Return X and y as `sklearn.utils.validation.validate_data` does."""
        return validate_data(
            self,
            X,
            y,
            reset=reset,
            skip_check_array=is_plain(X) and is_plain_target(y, len(X)),
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=y_numeric,
            dtype=(np.float64, np.float32),
        )

    def _count_outputs(self, Y: Array) -> int:
        return int(Y.shape[1]) if Y.ndim == 2 else len(self.classes_)

    def _hyper(self, network: Network, dtype: Any) -> Hyper:
        """Return what the kernels are told, but for the optimizer."""
        squared = network.loss == "squared_error"
        return Hyper(
            alpha=float(self.alpha),
            penalty=self.penalty_scaling,
            cap=log_loss_cap(dtype) if network.loss == "log_loss" else np.inf,
            loss_scale=1.0 / network.units[-1] if squared else 1.0,
        )

    def _engine(self, *args: Any) -> Engine:
        """Return what a fit runs on, made from the arguments of `Engine`."""
        return Engine(*args)

    def _fit_lbfgs(self, network: Network, X: Any, Y: Array, sample_weight: Any) -> None:
        w = self._packed.w
        hyper = self._hyper(network, w.dtype)
        # The objective has to match its gradient, so squared errors are summed over the outputs; reported is
        # the mean over them, as everywhere.
        per_output, hyper.loss_scale = hyper.loss_scale, 1.0
        engine = self._engine(
            network,
            prepare_data(X, Y, sample_weight, w.dtype),
            w,
            hyper,
            X.shape[0],
            False,
            OptimizerState(0.0, np.empty(0, w.dtype), np.empty(0, w.dtype)),
            available_threads(self.n_jobs),
            self._stats.astype(w.dtype),
        )
        try:
            loss, self.n_iter_ = minimize_lbfgs(
                engine, max_iter=self.max_iter, max_fun=self.max_fun, tol=self.tol, verbose=self.verbose
            )
            engine.settle_statistics()
        finally:
            self._stats = engine.stats
        penalty = engine.penalty()
        self.loss_ = (loss - penalty) * per_output + penalty

    def _fit_stochastic(
        self,
        network: Network,
        X: Any,
        Y: Array,
        sample_weight: Any,
        score: Callable[[], float] | None,
        incremental: bool,
    ) -> None:
        w = self._packed.w
        state = getattr(self, "_optimizer", None)
        if not incremental or state is None or state.m.size != w.size or state.m.dtype != w.dtype:
            # As in scikit-learn, `partial_fit` goes on with the optimizer it began with.
            self._settings = {name: getattr(self, name) for name in OPTIMIZER_PARAMETERS}
            optimizer = "nesterov" if self.solver == "sgd" and self.nesterovs_momentum else self.solver
            state = OptimizerState.new(optimizer, w.size, w.dtype, self.learning_rate_init)
            self._settings["optimizer"], self._optimizer = optimizer, state
        # A model that was loaded with memory mapping has arrays that nobody can write.
        state.m, state.v = np.require(state.m, requirements="W"), np.require(state.v, requirements="W")
        self._stats = np.require(self._stats, requirements="W")
        settings = self._settings
        schedule = settings["learning_rate"] if settings["solver"] == "sgd" else "constant"
        m = X.shape[0]
        batch = min(200, m) if self.batch_size == "auto" else min(int(self.batch_size), m)
        if self.batch_size != "auto" and self.batch_size > m:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
                stacklevel=4,
            )
        hyper = self._hyper(network, w.dtype)
        hyper.optimizer = settings["optimizer"]
        hyper.momentum, hyper.epsilon = float(settings["momentum"]), float(settings["epsilon"])
        hyper.beta_1, hyper.beta_2 = float(settings["beta_1"]), float(settings["beta_2"])
        hyper.adaptive = schedule == "adaptive"
        hyper.watch_loss = score is None
        hyper.tol, hyper.patience = float(self.tol), self.n_iter_no_change
        engine = self._engine(
            network,
            prepare_data(X, Y, sample_weight, w.dtype),
            w,
            hyper,
            batch,
            bool(self.shuffle),
            state,
            available_threads(self.n_jobs),
            self._stats,
            self._random_state,
            not isinstance(self.random_state, Integral),
        )
        progress = Progress(
            self.loss_curve_,
            getattr(self, "validation_scores_", None),
            self.best_loss_,
            getattr(self, "best_validation_score_", None),
            self._no_improvement_count,
            self.t_,
        )
        try:
            best = train_stochastic(
                engine,
                progress,
                max_iter=int(self.max_iter),
                incremental=incremental,
                power_t=float(settings["power_t"]) if schedule == "invscaling" else None,
                rate_init=float(settings["learning_rate_init"]),
                verbose=self.verbose,
                score=score,
            )
        finally:
            self.n_iter_, self.t_ = progress.n_iter, progress.t
            self._no_improvement_count = progress.no_improvement_count
            self.best_loss_ = progress.best_loss if score is None else None
            self.best_validation_score_ = progress.best_validation_score
            if self.loss_curve_:
                self.loss_ = self.loss_curve_[-1]
        if best is not None:
            self._set_weights(network, best[0])
            self._stats = best[1]

    def _split_validation(self, X: Any, Y: Array, sample_weight: Any) -> tuple[Any, Array, Any, Any]:
        """Set the validation part aside, drawn as scikit-learn draws it."""
        binary = isinstance(self, ClassifierMixin) and self.n_outputs_ == 1
        if self.validation_scores_ is None:
            self.validation_scores_, self.best_validation_score_ = [], -np.inf
        arrays = [X, Y] if sample_weight is None else [X, Y, sample_weight]
        parts = train_test_split(
            *arrays,
            random_state=self._random_state,
            test_size=self.validation_fraction,
            stratify=Y.astype(bool) if binary else None,
        )
        X_val, Y_val = parts[1], parts[3]
        weight_train, weight_val = (None, None) if sample_weight is None else (parts[4], parts[5])
        if X_val.shape[0] < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        y_val = self._labels_of(Y_val)
        return parts[0], parts[2], weight_train, lambda: self._score(X_val, y_val, weight_val)

    def _labels_of(self, Y: Array) -> Any:
        """Return targets in the user's words."""
        return Y

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the model to data matrix X and target(s) y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data. Not copied where it is C-contiguous (or CSR) and float32 or float64.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The target values: class labels, label indicators, or real numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.

        Returns
        -------
        self : object
            The fitted model.

        Raises
        ------
        ValueError
            A parameter or the data are not allowed, or training diverged: then the message says in which epoch,
            mini-batch and at which rate, and the last finite weights are kept.
        MemoryError
            The network cannot fit this machine's memory.
        """
        return self._fit(X, y, sample_weight=sample_weight)

    def _check_solver(self) -> bool:
        if self.solver not in STOCHASTIC_SOLVERS:
            raise AttributeError(
                f"partial_fit is only available for stochastic optimizers. {self.solver} is not stochastic."
            )
        return True

    @classmethod
    @cache
    def _get_param_names(cls) -> list[str]:
        """Return the names of the parameters: scikit-learn reads the signature anew in every clone and fit."""
        return list(super()._get_param_names())

    # ---- predicting

    def _check_fitted(self) -> None:
        """Raise NotFittedError before the first fit: scikit-learn's check takes longer than a forward pass."""
        if "_packed" not in self.__dict__:
            check_is_fitted(self)

    def _forward(self, X: Any, check_input: bool = True) -> Array:
        """Return the outputs of the network, of shape (n_samples, n_outputs_)."""
        # For one row scikit-learn's validation takes five times as long as the forward pass.
        if check_input and not (
            is_plain(X) and X.shape[1] == self.n_features_in_ and "feature_names_in_" not in self.__dict__
        ):
            X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        network = self._fitted_network()
        if X.shape[1] != network.units[0]:
            raise ValueError(f"coefs_[0] has {network.units[0]} rows, but X has {X.shape[1]} features.")
        w = self._weights(network)
        stats = self._stats if network.batch_norm else w[:0]
        if w.dtype != X.dtype:
            dtype = np.float32 if np.result_type(w.dtype, X.dtype) == np.float32 else np.float64
            w, stats = w.astype(dtype, copy=False), stats.astype(dtype, copy=False)
        return predict(network, w, stats, X, lambda: available_threads(self.n_jobs))

    def _score_with(self, X: Any, y: Any, sample_weight: Any, function: Any) -> float:
        y_pred = self._predict(X, check_input=False)
        if np.issubdtype(y_pred.dtype, np.floating) and not np.isfinite(y_pred).all():
            return np.nan
        return float(function(y, y_pred, sample_weight=sample_weight))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class MLPClassifier(ClassifierMixin, _BaseMLP):
    """Multilayer perceptron classifier: scikit-learn's, with JIT kernels.

    Same parameters, same attributes, same weights for the same seed as `sklearn.neural_network.MLPClassifier`.
    Parameters after `max_fun` are fastmlp's own; their defaults change nothing.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of shape (n_hidden_layers,), default=(100,)
        Units of each hidden layer; empty: none, which is logistic or linear regression.
    activation : str or list of str, default='relu'
        Of the hidden layers, one name for all or one for each: 'identity', 'logistic', 'tanh', 'relu',
        'leaky_relu' (slope 0.01 below zero), 'elu', 'selu', 'gelu' (exact), 'silu', 'softplus', 'maxout'.
    solver : {'adam', 'sgd', 'lbfgs'}, default='adam'
        'adam' (Kingma & Ba 2015) and 'sgd' go by mini-batches; 'lbfgs' is SciPy's L-BFGS-B on the whole data, in
        float64, often better on a few hundred rows.
    alpha : float, default=0.0001
        L2 strength lambda, see `penalty_scaling`. Biases are never penalised.
    batch_size : int or 'auto', default='auto'
        Rows of a mini-batch; 'auto': min(200, n_samples). Not used by 'lbfgs'.
    learning_rate : {'constant', 'invscaling', 'adaptive'}, default='constant'
        Schedule of 'sgd'. 'invscaling': learning_rate_init / (t + 1)^power_t after t samples. 'adaptive': divided by
        5 whenever the stopping rule would stop, until it is below 1e-6.
    learning_rate_init : float, default=0.001
        Step size of 'sgd' and 'adam'.
    power_t : float, default=0.5
        Exponent of 'invscaling'.
    max_iter : int, default=200
        Epochs; for 'lbfgs' iterations.
    shuffle : bool, default=True
        Whether each epoch takes the rows in a new order.
    random_state : int, RandomState instance or None, default=None
        Source of the initial weights, the validation split and the row orders, drawn as scikit-learn draws them.
    tol : float, default=1e-4
        Improvement of the loss (or the validation score) that counts as one. For 'lbfgs' the gradient's size.
    verbose : bool or int, default=False
        Whether to print the loss of each epoch.
    warm_start : bool, default=False
        Whether `fit` goes on from the present weights.
    momentum : float, default=0.9
        Of 'sgd', between 0 and 1.
    nesterovs_momentum : bool, default=True
        Nesterov's form of momentum.
    early_stopping : bool, default=False
        Whether to stop by the score on a validation set, and to return to the weights of the best.
    validation_fraction : float, default=0.1
        Share of the rows set aside for early stopping.
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay rates of Adam's moments, in [0, 1).
    epsilon : float, default=1e-8
        Adam's guard against division by zero.
    n_iter_no_change : int, default=10
        Epochs without improvement after which training stops.
    max_fun : int, default=15000
        Evaluations of the cost that 'lbfgs' may use.
    n_jobs : int or None, default=None
        Threads within one fit or prediction. None: all available cores, as far as the work pays for them; 1 inside
        joblib's thread workers, and within the limits that joblib sets in its processes. Results do not depend on it.
    penalty_scaling : {'mean', 'sum'}, default='mean'
        The penalty is alpha / (2 m) sum W^2, as in scikit-learn, or alpha / 2 sum W^2; m is the batch's weight.
    init : {'glorot', 'he', 'lecun', 'orthogonal', 'uniform'} or (coefs, intercepts), default='glorot'
        Initial weights; 'glorot' are scikit-learn's.
    init_scale : float, default=0.12
        For init='uniform': weights and biases are drawn from [-init_scale, init_scale].
    maxout_pieces : int, default=2
        Linear pieces of a 'maxout' unit. `coefs_` of such a layer have pieces x units columns, piece by piece.
    batch_norm : bool, default=False
        Whether hidden pre-activations are normalised over the mini-batch (Ioffe & Szegedy 2015); predictions use
        running statistics.
    residual : bool, default=False
        Whether a hidden layer as wide as its input adds its input to its output.
    out_activation : {'auto', 'softmax', 'logistic'}, default='auto'
        Output units for three or more exclusive classes: 'softmax' (also 'auto'), or 'logistic', one unit against all
        others for each class, whose outputs `predict_proba` divides by their sum. Two classes always have one
        logistic unit, label indicators one for each label.
    loss : {'log_loss', 'squared_error'}, default='log_loss'
        'squared_error' goes with logistic outputs.

    Attributes
    ----------
    classes_ : ndarray or list of ndarray of shape (n_classes,)
        Class labels.
    coefs_ : list of ndarray
        coefs_[l] of shape (n_l, n_{l+1}) leads from layer l to layer l + 1.
    intercepts_ : list of ndarray
        Biases of the layers 1, 2, ...
    loss_ : float
        Loss of the last epoch, penalty included.
    best_loss_ : float or None
        Lowest loss of an epoch; None with early stopping.
    loss_curve_ : list of float
        Loss of each epoch ('sgd', 'adam').
    validation_scores_, best_validation_score_ : list of float, float or None
        With early stopping: the score after each epoch, and the best.
    n_iter_ : int
        Epochs (or iterations) of the last fit.
    t_ : int
        Samples seen.
    n_layers_, n_outputs_ : int
        Layers, input and output included; units of the output layer.
    out_activation_ : str
        Name of the output activation.
    n_features_in_, feature_names_in_
        As in scikit-learn.
    gammas_, betas_ : list of ndarray
        With `batch_norm`: scale and offset of the hidden layers.

    See Also
    --------
    MLPRegressor : Multilayer perceptron regressor.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from fastmlp import MLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X / 16, y, stratify=y, random_state=0)
    >>> clf = MLPClassifier(max_iter=300, random_state=0).fit(X_train, y_train)
    >>> bool(clf.score(X_test, y_test) > 0.95)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_BaseMLP._parameter_constraints,
        "out_activation": [StrOptions({"auto", "softmax", "logistic"})],
        "loss": [StrOptions({"log_loss", "squared_error"})],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        n_jobs: int | None = None,
        penalty_scaling: str = "mean",
        init: str | Sequence[Any] = "glorot",
        init_scale: float = 0.12,
        maxout_pieces: int = 2,
        batch_norm: bool = False,
        residual: bool = False,
        out_activation: str = "auto",
        loss: str = "log_loss",
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.n_jobs = n_jobs
        self.penalty_scaling = penalty_scaling
        self.init = init
        self.init_scale = init_scale
        self.maxout_pieces = maxout_pieces
        self.batch_norm = batch_norm
        self.residual = residual
        self.out_activation = out_activation
        self.loss = loss

    def _output(self) -> tuple[str, str]:
        multiclass = self._label_binarizer.y_type_ == "multiclass"
        if self.out_activation == "softmax" and not multiclass:
            raise ValueError(
                "out_activation='softmax' needs three or more exclusive classes, got "
                f"{self._label_binarizer.y_type_} targets; allowed here are 'auto' and 'logistic'."
            )
        link = "softmax" if multiclass and self.out_activation != "logistic" else "logistic"
        if (link, self.loss) not in OUTPUTS:
            raise ValueError(
                f"loss={self.loss!r} does not go with {link} outputs; choose loss='log_loss' or "
                "out_activation='logistic'."
            )
        return link, self.loss

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        X, y = self._validate_data(X, y, reset)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        labels = count_labels(y) if isinstance(y, np.ndarray) else None
        if not hasattr(self, "classes_") or (not self.warm_start and not incremental):
            self._label_binarizer = LabelBinarizer().fit(y) if labels is None else binarizer_for(labels.classes)
            self.classes_ = self._label_binarizer.classes_
        else:
            classes = unique_labels(y) if labels is None else labels.classes
            if self.warm_start:
                if set(classes) != set(self.classes_):
                    raise ValueError(
                        "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                        f"Previously got {self.classes_}, `y` has {classes}"
                    )
            elif len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
                raise ValueError(
                    f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {classes}."
                )
        if y.ndim == 1:
            # One pass where `transform` would look through y ten times more; that all classes are known, was checked.
            if labels is None:
                places = np.searchsorted(self.classes_, y).astype(np.int32)
            else:
                places = np.searchsorted(self.classes_, labels.classes).astype(np.int32)[labels.places]
            return X, places if self._label_binarizer.y_type_ == "multiclass" else places[:, np.newaxis]
        Y = self._label_binarizer.transform(y)
        return X, Y.toarray() if scipy.sparse.issparse(Y) else Y

    def _labels_of(self, Y: Array) -> Any:
        return self.classes_[Y] if Y.ndim == 1 else self._label_binarizer.inverse_transform(Y)

    def predict(self, X: Any) -> Array:
        """Predict classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_classes)
            The predicted classes.
        """
        self._check_fitted()
        return self._predict(X)

    def _predict(self, X: Any, check_input: bool = True) -> Array:
        outputs = self._forward(X, check_input)
        # What `inverse_transform` does, in a tenth of its time for one row. Where there is one class only, it is that.
        if self._label_binarizer.y_type_ == "multiclass":
            return self.classes_[outputs.argmax(axis=1)]
        if self._label_binarizer.y_type_ == "binary":
            return self.classes_.take(outputs[:, 0] > 0.5, mode="clip")
        return self._label_binarizer.inverse_transform(outputs)

    def _score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        return self._score_with(X, y, sample_weight, accuracy_score)

    @available_if(lambda self: self._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Update the model with one pass over the given data.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            The target values.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.
        classes : array-like of shape (n_classes,), default=None
            All classes that calls to `partial_fit` will bring; required in the first call.

        Returns
        -------
        self : object
            The model.
        """
        if _check_partial_fit_first_call(self, classes):
            multilabel = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(y if multilabel else classes)
        return self._fit(X, y, sample_weight=sample_weight, incremental=True)

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithm of `predict_proba`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        log_y_prob : ndarray of shape (n_samples, n_classes)
            Log-probabilities; the classes are in the order of `classes_`.
        """
        y_prob = self.predict_proba(X)
        return np.log(y_prob, out=y_prob)

    def predict_proba(self, X: Any) -> Array:
        """Estimate probabilities.

        One-vs-all outputs (``out_activation='logistic'`` with three or more exclusive classes) are divided by their
        sum; all others are the outputs of the network.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y_prob : ndarray of shape (n_samples, n_classes)
            Probabilities; the classes are in the order of `classes_`.
        """
        self._check_fitted()
        outputs = self._forward(X)
        if self.n_outputs_ == 1:
            return np.column_stack((1 - outputs, outputs))
        if self.out_activation_ == "logistic" and self._label_binarizer.y_type_ == "multiclass":
            total = outputs.sum(axis=1, keepdims=True)
            np.divide(outputs, total, out=outputs, where=total > 0)
            outputs[total[:, 0] == 0] = 1 / self.n_outputs_
        return outputs

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, _BaseMLP):
    """Multilayer perceptron regressor: scikit-learn's, with JIT kernels.

    Same parameters, same attributes, same weights for the same seed as `sklearn.neural_network.MLPRegressor`.
    Parameters after `max_fun` are fastmlp's own; their defaults change nothing.

    Parameters
    ----------
    loss : {'squared_error', 'poisson'}, default='squared_error'
        Half the squared error, with an identity output; or half the Poisson deviance, with an exponential one.
    hidden_layer_sizes : int or array-like of shape (n_hidden_layers,), default=(100,)
        Units of each hidden layer; empty: none, which is logistic or linear regression.
    activation : str or list of str, default='relu'
        Of the hidden layers, one name for all or one for each: 'identity', 'logistic', 'tanh', 'relu',
        'leaky_relu' (slope 0.01 below zero), 'elu', 'selu', 'gelu' (exact), 'silu', 'softplus', 'maxout'.
    solver : {'adam', 'sgd', 'lbfgs'}, default='adam'
        'adam' (Kingma & Ba 2015) and 'sgd' go by mini-batches; 'lbfgs' is SciPy's L-BFGS-B on the whole data, in
        float64, often better on a few hundred rows.
    alpha : float, default=0.0001
        L2 strength lambda, see `penalty_scaling`. Biases are never penalised.
    batch_size : int or 'auto', default='auto'
        Rows of a mini-batch; 'auto': min(200, n_samples). Not used by 'lbfgs'.
    learning_rate : {'constant', 'invscaling', 'adaptive'}, default='constant'
        Schedule of 'sgd'. 'invscaling': learning_rate_init / (t + 1)^power_t after t samples. 'adaptive': divided by
        5 whenever the stopping rule would stop, until it is below 1e-6.
    learning_rate_init : float, default=0.001
        Step size of 'sgd' and 'adam'.
    power_t : float, default=0.5
        Exponent of 'invscaling'.
    max_iter : int, default=200
        Epochs; for 'lbfgs' iterations.
    shuffle : bool, default=True
        Whether each epoch takes the rows in a new order.
    random_state : int, RandomState instance or None, default=None
        Source of the initial weights, the validation split and the row orders, drawn as scikit-learn draws them.
    tol : float, default=1e-4
        Improvement of the loss (or the validation score) that counts as one. For 'lbfgs' the gradient's size.
    verbose : bool or int, default=False
        Whether to print the loss of each epoch.
    warm_start : bool, default=False
        Whether `fit` goes on from the present weights.
    momentum : float, default=0.9
        Of 'sgd', between 0 and 1.
    nesterovs_momentum : bool, default=True
        Nesterov's form of momentum.
    early_stopping : bool, default=False
        Whether to stop by the score on a validation set, and to return to the weights of the best.
    validation_fraction : float, default=0.1
        Share of the rows set aside for early stopping.
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay rates of Adam's moments, in [0, 1).
    epsilon : float, default=1e-8
        Adam's guard against division by zero.
    n_iter_no_change : int, default=10
        Epochs without improvement after which training stops.
    max_fun : int, default=15000
        Evaluations of the cost that 'lbfgs' may use.
    n_jobs : int or None, default=None
        Threads within one fit or prediction. None: all available cores, as far as the work pays for them; 1 inside
        joblib's thread workers, and within the limits that joblib sets in its processes. Results do not depend on it.
    penalty_scaling : {'mean', 'sum'}, default='mean'
        The penalty is alpha / (2 m) sum W^2, as in scikit-learn, or alpha / 2 sum W^2; m is the batch's weight.
    init : {'glorot', 'he', 'lecun', 'orthogonal', 'uniform'} or (coefs, intercepts), default='glorot'
        Initial weights; 'glorot' are scikit-learn's.
    init_scale : float, default=0.12
        For init='uniform': weights and biases are drawn from [-init_scale, init_scale].
    maxout_pieces : int, default=2
        Linear pieces of a 'maxout' unit. `coefs_` of such a layer have pieces x units columns, piece by piece.
    batch_norm : bool, default=False
        Whether hidden pre-activations are normalised over the mini-batch (Ioffe & Szegedy 2015); predictions use
        running statistics.
    residual : bool, default=False
        Whether a hidden layer as wide as its input adds its input to its output.

    Attributes
    ----------
    coefs_ : list of ndarray
        coefs_[l] of shape (n_l, n_{l+1}) leads from layer l to layer l + 1.
    intercepts_ : list of ndarray
        Biases of the layers 1, 2, ...
    loss_ : float
        Loss of the last epoch, penalty included.
    best_loss_ : float or None
        Lowest loss of an epoch; None with early stopping.
    loss_curve_ : list of float
        Loss of each epoch ('sgd', 'adam').
    validation_scores_, best_validation_score_ : list of float, float or None
        With early stopping: the score after each epoch, and the best.
    n_iter_ : int
        Epochs (or iterations) of the last fit.
    t_ : int
        Samples seen.
    n_layers_, n_outputs_ : int
        Layers, input and output included; units of the output layer.
    out_activation_ : str
        Name of the output activation.
    n_features_in_, feature_names_in_
        As in scikit-learn.
    gammas_, betas_ : list of ndarray
        With `batch_norm`: scale and offset of the hidden layers.

    See Also
    --------
    MLPClassifier : Multilayer perceptron classifier.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import scale
    >>> from fastmlp import MLPRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> reg = MLPRegressor(hidden_layer_sizes=20, solver="lbfgs", alpha=10, random_state=0).fit(X * 20, scale(y))
    >>> bool(reg.score(X * 20, scale(y)) > 0.5)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_BaseMLP._parameter_constraints,
        "loss": [StrOptions({"squared_error", "poisson"})],
    }

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        n_jobs: int | None = None,
        penalty_scaling: str = "mean",
        init: str | Sequence[Any] = "glorot",
        init_scale: float = 0.12,
        maxout_pieces: int = 2,
        batch_norm: bool = False,
        residual: bool = False,
    ) -> None:
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.n_jobs = n_jobs
        self.penalty_scaling = penalty_scaling
        self.init = init
        self.init_scale = init_scale
        self.maxout_pieces = maxout_pieces
        self.batch_norm = batch_norm
        self.residual = residual

    def _output(self) -> tuple[str, str]:
        return ("exp" if self.loss == "poisson" else "identity"), self.loss

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        X, y = self._validate_data(X, y, reset, y_numeric=True)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if scipy.sparse.issparse(y):
            y = y.toarray()
        if y.dtype.kind not in "biuf":
            raise TypeError(f"y must be numbers, got an array of {y.dtype}.")
        if self.loss == "poisson" and np.min(y, initial=0) < 0:
            raise ValueError(f"loss='poisson' needs y >= 0, got {np.min(y)}.")
        return X, y.reshape(-1, 1) if y.ndim == 1 else y

    def _labels_of(self, Y: Array) -> Any:
        return Y.ravel() if Y.shape[1] == 1 else Y

    def predict(self, X: Any) -> Array:
        """Predict values.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The predicted values.
        """
        self._check_fitted()
        return self._predict(X)

    def _predict(self, X: Any, check_input: bool = True) -> Array:
        outputs = self._forward(X, check_input)
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    def _score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        return self._score_with(X, y, sample_weight, r2_score)

    @available_if(lambda self: self._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Update the model with one pass over the given data.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The target values.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.

        Returns
        -------
        self : object
            The model.
        """
        return self._fit(X, y, sample_weight=sample_weight, incremental=True)
