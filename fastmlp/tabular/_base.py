"""What the tabular classifier and regressor share: an ensemble of networks, trained in cross-validation."""

from abc import abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.preprocessing import TargetEncoder
from sklearn.utils import Tags, check_consistent_length, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from fastmlp.estimators import MLPClassifier, MLPRegressor
from fastmlp.estimators._sklearn import _fit_context
from fastmlp.estimators._validation import check_sample_weight
from fastmlp.training._threads import available_threads

from ._encoder import Encoded, TableEncoder
from ._folds import deal_folds
from ._frame import read_columns
from ._shared_parameters import TabularParameters
from ._training import train, train_on_all_rows

__all__ = ["_BaseTabularMLP"]

SEED_LIMIT = np.iinfo(np.int32).max


class _Rows(NamedTuple):
    """What one network is trained and validated on."""

    X: NDArray[Any]  # float32
    y: NDArray[Any]  # class numbers, or standardised values
    weight: NDArray[Any] | None


class _Member(NamedTuple):
    """One network of the ensemble, and the encoding of many-level categories that belongs to it."""

    network: MLPClassifier | MLPRegressor
    target_encoder: TargetEncoder | None
    validation_losses: list[float]


class _BaseTabularMLP(BaseEstimator, TabularParameters):
    """What classifier and regressor share."""

    _classes: ClassVar[bool]  # whether the target is classes

    # ---- what a subclass says

    @abstractmethod
    def _fit_target(self, y: Any, weight: NDArray[Any] | None) -> NDArray[Any]:
        """Return the targets as networks learn them, and learn how to undo that."""

    @abstractmethod
    def _network(self, seed: int, batch_size: int, n_jobs: int) -> MLPClassifier | MLPRegressor:
        """Return an untrained network."""

    @abstractmethod
    def _train_epoch(self, network: Any, rows: _Rows) -> None:
        """Train for one epoch."""

    @abstractmethod
    def _validation_loss(self, network: Any, rows: _Rows) -> float:
        """Return the loss on rows that are held out."""

    @abstractmethod
    def _predict_network(self, network: Any, X: NDArray[Any]) -> NDArray[Any]:
        """Return what the ensemble averages, (m, K) or (m,), for an encoded table."""

    @abstractmethod
    def _fit_finish(self, prediction: NDArray[Any], Y: NDArray[Any], weight: NDArray[Any] | None) -> None:
        """Learn from out-of-fold means, NaN where there is none, what `_finish` does."""

    @abstractmethod
    def _finish(self, prediction: NDArray[Any]) -> NDArray[Any]:
        """Return predictions, given the mean over networks."""

    @abstractmethod
    def _target_type(self) -> str:
        """Return the type of the target in scikit-learn's `TargetEncoder`."""

    # ---- fitting

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the ensemble to a table.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            The table; see `TableEncoder` for what it may contain.
        y : array-like of shape (n_samples,)
            The target.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, at least 0. Rows of weight 0 are not used.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        TypeError, ValueError
            The data are not allowed; the message names the column. A fitted estimator stays as it was.
        """
        with self._unchanged_on_error():
            columns = read_columns(X)
            validate_data(self, X, reset=True, skip_check_array=True)
            m = len(columns[0].values)
            y = self._check_target(y)
            check_consistent_length(columns[0].values, y)
            weight = None
            rows = np.arange(m)
            if sample_weight is not None:
                weight = check_sample_weight(sample_weight, m, non_negative=True).astype(np.float64)
                rows = np.flatnonzero(weight)
                weight = weight[rows] / weight[rows].mean()
            if len(rows) < self.n_folds:
                raise ValueError(
                    f"X has n_samples={len(rows)} (rows of weight 0 not counted), fewer than n_folds={self.n_folds}: "
                    "every fold needs a row. Lower n_folds or add rows."
                )
            Y = self._fit_target(y[rows], weight)
            random = check_random_state(self.random_state)
            self.encoder_ = TableEncoder(
                self.n_bins,
                max_one_hot=self.max_one_hot,
                target_type=self._target_type(),
                random_state=int(random.randint(SEED_LIMIT)),
            )
            encoded = self.encoder_._fit_columns(columns, rows)
            self.encoder_._finish_fit(self, encoded.codes[rows], y[rows])
            self._fit_members(encoded, rows, Y, weight, random)
        return self

    def _fit_members(
        self,
        encoded: Encoded,
        rows: NDArray[Any],
        Y: NDArray[Any],
        weight: NDArray[Any] | None,
        random: np.random.RandomState,
    ) -> None:
        """Train all networks; set `estimators_` and the predictions for the rows that each had not seen by then."""
        n_networks, n_folds = int(self.n_estimators), int(self.n_folds)
        repeats = [deal_folds(Y, n_folds, random, classes=self._classes) for _ in range(0, n_networks, n_folds)]
        seeds = random.randint(SEED_LIMIT, size=n_networks)
        threads = available_threads(self.n_jobs)
        side_by_side = min(threads, n_networks)
        without_weight = np.setdiff1d(np.arange(len(encoded.matrix)), rows)
        used = Encoded(encoded.matrix[rows], encoded.codes[rows]) if len(rows) < len(encoded.matrix) else encoded

        def one(k: int) -> tuple[_Member, NDArray[Any], NDArray[Any]]:
            held_out = repeats[k // n_folds] == k % n_folds
            member = self._fit_member(used, Y, weight, held_out, int(seeds[k]), max(1, threads // side_by_side))
            unseen = rows[held_out]
            prediction = self._predict_member(member, encoded, unseen)
            member = self._continue_on_all_rows(member, used, Y, weight)
            if len(without_weight):  # no training sees them
                unseen = np.concatenate([unseen, without_weight])
                prediction = np.concatenate([prediction, self._predict_member(member, encoded, without_weight)])
            return member, unseen, prediction

        # Threads, because the kernels release the interpreter's lock, and the encoded table is shared.
        with ThreadPoolExecutor(side_by_side) as pool:
            results = list(pool.map(one, range(n_networks)))
        total = np.zeros((len(encoded.matrix), *results[0][2].shape[1:]))
        count = np.zeros(len(encoded.matrix))
        for _, unseen, prediction in results:
            total[unseen] += prediction
            count[unseen] += 1
        with np.errstate(invalid="ignore"):
            mean = np.divide(total.T, count).T
        self._fit_finish(mean[rows], Y, weight)
        self.oof_prediction_ = self._finish(mean)
        self._members = [member for member, _, _ in results]
        self.estimators_ = [member.network for member in self._members]
        self.n_iter_ = max(len(member.validation_losses) for member in self._members)

    def _fit_member(
        self,
        encoded: Encoded,
        Y: NDArray[Any],
        weight: NDArray[Any] | None,
        held_out: NDArray[Any],
        seed: int,
        n_jobs: int,
    ) -> _Member:
        """Train one network on the rows that are not held out, to the epoch of the lowest loss on those that are."""
        kept = np.flatnonzero(~held_out)
        checked = np.flatnonzero(held_out)
        X, target_encoder = self._with_target_encoding(encoded.matrix[kept], encoded.codes[kept], Y[kept])
        X_checked = encoded.matrix[checked]
        if target_encoder is not None:
            X_checked = np.hstack([X_checked, target_encoder.transform(encoded.codes[checked]).astype(np.float32)])
        training = _Rows(X, Y[kept], None if weight is None else weight[kept])
        validation = _Rows(X_checked, Y[checked], None if weight is None else weight[checked])
        network = self._network(seed, min(int(self.batch_size), len(kept)), n_jobs)
        losses = train(
            network,
            lambda: self._train_epoch(network, training),
            lambda: self._validation_loss(network, validation),
            max_iter=int(self.max_iter),
            n_iter_no_change=int(self.n_iter_no_change),
        )
        return _Member(network, target_encoder, losses)

    def _with_target_encoding(
        self, X: NDArray[Any], codes: NDArray[Any], Y: NDArray[Any]
    ) -> tuple[NDArray[Any], TargetEncoder | None]:
        """Append the cross-fitted encoding of many-level categories, if there are any; return its encoder as well."""
        if not codes.shape[1]:
            return X, None
        encoder = self.encoder_.new_target_encoder()
        return np.hstack([X, encoder.fit_transform(codes, Y).astype(np.float32)]), encoder

    def _continue_on_all_rows(
        self, member: _Member, encoded: Encoded, Y: NDArray[Any], weight: NDArray[Any] | None
    ) -> _Member:
        """Train a network further on all rows. Its predictions for the rows that it has held out must come before."""
        X, target_encoder = self._with_target_encoding(encoded.matrix, encoded.codes, Y)
        rows, network = _Rows(X, Y, weight), member.network
        best_epoch = int(np.argmin(member.validation_losses)) + 1
        train_on_all_rows(network, lambda: self._train_epoch(network, rows), best_epoch)
        network.set_params(n_jobs=None)
        return member._replace(target_encoder=target_encoder)

    @contextmanager
    def _unchanged_on_error(self) -> Iterator[None]:
        """Let a refused fit leave the estimator as it was."""
        before = self.__dict__.copy()
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    # ---- predicting

    def _predict_mean(self, X: Any) -> NDArray[Any]:
        """Return the mean prediction of the networks, (m, K) or (m,)."""
        check_is_fitted(self)
        columns = read_columns(X)
        validate_data(self, X, reset=False, skip_check_array=True)
        encoded = self.encoder_._encode(columns)
        total = sum((self._predict_member(member, encoded) for member in self._members), start=np.zeros(()))
        return self._finish(total / len(self._members))

    def _predict_member(
        self, member: _Member, encoded: Encoded, rows: NDArray[Any] | slice = slice(None)
    ) -> NDArray[Any]:
        X = encoded.matrix[rows]
        if member.target_encoder is not None:
            X = np.hstack([X, member.target_encoder.transform(encoded.codes[rows]).astype(np.float32)])
        return self._predict_network(member.network, X)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        return tags
