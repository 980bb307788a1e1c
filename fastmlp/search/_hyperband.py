"""Hyperband: successive halving over epochs, in which the remaining candidates continue their training."""

import time
import warnings
from collections import defaultdict
from collections.abc import Sequence
from numbers import Integral
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import clone, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import ParameterGrid, ParameterSampler, check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils import Tags, indexable
from sklearn.utils.parallel import Parallel, delayed

from ._brackets import Bracket, brackets, deal
from ._folds import Fold, Scoring, Training, fit_steps, train
from ._parameters import key_of, share_params
from ._sklearn import (
    BaseSearchCV,
    Interval,
    StrOptions,
    check_method_params,
    fit_context,
    has_callbacks,
    insert_error_scores,
    metrics_of,
    warn_or_raise_about_fit_failures,
)

__all__ = ["HyperbandSearchCV"]

RESOURCE = "max_iter"
# Beginnings of the warnings about `max_iter`, which the search itself sets. All other warnings of the refit are shown.
BUDGET_REACHED = r"Stochastic Optimizer: Maximum iterations|lbfgs failed to converge .*\(max_iter="
TASKS_PER_WORKER = 3  # candidates differ in cost: smaller tasks keep all workers busy to the end


class _Candidate(NamedTuple):
    """A set of parameters, and its training in each fold."""

    bracket: int  # its place in the list of brackets
    number: int  # in the order of sampling, to break ties
    params: dict[str, Any]
    steps: int  # index of the setting of the steps before the network
    trainings: list[Training]


