"""The base class of the estimators: validation, fitting and prediction through `fastmlp.training`."""

import inspect
import operator
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy, deepcopy
from dataclasses import replace
from functools import cache, partial
from importlib import import_module
from numbers import Integral
from typing import Any, NamedTuple, Self

import numpy as np
import scipy.sparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.metrics import check_scoring
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from fastmlp._version import __version__
from fastmlp.kernels.layout import Hyper
from fastmlp.kernels.tables import ACTIVATIONS, OPTIMIZERS, OUTPUTS
from fastmlp.training._aligned import padded
from fastmlp.training._checkpoint import Snapshot, generator_state, restore_generator
from fastmlp.training._data import prepare_data
from fastmlp.training._engine import Engine, log_loss_cap
from fastmlp.training._initialization import initial_weights
from fastmlp.training._loops import Watch, minimize_lbfgs, train_stochastic
from fastmlp.training._memory import check_memory
from fastmlp.training._network import Array, Network
from fastmlp.training._objective import ObjectiveInputs
from fastmlp.training._predict import predict
from fastmlp.training._progress import Progress
from fastmlp.training._row_order import RowOrder
from fastmlp.training._snapshot import restore
from fastmlp.training._state import TrainingState
from fastmlp.training._threads import available_threads
from fastmlp.training._workspace import CHUNK_ROWS

from ._callbacks import CallbacksMixin, FitTasks, fit_tasks
from ._continuation import Continuation
from ._epochs import LastEpoch, is_one_epoch
from ._identity import check_identity, identity_of, open_checkpoint
from ._layers import LayersMixin
from ._pickling import VERSION_KEY, warn_if_newer
from ._shared_parameters import STOCHASTIC_SOLVERS, SharedParameters
from ._sklearn import InvalidParameterError, _fit_context
from ._training_options import average_decay, check_solver_options, layer_options, schedule_of
from ._validation import check_sample_weight, is_plain_target, plain_as, warn_of_scales
from ._validation_data import ValidationData, check_validation_data, monitor, split

__all__ = ["_BaseMLP"]

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


class _Packed(NamedTuple):
    """The weight vector that the public arrays are views of, until the user replaces one of the arrays."""

    network: Network
    w: Array
    views: list[Array]  # coefs, intercepts, gammas, betas


def _same(arrays: list[Any], views: list[Array]) -> bool:
    """Whether `arrays` are the same objects as the first of `views`."""
    return len(arrays) <= len(views) and all(map(operator.is_, arrays, views))


