"""Autoencoder: a network that learns to reconstruct its input through a narrow layer."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import scipy.sparse
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.metrics import r2_score
from sklearn.utils import Tags, check_array
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from fastmlp.training._engine import Engine
from fastmlp.training._network import Array, Network
from fastmlp.training._predict import predict
from fastmlp.training._threads import available_threads
from fastmlp.training._tied import TiedEngine

from ._base import _BaseMLP
from ._callbacks import fit_tasks
from ._fitting import fit_model
from ._parameters import parameter, with_parameters
from ._prediction import network_outputs, score_predictions
from ._sklearn import StrOptions, _fit_context
from ._weights import current_network

__all__ = ["MLPAutoencoder"]


@with_parameters
class MLPAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, _BaseMLP):
    """Multilayer perceptron that learns to reconstruct its input through a narrow layer.

    It is a transformer: the values of the narrow layer are the codes. With identity activations and one hidden layer
    of k units, it finds the subspace of the first k principal components.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    coefs_, intercepts_ : list of ndarray
        Weight matrices and bias vectors, first those of the encoder; see `MLPRegressor`.
    loss_, best_loss_, loss_curve_, validation_scores_, best_validation_score_, n_iter_, t_, n_layers_, n_outputs_, \
out_activation_, n_features_in_, feature_names_in_, gammas_, betas_
        As in `MLPRegressor`.

    See Also
    --------
    MLPRegressor : Multilayer perceptron regressor.
    sklearn.decomposition.PCA : The solution for identity activations, computed directly.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fastmlp import MLPAutoencoder
    >>> X, _ = load_digits(return_X_y=True)
    >>> X = X[:500] / 16
    >>> coder = MLPAutoencoder((64, 8), "silu", solver="lbfgs", tol=0.01, random_state=0).fit(X)
    >>> codes = coder.transform(X)
    >>> codes.shape
    (500, 8)
    >>> bool((coder.inverse_transform(codes) == coder.reconstruct(X)).all())
    True
    >>> bool(coder.score(X) > 0.5)
    True
    """

    hidden_layer_sizes: Any = parameter(
        default=(32,),
        doc="""int or array-like of shape (n_encoder_layers,)
        Number of units of each layer of the encoder. The last layer must be the narrowest; its values are the codes.
        The decoder mirrors the encoder: (64, 8) makes a network with the layers n_features, 64, 8, 64, n_features.""",
        kw_only=False,
    )
    activation: str | Sequence[str] = parameter(
        default="relu",
        doc="""str or list of str
        Activation of the encoder's layers, one name for all of them or one name for each; the decoder mirrors them.
        The names are those of `MLPClassifier`.""",
        kw_only=False,
    )
    loss: str = parameter(
        default="squared_error",
        allowed=[StrOptions({"squared_error", "log_loss"})],
        doc="""{'squared_error', 'log_loss'}
        Half the squared error, with identity outputs, or the log loss, with logistic outputs, for data in [0, 1].""",
    )
    tied_weights: bool = parameter(
        default=False,
        allowed=["boolean"],
        doc="""bool
        Whether the matrices of the decoder are the transposes of the encoder's; the biases are independent. `init`
        then gives the encoder's matrices, and the penalty counts a matrix each time it is used. Python adds
        the gradients of both uses of a matrix for each mini-batch: expect small mini-batches to take several times as
        long as without tied weights. 'maxout' cannot be tied.""",
    )

    # ---- the network

    _targets_are_inputs = True

    def _hidden_layer_sizes(self) -> list[int]:
        encoder = super()._hidden_layer_sizes()
        if not encoder or encoder[-1] > min(encoder):
            raise ValueError(
                "hidden_layer_sizes must name the layers of the encoder, the last of them the narrowest (the decoder "
                f"mirrors it), got {self.hidden_layer_sizes!r}."
            )
        return [*encoder, *encoder[-2::-1]]

    def _activations(self, hidden: list[int]) -> tuple[str, ...]:
        encoder = super()._activations(hidden[: len(hidden) // 2 + 1])
        return (*encoder, *encoder[-2::-1])

    def _output(self) -> tuple[str, str]:
        return ("identity" if self.loss == "squared_error" else "logistic"), self.loss

    @property
    def _tied(self) -> bool:
        return bool(self.tied_weights)

    def _network(self, units: list[int]) -> Network:
        network = super()._network(units)
        if self.tied_weights and "maxout" in network.activations:
            raise ValueError(
                "tied_weights=True does not go with activation 'maxout', whose matrices have a column for each piece: "
                "allowed are all other activations."
            )
        return network

    def _engine(self, *args: Any, **kwargs: Any) -> Engine:
        return (TiedEngine if self.tied_weights else Engine)(*args, **kwargs)

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        X = validate_data(self, X, accept_sparse=["csr", "csc"], dtype=self._dtypes, reset=reset)
        if self.loss == "log_loss" and (X.min() < 0 or X.max() > 1):
            raise ValueError(
                f"loss='log_loss' needs X in [0, 1], got values from {X.min():g} to {X.max():g}; scale X, or choose "
                "loss='squared_error'."
            )
        Y = X.toarray() if scipy.sparse.issparse(X) else X
        return (Y if self.tied_weights else X), Y

    # ---- fitting

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        X_val: Any = None,
        sample_weight_val: Any = None,
        *,
        resume_from: Any = None,
    ) -> Self:
        """Learn to reconstruct X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data. If X is sparse, a dense copy is made for the targets.
        y : Ignored
            Accepted for the interface of pipelines.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            Validation data, see `MLPRegressor.fit`.
        sample_weight_val : array-like of shape (n_val,), default=None
            Sample weights of X_val.
        resume_from : str or path-like, default=None
            A checkpoint, see `MLPRegressor.fit`.

        Returns
        -------
        self : object
            The fitted transformer.
        """
        validation = X_val, None, sample_weight_val
        with fit_tasks(self, X, y, sample_weight) as tasks:
            fit_model(self, X, None, sample_weight, validation=validation, tasks=tasks, resume_from=resume_from)
        return self

    @available_if(lambda self: self._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None, n_epochs: int = 1) -> Self:
        """Update the model with one pass over the given data.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data.
        y : Ignored
            Accepted for the interface of pipelines.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.
        n_epochs : int, default=1
            Number of passes over the data. The rows are shuffled for each pass, as `fit` does.

        Returns
        -------
        self : object
            The transformer.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from fastmlp import MLPAutoencoder
        >>> X, _ = load_digits(return_X_y=True)
        >>> coder = MLPAutoencoder(8, random_state=0)
        >>> coder.partial_fit(X / 16, n_epochs=5).n_iter_
        5
        """
        fit_model(self, X, None, sample_weight=sample_weight, incremental=True, n_epochs=n_epochs)
        return self

    # ---- encoder and decoder

    def _half(self, X: Any, decoder: bool) -> Array:
        """Return the output of the encoder, or of the decoder, for validated X."""
        network = current_network(self)
        k = (len(network.units) - 1) // 2
        gammas, betas = (self.gammas_, self.betas_) if network.batch_norm else ([], [])
        part = slice(k, None) if decoder else slice(0, k)
        coefs, intercepts = list(self.coefs_[part]), list(self.intercepts_[part])
        units, link, loss = network.units[part], network.link, network.loss
        if not decoder:
            # A last layer that is the identity: the output is exactly the values of the hidden layer before it.
            code = network.units[k]
            coefs.append(np.eye(code, dtype=coefs[0].dtype))
            intercepts.append(np.zeros(code, dtype=coefs[0].dtype))
            units, link, loss = (*units, code, code), "identity", "squared_error"
        half = Network(
            units,
            network.activations[part],
            link,
            loss,
            maxout_pieces=network.maxout_pieces,
            residual=network.residual,
            batch_norm=network.batch_norm,
        )
        dtype = np.result_type(*coefs, X.dtype, np.float32)
        stats = np.empty(half.table()[1].stats, dtype)
        if network.batch_norm:
            for ours, all_layers in zip(half.running(stats), network.running(self._stats), strict=True):
                for target, source in zip(ours, all_layers[part], strict=True):
                    target[...] = source
        w = half.pack((coefs, intercepts, gammas[part], betas[part]), dtype)
        return predict(half, w, stats, X, lambda: available_threads(self.n_jobs))

    @property
    def _n_features_out(self) -> int:
        """Return the number of columns of the codes."""
        return current_network(self).units[(self.n_layers_ - 1) // 2]

    def transform(self, X: Any) -> Array:
        """Encode X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data.

        Returns
        -------
        codes : ndarray of shape (n_samples, n_codes)
            Values of the narrowest layer.
        """
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=["csr", "csc"], dtype=self._dtypes, reset=False)
        return self._half(X, decoder=False).astype(X.dtype, copy=False)

    def inverse_transform(self, X: Any) -> Array:
        """Decode codes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_codes)
            Codes, from `transform` or any other source.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features)
            The output of the decoder.
        """
        check_is_fitted(self)
        X = check_array(X, dtype=self._dtypes)
        if X.shape[1] != self._n_features_out:
            raise ValueError(
                f"X must have {self._n_features_out} columns, one for each unit of the narrowest layer, got"
                f" {X.shape[1]}."
            )
        return self._half(X, decoder=True).astype(X.dtype, copy=False)

    def reconstruct(self, X: Any) -> Array:
        """Encode and decode X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data.

        Returns
        -------
        X_reconstructed : ndarray of shape (n_samples, n_features)
            The output of the network.
        """
        check_is_fitted(self)
        return network_outputs(self, X)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the fraction of the variance of X that is explained.

        This is ``1 - |X - reconstruct(X)|^2 / |X - mean|^2``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data.
        y : Ignored
            Accepted for the interface of pipelines.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.

        Returns
        -------
        float
            At most 1. For PCA, it is the sum of `explained_variance_ratio_`.
        """
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=["csr", "csc"], dtype=self._dtypes, reset=False)
        return self._score(X, X.toarray() if scipy.sparse.issparse(X) else X, sample_weight)

    def _predict(self, X: Any, check_input: bool = True) -> Array:
        return network_outputs(self, X, check_input)

    def _score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        return score_predictions(self, X, y, sample_weight, _explained_variance)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"] if self.dtype is None else [self.dtype]
        return tags


def _explained_variance(X: Array, reconstructed: Array, sample_weight: Any = None) -> float:
    return float(r2_score(X, reconstructed, sample_weight=sample_weight, multioutput="variance_weighted"))