class HyperbandSearchCV(BaseSearchCV):
    """Search over parameters of a network that stops training bad candidates early (Hyperband).

    Successive halving trains many candidates for a few epochs, keeps the best one in `factor`, trains these for
    `factor` times as many epochs, and so on, until one or a few candidates have trained for `max_resources` epochs. The
    number of epochs that is needed to recognise good candidates is not known in advance, so Hyperband runs several such
    brackets, from many candidates with few epochs to few candidates with all epochs (Li et al. 2018, algorithm 1). A
    remaining candidate continues training from its weights (`warm_start=True`).

    The class has the interface of the searches in `sklearn.model_selection`: the same results, attributes and
    parallelism through joblib, including Dask and Ray. Results do not depend on `n_jobs` or the backend.

    Parameters
    ----------
    estimator : estimator object
        An estimator with the parameters `max_iter` and `warm_start`, such as `MLPClassifier`, `MLPRegressor` and
        `MLPAutoencoder`, or a `Pipeline` whose last step is one. Steps before it are fitted once for each fold and each
        setting of their parameters.
    param_distributions : dict or list of dict
        Names of parameters with lists of values, or distributions with a method `rvs`, as for
        `RandomizedSearchCV`. Candidates are sampled, without replacement if all are lists. If the lists allow fewer
        candidates than the brackets take, every combination is tried once, and the brackets shrink in proportion.
        `max_iter` is not allowed.
    max_resources : int or 'auto', default='auto'
        Number of epochs (for solver='lbfgs', iterations) of a candidate that is never eliminated. 'auto' means the
        `max_iter` of `estimator`.
    min_resources : int, default=5
        Smallest number of epochs after which a candidate may be eliminated. Larger values result in fewer brackets and
        fewer candidates. On small data, scores after two epochs are unreliable and take longer than the epochs.
    factor : int, default=3
        Each elimination keeps one candidate in `factor`.
    scoring : str, callable, list, tuple or dict, default=None
        As in `GridSearchCV`. With several metrics, `refit` must name the one that ranks candidates. A function that
        was not created by `sklearn.metrics.make_scorer` receives the whole pipeline and untransformed data.
    n_jobs : int or None, default=None
        Number of jobs. The `n_jobs` of the estimator is the number of threads of each job.
    refit : bool, str or callable, default=True
        As in `GridSearchCV`: whether to fit the best candidate to all data, from the beginning.
    cv : int, cross-validation generator or iterable, default=None
        As in `GridSearchCV`. The splits are drawn once.
    verbose : int, default=0
        Whether to print the number of candidates and epochs of each rung.
    pre_dispatch : int or str, default='2*n_jobs'
        As in `GridSearchCV`.
    random_state : int, RandomState instance or None, default=None
        Random state of the sampling. For reproducible results, also set that of `estimator`.
    error_score : 'raise' or float, default=np.nan
        Score of a failed fit, whose candidate is eliminated. 'raise' raises the error.
    return_train_score : bool, default=False
        Whether `cv_results_` includes the scores on the training rows.

    Attributes
    ----------
    cv_results_ : dict of ndarray
        As in `GridSearchCV`, with one row for each candidate and rung. `params` includes `max_iter`, the total
        number of epochs of the candidate. Further columns are `bracket` (the number of eliminations planned for the
        candidate's bracket), `iter` (the rung, from 0) and `n_resources` (as `max_iter`). Times are those of the
        rung alone: of the epochs added, without the steps before the network.
    best_estimator_, best_score_, best_params_, best_index_, refit_time_, scorer_, multimetric_, n_splits_
        As in `GridSearchCV`. The best row is selected from all rungs (Li et al. 2018), not only from the last ones.
    n_candidates_ : list of list of int
        Number of candidates in each rung of each bracket.
    n_resources_ : list of list of int
        Total number of epochs after each rung of each bracket.
    max_resources_ : int
        The value of `max_resources`, or `max_iter` of the estimator for 'auto'.
    classes_, n_features_in_, feature_names_in_
        Attributes of `best_estimator_`.

    Raises
    ------
    ValueError
        From `fit`: the last step has no `max_iter` or `warm_start`, `max_iter` is searched, `min_resources` exceeds
        the maximum, several metrics come without the name of one in `refit`, the search itself was given callbacks, or
        all fits failed.

    See Also
    --------
    sklearn.model_selection.HalvingRandomSearchCV : One bracket, which starts every fit from the beginning.

    Notes
    -----
    `warm_start` keeps the weights and the loss curve, while the moments of the optimizer and the learning rate start
    again in every rung. The score of a candidate therefore differs slightly from that of a single fit with the same
    number of epochs, such as `best_estimator_`. A candidate that stops by itself (`tol`, `n_iter_no_change`) is not
    trained further. ConvergenceWarning is silenced while candidates train, because each rung ends before convergence by
    design. `best_estimator_` trains for the number of epochs with which its parameters were scored, so the warning that
    it has reached `max_iter` is silenced as well. If `best_params_` has the largest number of epochs, `max_resources_`,
    a search with a larger `max_resources` may find a better model. With `early_stopping=True`, every rung draws a
    separate validation set. Schedules that depend on the fraction of training that is done, such as
    learning_rate='cosine', run over the epochs of each rung.

    References
    ----------
    Li, Jamieson, DeSalvo, Rostamizadeh & Talwalkar (2018), "Hyperband: a novel bandit-based approach to
    hyperparameter optimization", Journal of Machine Learning Research 18(185).

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from fastmlp import MLPClassifier
    >>> from fastmlp.search import HyperbandSearchCV
    >>> X, y = load_wine(return_X_y=True)
    >>> pipeline = make_pipeline(StandardScaler(), MLPClassifier(random_state=0))
    >>> space = {
    ...     "mlpclassifier__hidden_layer_sizes": [10, 30, 100],
    ...     "mlpclassifier__learning_rate_init": [0.001, 0.003, 0.01, 0.03],
    ... }
    >>> search = HyperbandSearchCV(pipeline, space, max_resources=243, random_state=0).fit(X, y)
    >>> bool(search.best_score_ > 0.95)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseSearchCV._parameter_constraints,
        "param_distributions": [dict, list],
        "max_resources": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "min_resources": [Interval(Integral, 1, None, closed="left")],
        "factor": [Interval(Integral, 2, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any,
        param_distributions: Any,
        *,
        max_resources: int | str = "auto",
        min_resources: int = 5,
        factor: int = 3,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: int | str = "2*n_jobs",
        random_state: int | np.random.RandomState | None = None,
        error_score: Any = np.nan,
        return_train_score: bool = False,
    ) -> None:
        super().__init__(
            estimator=estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.param_distributions = param_distributions
        self.max_resources = max_resources
        self.min_resources = min_resources
        self.factor = factor
        self.random_state = random_state

    # ---- what is searched

    def _prefix(self) -> str:
        """Check that the last step is a network, and return the prefix of its parameter names."""
        network, prefix = self.estimator, ""
        if isinstance(network, Pipeline):
            name, network = network.steps[-1]
            prefix = f"{name}__"
        known = network.get_params(deep=False) if hasattr(network, "get_params") else {}
        missing = [parameter for parameter in (RESOURCE, "warm_start") if parameter not in known]
        if missing:
            raise ValueError(
                "estimator must be a network with the parameters 'max_iter' and 'warm_start', or a Pipeline that ends "
                f"in one, so that a candidate can go on training; {network!r} has no {' and no '.join(missing)}."
            )
        return prefix

    def _sample(self, prefix: str) -> tuple[list[Bracket], list[dict[str, Any]]]:
        """Return the brackets and all candidates, bracket after bracket."""
        self.max_resources_ = int(
            self.estimator.get_params()[prefix + RESOURCE] if self.max_resources == "auto" else self.max_resources
        )
        if self.min_resources > self.max_resources_:
            raise ValueError(f"min_resources={self.min_resources} must not exceed max_resources={self.max_resources_}.")
        spaces = self.param_distributions if isinstance(self.param_distributions, list) else [self.param_distributions]
        if not spaces:
            raise ValueError("param_distributions must have at least one dict, got [].")
        if any(prefix + RESOURCE in space for space in spaces):
            raise ValueError(
                f"param_distributions may not contain {prefix + RESOURCE!r}: Hyperband itself sets the epochs, up to "
                "max_resources."
            )
        whole = brackets(self.max_resources_, int(self.min_resources), int(self.factor))
        if all(not hasattr(values, "rvs") for space in spaces for values in space.values()):
            whole = deal(whole, len(ParameterGrid(spaces)))
        n = sum(bracket.candidates for bracket in whole)
        return whole, list(ParameterSampler(spaces, n, random_state=self.random_state))

    def _ranking_metric(self, scorers: Any) -> str | None:
        """Return the name of the metric that ranks candidates, or None if there is only one metric."""
        if metrics_of(scorers) is None:
            return None
        if not isinstance(self.refit, str):
            raise ValueError(
                f"With several metrics, refit must name the one that ranks candidates: one of {list(self.scoring)}, "
                f"got {self.refit!r}."
            )
        return self.refit

    # ---- fitting

    @fit_context(prefer_skip_nested_validation=False)  # type: ignore[untyped-decorator, unused-ignore]
    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Search, and fit the best candidate.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            The target values.
        **params : dict
            For the estimator's `fit`, the scorer and the splitter (`groups`), as in `GridSearchCV`.

        Returns
        -------
        self : object
            The fitted search.
        """
        if has_callbacks(self):
            raise ValueError("HyperbandSearchCV does not support callbacks: set them on the estimator.")
        scorers, refit_metric = self._get_scorers()
        metric = self._ranking_metric(scorers)
        prefix = self._prefix()
        X, y = indexable(X, y)
        params = check_method_params(X, params=params)
        routed = self._get_routed_params_for_fit(params)
        splitter = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        splits = list(splitter.split(X, y, **routed.splitter.split))
        if not splits:
            raise ValueError(f"cv must give at least one split, got none from {self.cv!r}.")
        self.n_splits_ = len(splits)
        plan, sampled = self._sample(prefix)
        scoring = Scoring(scorers, routed.scorer.score, self.return_train_score, self.error_score, prefix[:-2])

        with warnings.catch_warnings(), Parallel(n_jobs=self.n_jobs, pre_dispatch=self.pre_dispatch) as parallel:
            warnings.simplefilter("ignore", ConvergenceWarning)
            candidates, folds = self._begin(plan, sampled, prefix, X, y, splits, routed.estimator.fit, parallel)
            rows, results = self._search(plan, candidates, folds, scoring, prefix, metric, parallel)

        warn_or_raise_about_fit_failures(results, self.error_score)
        if callable(self.scoring):
            insert_error_scores(results, self.error_score)
        more = {name: rows[name] for name in ("bracket", "iter", "n_resources")}
        found = self._format_results(rows["params"], self.n_splits_, results, more)
        first = results[0]["test_scores"]
        self.multimetric_ = isinstance(first, dict)
        if callable(self.scoring) and self.multimetric_:
            refit_metric = self.refit
        if self.refit or not self.multimetric_:
            self.best_index_ = self._select_best_index(self.refit, refit_metric, found)
            if not callable(self.refit):
                self.best_score_ = found[f"mean_test_{refit_metric}"][self.best_index_]
            self.best_params_ = found["params"][self.best_index_]
        if self.refit:
            self._refit(X, y, routed.estimator.fit)
        self.scorer_ = metrics_of(scorers) or scorers
        self.cv_results_ = found
        return self

    def _refit(self, X: Any, y: Any, fit_params: dict[str, Any]) -> None:
        # Clone the values, too, because a parameter may be an estimator that replaces a step.
        self.best_estimator_ = clone(self.estimator).set_params(**clone(self.best_params_, safe=False))
        begin = time.perf_counter()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", BUDGET_REACHED, ConvergenceWarning)
            self.best_estimator_.fit(X, **({} if y is None else {"y": y}), **fit_params)
        self.refit_time_ = time.perf_counter() - begin
        if hasattr(self.best_estimator_, "feature_names_in_"):
            self.feature_names_in_ = self.best_estimator_.feature_names_in_

    def _begin(
        self,
        plan: Sequence[Bracket],
        sampled: Sequence[dict[str, Any]],
        prefix: str,
        X: Any,
        y: Any,
        splits: Sequence[tuple[Any, Any]],
        fit_params: dict[str, Any],
        parallel: Parallel,
    ) -> tuple[list[_Candidate], list[list[Fold]]]:
        """Return the untrained candidates, and the folds of each setting of the steps before the network."""
        of_bracket = [b for b, bracket in enumerate(plan) for _ in range(bracket.candidates)]
        candidates: list[_Candidate] = []
        settings: dict[Any, int] = {}
        pipelines: list[Any] = []
        for number, (b, params) in enumerate(zip(of_bracket, sampled, strict=True)):
            model = clone(self.estimator).set_params(**clone(params, safe=False))
            key = key_of(
                {name: value for name, value in params.items() if not name.startswith(prefix)} if prefix else {}
            )
            if key not in settings:
                settings[key] = len(pipelines)
                pipelines.append(model)
            network = model.steps[-1][1] if prefix else model
            trainings = [Training(clone(network)) for _ in splits]
            candidates.append(_Candidate(b, number, params, settings[key], trainings))

        if not prefix or len(self.estimator.steps) == 1:
            own = {name.removeprefix(prefix): value for name, value in fit_params.items()}
            return candidates, [[Fold(X, y, train, test, own) for train, test in splits] for _ in pipelines]
        shares = [share_params(pipeline, fit_params) for pipeline in pipelines]
        folds = [[Fold(X, y, train_rows, test_rows, own) for train_rows, test_rows in splits] for _, own in shares]
        settled = parallel(
            delayed(fit_steps)(clone(pipeline[:-1]), fold, for_steps, self.error_score)
            for pipeline, (for_steps, _), of_setting in zip(pipelines, shares, folds, strict=True)
            for fold in of_setting
        )
        fields = iter(settled)
        return candidates, [[fold._replace(**next(fields)) for fold in of_setting] for of_setting in folds]

    def _search(
        self,
        plan: Sequence[Bracket],
        candidates: list[_Candidate],
        folds: list[list[Fold]],
        scoring: Scoring,
        prefix: str,
        metric: str | None,
        parallel: Parallel,
    ) -> tuple[dict[str, list[Any]], list[dict[str, Any]]]:
        """Run all brackets in parallel, rung by rung; return the columns and the result of each fit."""
        factor = int(self.factor)
        rows: dict[str, list[Any]] = defaultdict(list)
        results: list[dict[str, Any]] = []
        self.n_candidates_: list[list[int]] = [[] for _ in plan]
        self.n_resources_: list[list[int]] = [[] for _ in plan]
        for rung in range(len(plan[0].resources)):
            alive = [candidate for candidate in candidates if rung < len(plan[candidate.bracket].resources)]
            if not alive:
                break
            self._train(alive, [plan[c.bracket] for c in alive], rung, folds, scoring, parallel)
            candidates = []
            for b, bracket in enumerate(plan):
                here = [candidate for candidate in alive if candidate.bracket == b]
                if not here:
                    continue
                epochs = bracket.resources[rung]
                self.n_candidates_[b].append(len(here))
                self.n_resources_[b].append(epochs)
                if self.verbose:
                    print(f"bracket {bracket.eliminations}, rung {rung}: {len(here)} candidates, {epochs} epochs")  # noqa: T201
                for candidate in here:
                    rows["bracket"].append(bracket.eliminations)
                    rows["iter"].append(rung)
                    rows["n_resources"].append(epochs)
                    rows["params"].append({**candidate.params, prefix + RESOURCE: epochs})
                    results += [training.result for training in candidate.trainings if training.result is not None]
                scores = [self._mean_score(candidate, metric) for candidate in here]
                # Eliminate failed candidates regardless of their number. Ties go to the candidate sampled first.
                order = sorted(np.flatnonzero(np.isfinite(scores)), key=lambda i: (-scores[i], here[i].number))
                candidates += [here[i] for i in order[: bracket.survivors(rung + 1, factor)]]
        return rows, results

    def _mean_score(self, candidate: _Candidate, metric: str | None) -> float:
        """Return the mean score of the candidate, NaN if one of its fits failed."""
        scores = []
        for training in candidate.trainings:
            assert training.result is not None
            if training.result["fit_error"] is not None:
                return np.nan
            score = training.result["test_scores"]
            if isinstance(score, dict) and metric is None:  # the type of a function's result is only known now
                self._check_refit_for_multimetric(score)
                if not isinstance(self.refit, str):
                    raise ValueError(
                        "With several metrics, refit must name the one that ranks candidates: one of "
                        f"{list(score)}, got {self.refit!r}."
                    )
                metric = self.refit
            scores.append(score[metric] if metric is not None else score)
        return float(np.mean(scores))

    def _train(
        self,
        candidates: Sequence[_Candidate],
        plan: Sequence[Bracket],
        rung: int,
        folds: list[list[Fold]],
        scoring: Scoring,
        parallel: Parallel,
    ) -> None:
        """Train candidates up to the epochs of the rung in their bracket, in tasks that share the data of a fold."""
        epochs = [bracket.resources[rung] for bracket in plan]
        keep = [rung + 1 < len(bracket.resources) for bracket in plan]
        by_steps: dict[int, list[int]] = defaultdict(list)
        for i in sorted(range(len(candidates)), key=lambda i: -epochs[i]):
            by_steps[candidates[i].steps].append(i)
        groups = len(by_steps) * self.n_splits_
        workers = effective_n_jobs(self.n_jobs)
        pieces = 1 if workers == 1 else -(-TASKS_PER_WORKER * workers // groups)
        tasks = [
            (f, members[piece::pieces], folds[steps][f])
            for steps, members in by_steps.items()
            for piece in range(min(pieces, len(members)))
            for f in range(self.n_splits_)
        ]
        trained = parallel(
            delayed(train)(
                [candidates[i].trainings[f] for i in members],
                [epochs[i] for i in members],
                [keep[i] for i in members],
                fold,
                scoring,
            )
            for f, members, fold in tasks
        )
        for (f, members, _), done in zip(tasks, trained, strict=True):
            for i, training in zip(members, done, strict=True):
                candidates[i].trainings[f] = training

    def _run_search(self, evaluate_candidates: Any, **context: Any) -> None:
        raise NotImplementedError("HyperbandSearchCV does not evaluate candidates independently of each other.")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.array_api_support = False
        return tags