class _BaseMLP(SharedParameters, CallbacksMixin, LayersMixin, BaseEstimator):
    """Fitting and predicting, for all estimators."""

    # ---- what a subclass defines

    _targets_are_inputs = False
    _random_state: np.random.RandomState
    _epoch_progress: Progress
    n_outputs_: int

    @abstractmethod
    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        """Return X and the targets: labels 0..K-1 of shape (m,) and type int32, or values of shape (m, K)."""

    @abstractmethod
    def _output(self) -> tuple[str, str]:
        """Return the link and the loss of the output layer."""

    @abstractmethod
    def _score(self, X: Any, y: Any, sample_weight: Any) -> float:
        """Return the validation score of the current weights."""

    def _weigh(self, Y: Array, sample_weight: Array | None) -> Array | None:
        """Return the sample weights, times what else weighs the samples with the targets Y."""
        return sample_weight

    @property
    def _label_smoothing(self) -> float:
        return 0.0

    @property
    def _dtypes(self) -> Any:
        """The dtypes that X may have after validation; the first is what other dtypes are converted to."""
        return (np.float64, np.float32) if self.dtype is None else np.dtype(self.dtype)

    @property
    def _tied(self) -> bool:
        """Whether the second half of the matrices are the transposes of the first."""
        return False

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
        """Return the network that the parameters describe, with layers of the widths `units`."""
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
            loss_parameters=self._loss_parameters(link, loss),
            label_smoothing=self._label_smoothing,
        )

    def _loss_parameters(self, link: str, loss: str) -> tuple[float, ...]:
        """Return the parameter of the loss, if it has one."""
        name = OUTPUTS[link, loss].parameter
        return tuple(np.ravel(getattr(self, name)).astype(float).tolist()) if name else ()

    def _check_memory(self, units: list[int], m: int, itemsize: int) -> None:
        """Raise MemoryError, before anything is allocated, if the network is too large for the memory."""
        pieces = [self.maxout_pieces if name == "maxout" else 1 for name in self._activations(units[1:-1])]
        batch = m if self.solver == "lbfgs" else min(m, 200 if self.batch_size == "auto" else int(self.batch_size))
        check_memory(
            units,
            [int(p) * n for p, n in zip([*pieces, 1], units[1:], strict=True)],
            rows=batch if self.batch_norm else min(batch, CHUNK_ROWS),
            copies=20 if self.solver == "lbfgs" else 8 if self.average else 5,
            itemsize=itemsize,
            hidden_layer_sizes=self.hidden_layer_sizes,
        )

    def _set_weights(self, network: Network, w: Array) -> None:
        """Make the public arrays views of `w`."""
        w = padded(w)
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
        # The user has set the weights.
        n_features = np.shape(self.coefs_[0])[0]
        units = [n_features, *(np.shape(b)[0] for b in self.intercepts_)]
        activations = self._activations(units[1:-1])
        pieces = int(self.maxout_pieces)
        for l, name in enumerate(activations, start=1):
            units[l] //= pieces if name == "maxout" else 1
        # Predictions need only the link, so any loss that can be combined with it will do.
        loss = next(loss for link, loss in OUTPUTS if link == self.out_activation_)
        return Network(
            tuple(units),
            activations,
            self.out_activation_,
            loss,
            maxout_pieces=pieces,
            residual=bool(self.residual),
            batch_norm=bool(self.batch_norm),
            loss_parameters=self._loss_parameters(self.out_activation_, loss),
        )

    def _has_packed_weights(self) -> bool:
        """Whether the public arrays are those of the last training."""
        batch_norm = [*self.gammas_, *self.betas_] if self._packed.network.batch_norm else []
        arrays = [*self.coefs_, *self.intercepts_, *batch_norm]
        return len(arrays) == len(self._packed.views) and _same(arrays, self._packed.views)

    def _has_classes(self, classes: Any) -> bool:
        """Whether the argument `classes` of `partial_fit` need not be checked."""
        return classes is None

    def _plain_targets(self, y: Array) -> Array | None:
        """Return the targets of `_validate_input` for a plain vector y, or None if it has to validate them."""
        return None

    def _weights(self, network: Network) -> Array:
        """Return the weight vector of the public arrays: the one that they are views of, or a new one."""
        batch_norm = (self.gammas_, self.betas_) if network.batch_norm else ([], [])
        arrays = [*self.coefs_, *self.intercepts_, *batch_norm[0], *batch_norm[1]]
        packed: _Packed | None = self.__dict__.get("_packed")
        if packed is not None and _same(arrays, packed.views):
            return packed.w
        dtype = np.result_type(*arrays, np.float32)
        return padded(network.pack((self.coefs_, self.intercepts_, *batch_norm), dtype))

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("_packed", None)
        state.pop("_epoch_progress", None)
        state.pop("_continuation", None)
        return {**state, VERSION_KEY: __version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        warn_if_newer(type(self).__name__, state.pop(VERSION_KEY, None))
        # Parameters that did not exist when the estimator was pickled have their defaults.
        parameters = inspect.signature(type(self)).parameters.values()
        super().__setstate__({**{each.name: each.default for each in parameters}, **state})
        # Pack the weights into one vector now, so that predictions need not do it. Memory-mapped arrays stay mapped.
        if "coefs_" in state and not any(isinstance(a, np.memmap) for a in self.coefs_):
            network = self._fitted_network()
            self._set_weights(network, self._weights(network))

    # ---- inspection

    def __fastmlp_objective__(self, X: Any, y: Any, sample_weight: Any = None) -> ObjectiveInputs:
        """Return what `fit(X, y, sample_weight)` minimises: the protocol that `fastmlp.inspection` uses.

        The weights are those of the estimator if it is fitted, otherwise those that `fit` would start from. The
        estimator is not changed. The objective is the one whose gradient training follows: it has neither the cap on
        the log loss of one unit nor the mean over the outputs that scikit-learn's reported losses have.

        Parameters
        ----------
        X, y, sample_weight
            As `fit` takes them; `sample_weight` must not be negative.

        Returns
        -------
        ObjectiveInputs
            Network, data, weights and penalty.

        Raises
        ------
        ValueError
            A parameter or the data are not allowed, as in `fit`.
        """
        fitted = hasattr(self, "coefs_")
        # Validation sets attributes, so it works on a copy.
        model = copy(self) if fitted else clone(self)
        model.warm_start = False
        model._validate_params()
        X, Y = model._validate_input(X, y, fitted, reset=not fitted)
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, X.shape[0], non_negative=True)
        sample_weight = model._weigh(Y, sample_weight)
        network = model._network([X.shape[1], *model._hidden_layer_sizes(), model._count_outputs(Y)])
        if fitted:
            model._check_continued(network)
            w = model._weights(network)
        else:
            random = check_random_state(model.random_state)
            w = initial_weights(network, model.init, float(model.init_scale), random, X.dtype, model.activation)
        return ObjectiveInputs(
            network,
            prepare_data(X, Y, sample_weight, np.float64),
            w.astype(np.float64),
            float(model.alpha),
            model.penalty_scaling,
            available_threads(model.n_jobs),
            tied=model._tied,
        )

    def __fastmlp_progress__(self) -> Progress:
        """Return what is known after the last epoch of a fit in progress: the protocol of `fastmlp.callbacks`."""
        return self._epoch_progress

    # ---- export

    def onnx_converter(self) -> Callable[..., None]:
        """Return the function by which skl2onnx converts this estimator.

        skl2onnx calls a method of this name before it looks at registered converters. Its converter of scikit-learn's
        classes, if a user registers that for this one, ignores `batch_norm`, `residual` and one-vs-all outputs.

        Returns
        -------
        callable
            `fastmlp.export.convert`.
        """
        # Imported by name and when it is called: the estimators do not depend on the export.
        converter: Callable[..., None] = import_module("fastmlp.export").convert
        return converter

    # ---- fitting

    def _initialize(self, network: Network, dtype: Any) -> None:
        """Set the initial weights and reset the counters of training."""
        random = self._random_state
        scale = float(self.init_scale)
        self._set_weights(network, initial_weights(network, self.init, scale, random, dtype, self.activation))
        self._reset_stats(network, dtype)
        self.n_iter_ = self.t_ = 0
        self.n_layers_ = len(network.units)
        self.out_activation_ = network.link
        self.__dict__.pop("_state", None)

    def _reset_stats(self, network: Network, dtype: Any) -> None:
        self._stats = np.zeros(network.table()[1].stats, dtype)
        for variance in network.running(self._stats)[1]:
            variance[...] = 1

    def _check_continued(self, network: Network) -> None:
        """Raise ValueError if the current weights do not have the shapes of `network`."""
        shapes = [np.shape(c) for c in self.coefs_]
        if shapes != list(network.shapes()):
            raise ValueError(
                "Training can continue only with the same network: coefs_ have the shapes "
                f"{shapes}, hidden_layer_sizes={self.hidden_layer_sizes!r} and the data require "
                f"{list(network.shapes())}."
            )

    @contextmanager
    def _unchanged_on_error(self) -> Iterator[None]:
        """Restore all attributes if an error is raised."""
        before = self.__dict__.copy()
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        incremental: bool = False,
        validation: tuple[Any, Any, Any] = (None, None, None),
        n_epochs: int = 1,
        tasks: FitTasks | None = None,
        resume_from: Any = None,
    ) -> Self:
        hidden = self._hidden_layer_sizes()
        first_pass = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        stochastic = self.solver in STOCHASTIC_SOLVERS
        if not isinstance(n_epochs, Integral) or isinstance(n_epochs, bool) or n_epochs < 1:
            raise ValueError(f"n_epochs must be an integer >= 1, got {n_epochs!r}.")
        with self._unchanged_on_error():
            checkpoint = None if resume_from is None else open_checkpoint(resume_from)
            if checkpoint is not None and not stochastic:
                raise ValueError("resume_from needs solver='sgd' or solver='adam', got 'lbfgs'.")
            X, Y = self._validate_input(X, y, incremental, reset=first_pass)
            m, n_features = X.shape
            if m > ROWS_LIMIT:
                raise ValueError(f"X has {m} rows; at most {ROWS_LIMIT} are allowed.")
            if sample_weight is not None:
                sample_weight = check_sample_weight(sample_weight, m)
            sample_weight = self._weigh(Y, sample_weight)
            if self.early_stopping and incremental and stochastic:
                raise ValueError("partial_fit does not support early_stopping=True")
            self.n_outputs_ = self._count_outputs(Y)
            units = [n_features, *hidden, self.n_outputs_]
            self._check_memory(units, m, X.dtype.itemsize)
            network = self._network(units)
            check_solver_options(self, getattr(self, "tied_weights", False))
            layers = layer_options(self, len(units) - 1)
            if layers.dropout and layers.dropout[0] > 0 and scipy.sparse.issparse(X):
                raise ValueError("dropout of the input needs dense X, got a sparse matrix; set its first entry to 0.")
            # Batch normalisation makes the first hidden layer independent of the scales of the columns.
            if self.solver == "sgd" and first_pass and not (network.batch_norm and hidden):
                warn_of_scales(X, float(self.learning_rate_init), network.link in ("softmax", "logistic"))
            one_epoch = resume_from is None and not incremental and is_one_epoch(self)
            before: LastEpoch | None = None if incremental else self.__dict__.pop("_last_epoch", None)
            if before is not None and not (one_epoch and before.precedes(self)):
                before = None
            # A fit that is resumed moves the user's generator only when the checkpoint is accepted.
            if before is None or not isinstance(self.random_state, Integral):
                self._random_state = check_random_state(self.random_state if checkpoint is None else 0)
            seeded = None
            if incremental and isinstance(self.random_state, Integral):
                seeded = self._random_state.get_state(legacy=False)
            dtype = X.dtype if stochastic else np.dtype(np.float64)
            if first_pass:
                self._initialize(network, X.dtype)
            else:
                self._check_continued(network)
                if not hasattr(self, "_stats"):  # the user has set the weights
                    self._reset_stats(network, X.dtype)
                if stochastic and self.dtype is None:
                    dtype = np.result_type(*self.coefs_, np.float32)
            self._set_weights(network, self._weights(network).astype(dtype, copy=not first_pass))
            held_out = check_validation_data(self, *validation)
            if checkpoint is not None:
                self._random_state = restore_generator(checkpoint.header.get("generator_before_split"))
            before_split = generator_state(self._random_state) if tasks is not None else None
            if held_out is None and self.early_stopping and stochastic:
                one_unit = isinstance(self, ClassifierMixin) and self.n_outputs_ == 1
                classes = isinstance(self, ClassifierMixin) and (one_unit or Y.ndim == 1)
                stratify = one_unit if self.stratify == "auto" else bool(self.stratify) and classes
                X, Y, sample_weight, held_out = split(self, X, Y, sample_weight, stratify)
            if self.scoring not in (None, "loss"):
                check_scoring(self, scoring=self.scoring)  # before anything is trained
            if stochastic:
                if checkpoint is not None or tasks is not None:
                    # The digest of the data is computed once, and only if a checkpoint is read or written.
                    identity = cache(partial(identity_of, self, network, dtype, X, Y, sample_weight, held_out))
                if checkpoint is not None:
                    check_identity(resume_from, checkpoint.header, identity())
                keep_optimizer = incremental or before is not None
                training = self._prepare(network, X, Y, sample_weight, held_out, keep_optimizer, checkpoint)
                if before is not None:
                    before.continue_order(training["engine"])
        if not stochastic:
            self._fit_lbfgs(network, X, Y, sample_weight, tasks)
            return self
        if tasks is not None:
            tasks.identity = lambda: {**identity(), "generator_before_split": before_split}
            tasks.attributes = self._attributes_after_epoch
        max_iter = n_epochs if incremental else int(self.max_iter)
        try:
            best = train_stochastic(
                max_iter=max_iter, incremental=incremental, verbose=self.verbose, observer=tasks, **training
            )
        finally:
            self._publish(self._state)
            if average_decay(self):
                # A copy shows whether the user has changed the weights before training continues.
                self._show_average(network, self._state.average.copy(), self._state.average_stats.copy())
        if best is not None:
            self._set_weights(network, best[0])
            self._stats = best[1]
        self._continuation = Continuation.after(self, training, seeded) if incremental else None
        if one_epoch:
            self._last_epoch = LastEpoch(self.random_state, training["engine"].row_order)
        return self

    def _continue(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None, n_epochs: Any = 1) -> bool:
        """Make one pass with what the last call of `partial_fit` has prepared; False if it is of no use here."""
        continuation: Continuation | None = self.__dict__.get("_continuation")
        if continuation is None or sample_weight is not None or not self._has_classes(classes):
            return False
        if not continuation.fits(self, X, n_epochs):
            return False
        Y = self._plain_targets(y) if is_plain_target(y, len(X)) else None
        if Y is None:
            return False
        try:
            with continuation.data(X, Y):
                train_stochastic(max_iter=1, incremental=True, verbose=self.verbose, **continuation.arguments)
        finally:
            self._publish(self._state)
        return True

    def _validate_data(self, X: Any, y: Any, reset: bool, y_numeric: bool = False) -> tuple[Any, Any]:
        """Return X and y as `sklearn.utils.validation.validate_data` does."""
        plain = plain_as(X, self.dtype)
        skip = plain is not None and is_plain_target(y, len(X))
        return validate_data(
            self,
            plain if skip else X,
            y,
            reset=reset,
            skip_check_array=skip,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=y_numeric,
            dtype=self._dtypes,
        )

    def _count_outputs(self, Y: Array) -> int:
        return int(Y.shape[1]) if Y.ndim == 2 else len(self.classes_)

    def _hyper(self, network: Network, dtype: Any) -> Hyper:
        """Return the objective, as kernels are told it."""
        # scikit-learn's cap belongs to its own loss: that of smoothed labels is never small.
        capped = network.loss == "log_loss" and not network.label_smoothing
        return Hyper(
            alpha=float(self.alpha),
            penalty_sum=self.penalty_scaling == "sum",
            cap=log_loss_cap(dtype) if capped else np.inf,
            loss_scale=1.0 / network.units[-1] if network.loss == "squared_error" else 1.0,
        )

    def _engine(self, *args: Any, **kwargs: Any) -> Engine:
        """Return the engine of a fit, made from the arguments of `Engine`."""
        return Engine(*args, **kwargs)

    def _fit_lbfgs(self, network: Network, X: Any, Y: Array, sample_weight: Any, tasks: FitTasks | None = None) -> None:
        w = self._packed.w
        hyper = self._hyper(network, w.dtype)
        engine = self._engine(
            network,
            prepare_data(X, Y, sample_weight, w.dtype),
            w,
            self._stats.astype(w.dtype),
            # The objective has to match its gradient, so squared errors are summed over the outputs. The reported
            # loss is the mean over the outputs, as everywhere.
            hyper._replace(batch=X.shape[0], loss_scale=1.0),
            TrainingState.new(None, w.size, w.dtype),
            threads=available_threads(self.n_jobs),
        )

        def reported(loss: float) -> float:
            penalty = engine.penalty()
            return (loss - penalty) * hyper.loss_scale + penalty

        if tasks is not None:
            tasks.attributes = lambda: {"_stats": engine.stats.copy()}
        try:
            loss, self.n_iter_ = minimize_lbfgs(
                engine,
                max_iter=self.max_iter,
                max_fun=self.max_fun,
                tol=self.tol,
                reported=reported,
                verbose=self.verbose,
                observer=tasks,
            )
            engine.settle_statistics()
        finally:
            self._stats = engine.stats
        self.loss_ = reported(loss)

    def _largest_gradient_norm(self) -> float:
        if self.max_grad_norm is not None:
            return float(self.max_grad_norm)
        # The kernels compute the norm if it is limited.
        wanted = any(
            getattr(callback, "needs_gradient_norm", False) for callback in vars(self).get("_skl_callbacks", ())
        )
        return float(np.finfo(float).max) if wanted else np.inf

    def _training_state(self, w: Array, keep_optimizer: bool) -> TrainingState:
        """Return the state that training continues: the present one, or a new one."""
        present: TrainingState | None = self.__dict__.get("_state")
        if present is not None:
            present.make_current()
        if keep_optimizer and present is not None and present.m.size == w.size and present.m.dtype == w.dtype:
            state = present
        else:
            # As in scikit-learn, `partial_fit` keeps the optimizer that it began with.
            self._settings = {name: getattr(self, name) for name in OPTIMIZER_PARAMETERS}
            optimizer = "nesterov" if self.solver == "sgd" and self.nesterovs_momentum else self.solver
            self._settings["optimizer"] = optimizer
            state = TrainingState.new(optimizer, w.size, w.dtype, self.learning_rate_init)
            if present is not None:  # a warm start: a new optimizer, but the same progress
                state.loss_curve, state.validation_scores = present.loss_curve, present.validation_scores
                state.validation_loss_curve, state.best_epoch = present.validation_loss_curve, present.best_epoch
                state.watches_scores, state.t = present.watches_scores, present.t
                state["best"], state["no_change"] = present["best"], present["no_change"]
                state.average, state.average_stats = present.average, present.average_stats
                state["average_t"] = present["average_t"]
        self._state = state
        return state

    def _weights_in_training(self, network: Network, state: TrainingState) -> tuple[Array, Array]:
        """Return the weights and running statistics to train; the public ones become their average, if wanted."""
        w, self._stats = self._packed.w, np.require(self._stats, self._packed.w.dtype, "W")
        kept = self.__dict__.pop("_averaged_weights", None)
        if not average_decay(self):
            state.begin_average(w[:0], self._stats[:0])
            return w, self._stats
        # Averaging begins again if the user has replaced the weights, or if the best ones were restored.
        if kept is not None and state.average.dtype == w.dtype and np.array_equal(state.average, w):
            w, stats = padded(kept[0].copy()), kept[1].copy()
        else:
            w, stats = padded(w.copy()), self._stats.copy()
            state.begin_average(w, stats)
        self._averaged_weights = w, stats
        self._show_average(network, state.average, state.average_stats)
        return w, stats

    def _show_average(self, network: Network, average: Array, average_stats: Array) -> None:
        self._set_weights(network, average)
        self._stats = average_stats

    def _prepare(
        self,
        network: Network,
        X: Any,
        Y: Array,
        sample_weight: Any,
        held_out: ValidationData | None,
        keep_optimizer: bool,
        checkpoint: Snapshot | None,
    ) -> dict[str, Any]:
        """Return the arguments of `train_stochastic` that describe this training."""
        state = self._training_state(self._packed.w, keep_optimizer)
        w, stats = self._weights_in_training(network, state)
        settings = self._settings
        learning_rate = settings["learning_rate"]
        schedule = learning_rate if isinstance(learning_rate, str) and settings["solver"] == "sgd" else "constant"
        m = X.shape[0]
        batch = min(200, m) if self.batch_size == "auto" else min(int(self.batch_size), m)
        if self.batch_size != "auto" and self.batch_size > m:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
                stacklevel=4,
            )
        stopping = held_out is not None and bool(self.early_stopping)
        hyper = self._hyper(network, w.dtype)._replace(
            optimizer=OPTIMIZERS[settings["optimizer"]].code,
            batch=batch,
            momentum=float(settings["momentum"]),
            beta_1=float(settings["beta_1"]),
            beta_2=float(settings["beta_2"]),
            epsilon=float(settings["epsilon"]),
            weight_decay=float(self.weight_decay),
            average=average_decay(self),
            max_grad_norm=self._largest_gradient_norm(),
            adaptive=schedule == "adaptive",
            watch_loss=not stopping,
            tol=float(self.tol),
            patience=self.n_iter_no_change,
        )
        visible = not isinstance(self.random_state, Integral)
        layers = layer_options(self, len(network.units) - 1)
        if layers.dropout and not state["seed"]:
            state["seed"] = self._random_state.randint(1, 2**31)
        copied = bool(layers.dropout and layers.dropout[0])
        order = RowOrder(
            m, batch, shuffle=bool(self.shuffle), random=self._random_state, visible=visible, copied=copied
        )
        engine = self._engine(
            network,
            prepare_data(X, Y, sample_weight, w.dtype),
            w,
            stats,
            hyper,
            state,
            order,
            available_threads(self.n_jobs),
            layers,
        )
        rate_init = float(settings["learning_rate_init"])
        measure = None
        if held_out is not None:
            measure = monitor(self, held_out, hyper, engine, lambda: available_threads(self.n_jobs))
        keep_best = stopping if self.restore_best_weights == "auto" else bool(self.restore_best_weights)
        resumed = None
        if checkpoint is not None:
            resumed = restore(engine, checkpoint, keep_best=keep_best)
            if isinstance(self.random_state, np.random.RandomState):
                self.random_state.set_state(self._random_state.get_state(legacy=False))
                self._random_state = order.random = self.random_state
        return {
            "engine": engine,
            "power_t": float(settings["power_t"]) if schedule == "invscaling" else None,
            "rate_init": rate_init,
            "schedule": schedule_of(self, learning_rate, rate_init, int(self.max_iter) * -(-m // batch)),
            "watch": Watch(measure, stopping, keep_best),
            "resumed": resumed,
        }

    def _attributes_after_epoch(self) -> dict[str, Any]:
        """Return the attributes by which a copy of this estimator in training is fitted up to the present epoch."""
        state = deepcopy(self._state)
        attributes = {"_state": state, "_stats": self._stats.copy(), **self._published(state)}
        if average_decay(self):
            attributes["_averaged_weights"] = deepcopy(self._averaged_weights)
        return attributes

    def _publish(self, state: TrainingState) -> None:
        """Show the state of training in the public attributes."""
        self.__dict__.update(self._published(state))

    def _published(self, state: TrainingState) -> dict[str, Any]:
        """Return the public attributes that show the state of training."""
        best_epoch, best_loss = state.best_epoch, state.best_loss
        if best_epoch is None and state.loss_curve and not np.isnan(state.loss_curve).all():
            best_epoch = int(np.nanargmin(state.loss_curve)) + 1
        if state.best_score is not None and self.scoring == "loss":
            best_loss = -state.best_score
        shown = {
            "n_iter_": state.n_iter,
            "t_": state.t,
            "loss_curve_": state.loss_curve,
            "validation_scores_": state.validation_scores,
            "validation_loss_curve_": state.validation_loss_curve,
            "best_epoch_": best_epoch,
            "best_loss_": best_loss,
            "best_validation_score_": state.best_score,
            "_no_improvement_count": state["no_change"],  # scikit-learn's name
        }
        return {**shown, "loss_": state.loss_curve[-1]} if state.loss_curve else shown

    @property
    def _optimizer(self) -> TrainingState:
        """The state of the optimizer, under the name that it has in scikit-learn."""
        return self._state

    def _labels_of(self, Y: Array) -> Any:
        """Return targets in the form in which the user passes them."""
        return Y

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        *,
        resume_from: Any = None,
    ) -> Self:
        """Fit the model to data matrix X and target(s) y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data. Not copied if it is C-contiguous (or CSR) and float32 or float64.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The target values: class labels, label indicators, or real numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            Validation data. They are scored after each epoch; with `early_stopping`, they take the place of the rows
            that would be set aside.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
            Target values of X_val.
        sample_weight_val : array-like of shape (n_val,), default=None
            Sample weights of X_val.
        resume_from : str or path-like, default=None
            A checkpoint that `fastmlp.callbacks.Checkpoint` has written, from which training continues; it ends with
            the same weights as a fit that was not interrupted. Parameters and data must be those of the fit that wrote
            it, except for `n_jobs`, `verbose` and `warm_start`. 'sgd' and 'adam' only.

        Returns
        -------
        self : object
            The fitted model.

        Raises
        ------
        ValueError
            A parameter or the data are not allowed. The checkpoint is damaged, or of another version of fastmlp, of
            other parameters or of other data: the message says which. Or training diverged: the message then names the
            epoch, the mini-batch and the learning rate, and the last finite weights are kept.
        MemoryError
            The network is too large for the memory of this machine.
        """
        validation = X_val, y_val, sample_weight_val
        with fit_tasks(self, X, y, sample_weight) as tasks:
            return self._fit(X, y, sample_weight, validation=validation, tasks=tasks, resume_from=resume_from)

    def _check_solver(self) -> bool:
        if self.solver not in STOCHASTIC_SOLVERS:
            raise AttributeError(
                f"partial_fit is only available for stochastic optimizers. {self.solver} is not stochastic."
            )
        return True

    @classmethod
    @cache
    def _get_param_names(cls) -> list[str]:
        """Return the names of the parameters, cached: scikit-learn reads the signature in every clone and every fit."""
        return list(super()._get_param_names())

    # ---- predicting

    def _check_fitted(self) -> None:
        """Raise NotFittedError if the model is not fitted; faster than scikit-learn's check if it is."""
        if "_packed" not in self.__dict__:
            check_is_fitted(self)

    def _evaluated(self, X: Any, check_input: bool = True, *, link: bool = True) -> tuple[Network, Array, Array, Any]:
        """Return the network, its weights and statistics, and X; without `link`, the network has none."""
        # For one row, scikit-learn's validation takes five times as long as the forward pass.
        if check_input:
            named = "feature_names_in_" in self.__dict__
            plain = None if named else plain_as(X, self.dtype)
            if plain is not None and plain.shape[1] == self.n_features_in_:
                X = plain
            else:
                accepted = "numeric" if self.dtype is None else self.dtype
                X = validate_data(self, X, accept_sparse=["csr", "csc"], dtype=accepted, reset=False)
        network = self._fitted_network()
        if X.shape[1] != network.units[0]:
            raise ValueError(f"coefs_[0] has {network.units[0]} rows, but X has {X.shape[1]} features.")
        w = self._weights(network)
        stats = self._stats if network.batch_norm else w[:0]
        if w.dtype != X.dtype or self.dtype is not None:
            wanted = np.dtype(self.dtype) if self.dtype else np.result_type(w.dtype, X.dtype)
            dtype = np.float32 if wanted == np.float32 else np.float64
            w, stats = w.astype(dtype, copy=False), stats.astype(dtype, copy=False)
        if not link:
            network = replace(network, link="identity", loss="squared_error")
        return network, w, stats, X

    def _forward(self, X: Any, check_input: bool = True, *, link: bool = True) -> Array:
        """Return the outputs of the network, of shape (n_samples, n_outputs_); without `link`, the pre-activations."""
        network, w, stats, X = self._evaluated(X, check_input, link=link)
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
