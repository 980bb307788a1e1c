"""The base class of the estimators: what a subclass defines, and the methods that all estimators have."""

import inspect
from abc import abstractmethod
from collections.abc import Callable
from copy import copy
from functools import cache
from importlib import import_module
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import validate_data

from fastmlp._version import __version__
from fastmlp.training._data import prepare_data
from fastmlp.training._engine import Engine
from fastmlp.training._initialization import initial_weights
from fastmlp.training._network import Array, Network
from fastmlp.training._objective import ObjectiveInputs
from fastmlp.training._progress import Progress
from fastmlp.training._state import TrainingState
from fastmlp.training._threads import available_threads

from ._architecture import described_network, layer_activations, layer_sizes
from ._callbacks import CallbacksMixin, fit_tasks
from ._fitting import fit_model
from ._layers import LayersMixin
from ._pickling import VERSION_KEY, warn_if_newer
from ._shared_parameters import STOCHASTIC_SOLVERS, SharedParameters
from ._sklearn import _fit_context, validate_parameter_constraints
from ._training_options import penalty_options
from ._validation import check_sample_weight, fits_columns, is_plain_target, plain_as
from ._weights import check_same_shapes, current_network, set_weights, weight_vector

__all__ = ["_BaseMLP"]


class _BaseMLP(SharedParameters, CallbacksMixin, LayersMixin, BaseEstimator):
    """Base class of `MLPClassifier`, `MLPRegressor` and `MLPAutoencoder`."""

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

    @property
    def _name_of_score(self) -> str | None:
        """The name by which scikit-learn's `get_scorer` knows `_score`, if it does."""
        return None

    def _weigh(self, Y: Array, sample_weight: Array | None) -> Array | None:
        """Return the sample weights, multiplied by the weights that parameters such as `class_weight` give the rows."""
        return sample_weight

    @property
    def _dtypes(self) -> Any:
        """The dtypes that X may have after validation. Other dtypes are converted to the first one."""
        return (np.float64, np.float32) if self.dtype is None else np.dtype(self.dtype)

    @property
    def _tied(self) -> bool:
        """Whether the second half of the matrices are the transposes of the first."""
        return False

    def _hidden_layer_sizes(self) -> list[int]:
        """Return the widths of the hidden layers."""
        return layer_sizes(self.hidden_layer_sizes)

    def _activations(self, hidden: list[int]) -> tuple[str, ...]:
        """Return one activation for each hidden layer."""
        return layer_activations(self.activation, len(hidden))

    def _network(self, units: list[int]) -> Network:
        """Return the network that the parameters describe, with layers of the widths `units`."""
        return described_network(self, units)

    def _engine(self, *args: Any, **kwargs: Any) -> Engine:
        """Return the engine of a fit, made from the arguments of `Engine`."""
        return Engine(*args, **kwargs)

    def _count_outputs(self, Y: Array) -> int:
        return int(Y.shape[1]) if Y.ndim == 2 else len(self.classes_)

    def _labels_of(self, Y: Array) -> Any:
        """Return targets in the form in which the user passes them."""
        return Y

    def _has_classes(self, classes: Any) -> bool:
        """Whether the argument `classes` of `partial_fit` need not be checked."""
        return classes is None

    def _plain_targets(self, y: Array) -> Array | None:
        """Return the targets of `_validate_input` for a plain vector y, or None if it has to validate them."""
        return None

    # ---- shared by the subclasses

    def _validate_params(self) -> None:
        """Validate the parameters. A value that is the default is valid, so it need not be checked in each fit."""
        changed = {
            name: value
            for name, value in self.get_params(deep=False).items()
            if value is not self._default_values.get(name, inspect.Parameter.empty)
        }
        validate_parameter_constraints(self._parameter_constraints, changed, caller_name=type(self).__name__)

    def _validate_data(self, X: Any, y: Any, reset: bool, y_numeric: bool = False) -> tuple[Any, Any]:
        """Return X and y as `sklearn.utils.validation.validate_data` does."""
        plain = plain_as(X, self.dtype)
        if plain is not None and (reset or fits_columns(self, plain)) and is_plain_target(y, len(plain)):
            # `validate_data` would set the same attributes, after looking for the names of columns.
            self.n_features_in_ = plain.shape[1]
            self.__dict__.pop("feature_names_in_", None)
            return plain, y
        # Numbers that the parameter `dtype` cannot hold become infinite, which is refused.
        with np.errstate(over="ignore" if self.dtype else None):
            return validate_data(
                self,
                X,
                y,
                reset=reset,
                accept_sparse=["csr", "csc"],
                multi_output=True,
                y_numeric=y_numeric,
                dtype=self._dtypes,
            )

    # ---- pickling

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
            network = current_network(self)
            set_weights(self, network, weight_vector(self, network))

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
            check_same_shapes(model, network)
            w = weight_vector(model, network)
        else:
            random = check_random_state(model.random_state)
            w = initial_weights(network, model.init, float(model.init_scale), random, X.dtype, model.activation)
        return ObjectiveInputs(
            network,
            prepare_data(X, Y, sample_weight, np.float64),
            w.astype(np.float64),
            penalty_options(model),
            available_threads(model.n_jobs),
            tied=model._tied,
        )

    def __fastmlp_progress__(self) -> Progress:
        """Return what is known after the last epoch of a fit in progress: the protocol of `fastmlp.callbacks`."""
        return self._epoch_progress

    # ---- export

    def onnx_converter(self) -> Callable[..., None]:
        """Return the function by which skl2onnx converts this estimator.

        skl2onnx calls a method of this name before it searches the registered converters. Its converter for the classes
        of scikit-learn must not be registered for this class: it ignores `batch_norm`, `residual` and one-vs-all
        outputs.

        Returns
        -------
        callable
            `fastmlp.export.convert`.
        """
        # Imported by name and only when it is called, because the estimators must not depend on `fastmlp.export`.
        converter: Callable[..., None] = import_module("fastmlp.export").convert
        return converter

    # ---- fitting

    @property
    def _optimizer(self) -> TrainingState:
        """The state of the optimizer, under the name that it has in scikit-learn."""
        return self._state

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
            Validation data, which are scored after each epoch. With `early_stopping`, they are used instead of rows
            that are set aside. Only for the solvers 'sgd' and 'adam'.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
            Target values of X_val.
        sample_weight_val : array-like of shape (n_val,), default=None
            Sample weights of X_val.
        resume_from : str or path-like, default=None
            A checkpoint that `fastmlp.callbacks.Checkpoint` has written. Training continues from it, and ends with the
            same weights as a fit that was not interrupted. The data and all parameters except `n_jobs`, `verbose` and
            `warm_start` must be those of the interrupted fit. Only for the solvers 'sgd' and 'adam'.

        Returns
        -------
        self : object
            The fitted model.

        Raises
        ------
        ValueError
            If a parameter or the data are invalid; if the checkpoint is damaged, or was written by another version of
            fastmlp, with other parameters or for other data (the message states the difference); or if training
            diverged. In the last case, the message states the epoch, the mini-batch and the learning rate, and the
            last finite weights are kept.
        MemoryError
            If the network does not fit into the memory of this machine.
        """
        validation = X_val, y_val, sample_weight_val
        with fit_tasks(self, X, y, sample_weight) as tasks:
            fit_model(self, X, y, sample_weight, validation=validation, tasks=tasks, resume_from=resume_from)
        return self

    def _check_solver(self) -> bool:
        if self.solver not in STOCHASTIC_SOLVERS:
            raise AttributeError(
                f"partial_fit is only available for stochastic optimizers. {self.solver} is not stochastic."
            )
        return True

    @classmethod
    @cache
    def _get_param_names(cls) -> list[str]:
        """Return the names of the parameters, cached: scikit-learn inspects the signature in every clone and fit."""
        return list(super()._get_param_names())

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
