"""Hyperband: candidates continue their training, results match scikit-learn's searches, for every backend of joblib."""

import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_array_equal
from scipy.stats import loguniform
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.linear_model import Ridge
from sklearn.metrics import accuracy_score, get_scorer, make_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, ShuffleSplit, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmlp import MLPAutoencoder, MLPClassifier, MLPRegressor
from fastmlp.search import HyperbandSearchCV

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SPACE = {"alpha": [1e-4, 1e-1, 10.0], "learning_rate_init": [1e-4, 1e-3, 1e-2], "hidden_layer_sizes": [3, 8]}
SETTINGS = {"max_resources": 9, "min_resources": 1, "cv": 3, "random_state": 0}


def classifier(**params):
    return MLPClassifier(hidden_layer_sizes=8, random_state=0).set_params(**params)


def scores_of(search):
    """Everything in `cv_results_` but times."""
    return {key: value for key, value in search.cv_results_.items() if not key.endswith("time")}


def assert_same_results(first, second):
    assert scores_of(first).keys() == scores_of(second).keys()
    for key, value in scores_of(first).items():
        assert_array_equal(value, scores_of(second)[key], err_msg=key)
    assert first.best_params_ == second.best_params_


def with_prefix(space, name):
    return {f"{name}__{parameter}": values for parameter, values in space.items()}


def test_a_candidate_continues_its_training(problems):
    """The scores of every rung are those of fits with warm_start from rung to rung."""
    X, y = problems["multiclass"][2:4]
    splits = list(StratifiedKFold(2).split(X, y))
    search = HyperbandSearchCV(classifier(), SPACE, **{**SETTINGS, "cv": splits}, return_train_score=True).fit(X, y)
    results = search.cv_results_
    identities = [
        (bracket, *((name, value) for name, value in params.items() if name != "max_iter"))
        for bracket, params in zip(results["bracket"], results["params"], strict=True)
    ]
    continued = 0
    for identity in dict.fromkeys(identities):
        rows = [i for i, other in enumerate(identities) if other == identity]
        assert_array_equal(results["iter"][rows], range(len(rows)))
        assert_array_equal(np.diff(results["n_resources"][rows]) > 0, True)
        continued += len(rows) > 1
        for fold, (train, test) in enumerate(splits):
            model, before = classifier(**dict(identity[1:]), warm_start=True), 0
            for i in rows:
                epochs = int(results["n_resources"][i])
                model.set_params(max_iter=epochs - before).fit(X[train], y[train])
                before = epochs
                assert results[f"split{fold}_test_score"][i] == model.score(X[test], y[test])
                assert results[f"split{fold}_train_score"][i] == model.score(X[train], y[train])
    assert continued > 2


def test_results_have_the_form_of_grid_search(problems):
    X, y = problems["multiclass"][2:4]
    search = HyperbandSearchCV(classifier(), SPACE, **SETTINGS, return_train_score=True).fit(X, y)
    grid = GridSearchCV(classifier(max_iter=2), {**SPACE, "max_iter": [2]}, cv=3, return_train_score=True).fit(X, y)
    assert search.cv_results_.keys() == grid.cv_results_.keys() | {"bracket", "iter", "n_resources"}
    for key, value in grid.cv_results_.items():
        assert type(search.cv_results_[key]) is type(value), key

    rows = sum(sum(rungs) for rungs in search.n_candidates_)
    assert all(len(column) == rows for column in search.cv_results_.values())
    assert search.best_score_ == search.cv_results_["mean_test_score"].max()
    assert search.best_params_ == search.cv_results_["params"][search.best_index_]
    assert search.best_params_["max_iter"] == search.cv_results_["n_resources"][search.best_index_]
    assert search.cv_results_["rank_test_score"][search.best_index_] == 1
    assert search.max_resources_ == 9
    # The best candidate is fitted to all data from the beginning.
    again = classifier(**search.best_params_).fit(X, y)
    for a, b in zip(search.best_estimator_.coefs_, again.coefs_, strict=True):
        assert_array_equal(a, b)
    assert search.score(X, y) == again.score(X, y)
    assert_array_equal(search.predict(X), again.predict(X))
    assert_array_equal(search.classes_, again.classes_)


def test_every_candidate_of_a_small_grid_is_tried_once(problems):
    X, y = problems["multiclass"][2:4]
    search = HyperbandSearchCV(classifier(), SPACE, **{**SETTINGS, "max_resources": 27}).fit(X, y)
    first = search.cv_results_["iter"] == 0
    tried = [tuple(sorted(p.items())) for p, new in zip(search.cv_results_["params"], first, strict=True) if new]
    tried = {tuple(pair for pair in params if pair[0] != "max_iter") for params in tried}
    assert len(tried) == first.sum() == 18
    assert sum(rungs[0] for rungs in search.n_candidates_) == 18


@pytest.mark.parametrize("kind", ["plain", "pipeline"])
def test_results_depend_on_neither_jobs_nor_backend(kind, problems):
    X, y = problems["multiclass"][2:4]
    estimator, space = classifier(), {**SPACE, "alpha": loguniform(1e-5, 10)}
    if kind == "pipeline":
        estimator = make_pipeline(StandardScaler(), estimator)
        space = {**with_prefix(space, "mlpclassifier"), "standardscaler__with_std": [True, False]}
    searches = [HyperbandSearchCV(estimator, space, **SETTINGS, n_jobs=n).fit(X, y) for n in (1, 1)]
    for backend in ("loky", "threading"):
        with joblib.parallel_config(backend=backend):
            searches.append(HyperbandSearchCV(estimator, space, **SETTINGS, n_jobs=2).fit(X, y))
    for other in searches[1:]:
        assert_same_results(searches[0], other)
    other = HyperbandSearchCV(estimator, space, **{**SETTINGS, "random_state": 1}).fit(X, y)
    assert other.cv_results_["params"] != searches[0].cv_results_["params"]


class Noted(TransformerMixin, BaseEstimator):
    """A transformer that counts its fits, and whose `fit_transform` is not `transform` after `fit`."""

    fits = 0

    def __init__(self, shift=0.0):
        self.shift = shift

    def fit(self, X, y=None, sample_weight=None):
        type(self).fits += 1
        self.weighted_ = sample_weight is not None
        self.mean_ = X.mean(axis=0)
        return self

    def transform(self, X):
        return X - self.mean_ + self.shift

    def fit_transform(self, X, y=None, **params):
        return self.fit(X, y, **params).transform(X) + 1


def test_steps_before_the_network_are_fitted_once_for_each_fold_and_setting(problems):
    X, y = problems["multiclass"][2:4]
    splits = list(StratifiedKFold(2).split(X, y))
    pipeline = make_pipeline(Noted(), classifier())
    space = {**with_prefix(SPACE, "mlpclassifier"), "noted__shift": [0.0, 0.5]}
    Noted.fits = 0
    search = HyperbandSearchCV(pipeline, space, **{**SETTINGS, "cv": splits}).fit(X, y)
    assert Noted.fits == 2 * 2 + 1  # and once for the best candidate
    for i in np.flatnonzero(search.cv_results_["iter"] == 0):
        params = search.cv_results_["params"][i]
        for fold, (train, test) in enumerate(splits):
            alone = clone(pipeline).set_params(**params).fit(X[train], y[train])
            assert search.cv_results_[f"split{fold}_test_score"][i] == alone.score(X[test], y[test])


def test_a_function_scores_the_whole_pipeline(problems):
    X, y = problems["multiclass"][2:4]
    pipeline = make_pipeline(StandardScaler(), classifier())
    space = with_prefix(SPACE, "mlpclassifier")

    def accuracy(estimator, X, y):
        assert isinstance(estimator, Pipeline)
        return accuracy_score(y, estimator.predict(X))

    settings = {**SETTINGS, "return_train_score": True}
    expected = HyperbandSearchCV(pipeline, space, **settings).fit(X, y)
    for scoring in (accuracy, make_scorer(accuracy_score), "accuracy"):
        search = HyperbandSearchCV(pipeline, space, **settings, scoring=scoring).fit(X, y)
        assert_same_results(search, expected)


def test_several_metrics(problems):
    X, y = problems["multiclass"][2:4]
    scoring = {"a": "accuracy", "l": "neg_log_loss"}
    search = HyperbandSearchCV(classifier(), SPACE, **SETTINGS, scoring=scoring, refit="l").fit(X, y)
    assert search.multimetric_
    assert search.best_score_ == search.cv_results_["mean_test_l"].max()
    assert set(search.scorer_) == {"a", "l"}
    assert search.score(X, y) < 0

    def both(estimator, X, y):
        return {"a": estimator.score(X, y), "l": scoring_l(estimator, X, y)}

    scoring_l = get_scorer("neg_log_loss")
    by_function = HyperbandSearchCV(classifier(), SPACE, **SETTINGS, scoring=both, refit="l").fit(X, y)
    assert_same_results(search, by_function)
    for refit in (True, False, lambda results: 0):
        with pytest.raises(ValueError, match="refit"):
            HyperbandSearchCV(classifier(), SPACE, **SETTINGS, scoring=scoring, refit=refit).fit(X, y)
        with pytest.raises(ValueError, match="refit"):
            HyperbandSearchCV(classifier(), SPACE, **SETTINGS, scoring=both, refit=refit).fit(X, y)


def test_refit_may_be_a_function_or_nothing(problems):
    X, y = problems["binary"][2:4]
    search = HyperbandSearchCV(classifier(), SPACE, **SETTINGS, refit=lambda results: 2).fit(X, y)
    assert search.best_index_ == 2
    assert search.best_params_ == search.cv_results_["params"][2]
    search = HyperbandSearchCV(classifier(), SPACE, **SETTINGS, refit=False).fit(X, y)
    assert search.best_score_ == search.cv_results_["mean_test_score"].max()
    assert not hasattr(search, "best_estimator_")


def test_groups_reach_the_splitter(problems):
    X, y = problems["binary"][2:4]
    groups = np.arange(len(y)) % 5
    settings = {**SETTINGS, "cv": GroupKFold(5)}
    search = HyperbandSearchCV(classifier(), SPACE, **settings).fit(X, y, groups=groups)
    assert search.n_splits_ == 5
    expected = HyperbandSearchCV(
        classifier(), SPACE, **{**SETTINGS, "cv": list(GroupKFold(5).split(X, y, groups))}
    ).fit(X, y)
    assert_same_results(search, expected)


def test_random_splits_are_drawn_once(problems):
    """Unlike in HalvingRandomSearchCV any splitter will do."""
    X, y = problems["binary"][2:4]
    search = HyperbandSearchCV(classifier(), SPACE, **{**SETTINGS, "cv": ShuffleSplit(2)}).fit(X, y)
    assert search.n_splits_ == 2


@pytest.mark.parametrize("routing", [False, True])
def test_weights_reach_every_step(routing, problems, rng):
    X, y = problems["multiclass"][2:4]
    weights = rng.uniform(0.1, 3, len(y))
    splits = list(StratifiedKFold(2).split(X, y))
    settings = {**SETTINGS, "cv": splits, "max_resources": 3}
    train, test = splits[0]
    with sklearn.config_context(enable_metadata_routing=routing):
        steps = [("noted", Noted()), ("mlp", classifier())]
        params = {"noted__sample_weight": weights, "mlp__sample_weight": weights}
        if routing:
            steps = [(name, step.set_fit_request(sample_weight=True)) for name, step in steps]
            params = {"sample_weight": weights}
            settings["scoring"] = get_scorer("accuracy").set_score_request(sample_weight=False)
        pipeline, space = Pipeline(steps), with_prefix(SPACE, "mlp")
        search = HyperbandSearchCV(pipeline, space, **settings).fit(X, y, **params)
        i = int(np.flatnonzero(search.cv_results_["iter"] == 0)[-1])
        alone = clone(pipeline).set_params(**search.cv_results_["params"][i])
        alone.fit(X[train], y[train], **{name: value[train] for name, value in params.items()})
        assert alone.named_steps["noted"].weighted_
        assert search.cv_results_["split0_test_score"][i] == accuracy_score(y[test], alone.predict(X[test]))


def test_weights_of_a_network_alone(problems, rng):
    X, y = problems["multiclass"][2:4]
    weights = rng.uniform(0, 3, len(y))
    train, test = next(StratifiedKFold(2).split(X, y))
    settings = {**SETTINGS, "cv": [(train, test)], "max_resources": 3}
    search = HyperbandSearchCV(classifier(), SPACE, **settings, scoring="accuracy").fit(X, y, sample_weight=weights)
    # Whether the scorer gets the weights, depends on the version of scikit-learn.
    params = {name: [value] for name, value in search.cv_results_["params"][0].items()}
    alone = GridSearchCV(classifier(), params, cv=[(train, test)], scoring="accuracy").fit(X, y, sample_weight=weights)
    assert search.cv_results_["split0_test_score"][0] == alone.best_score_


@pytest.mark.filterwarnings("ignore:One or more of the test scores:UserWarning")
def test_failed_candidates_are_eliminated(problems):
    X, y = problems["regression"][2:4]
    estimator = MLPRegressor(random_state=0)
    space = {"hidden_layer_sizes": [0, 4, 8], "alpha": [1e-4, 1e-2]}
    with pytest.warns(FitFailedWarning, match="fits failed"):
        search = HyperbandSearchCV(estimator, space, **SETTINGS).fit(X, y)
    failed = np.isnan(search.cv_results_["mean_test_score"])
    assert_array_equal(failed, search.cv_results_["param_hidden_layer_sizes"] == 0)
    assert not (failed & (search.cv_results_["iter"] > 0)).any()
    assert np.isfinite(search.best_score_)
    with pytest.warns(FitFailedWarning):
        search = HyperbandSearchCV(estimator, space, **SETTINGS, error_score=-7).fit(X, y)
    assert (search.cv_results_["mean_test_score"][failed] == -7).all()
    with pytest.raises(ValueError, match="hidden_layer_sizes"):
        HyperbandSearchCV(estimator, space, **SETTINGS, error_score="raise").fit(X, y)
    with pytest.raises(ValueError, match=r"All the .* fits failed"):
        HyperbandSearchCV(estimator, {"hidden_layer_sizes": [0]}, **SETTINGS).fit(X, y)


@pytest.mark.filterwarnings("ignore:One or more of the test scores:UserWarning")
def test_a_step_that_fails_fails_its_candidates(problems):
    X, y = problems["binary"][2:4]

    class Refusing(Noted):
        def fit(self, X, y=None, sample_weight=None):
            if self.shift:
                raise ValueError("not that shift")
            return super().fit(X, y)

    pipeline = Pipeline([("first", Refusing()), ("mlp", classifier())])
    space = {"first__shift": [0.0, 1.0], "mlp__alpha": [0.1, 1.0]}
    with pytest.warns(FitFailedWarning, match="not that shift"):
        search = HyperbandSearchCV(pipeline, space, **SETTINGS).fit(X, y)
    assert_array_equal(np.isnan(search.cv_results_["mean_test_score"]), search.cv_results_["param_first__shift"] == 1)
    with pytest.raises(ValueError, match="not that shift"):
        HyperbandSearchCV(pipeline, space, **SETTINGS, error_score="raise").fit(X, y)


def test_converged_candidates_are_not_trained_further(problems):
    X, y = problems["binary"][2:4]
    estimator = classifier(n_iter_no_change=1, tol=10.0)
    search = HyperbandSearchCV(estimator, {"alpha": [0.1, 1.0, 3.0]}, **{**SETTINGS, "max_resources": 27}).fit(X, y)
    # Each stops in its third epoch or, where a rung ends there, in the one after it.
    again = (search.cv_results_["n_resources"] == 27) & (search.cv_results_["iter"] > 0)
    assert again.any()
    assert (search.cv_results_["mean_fit_time"][again] == 0).all()


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_no_warning_about_the_number_of_epochs(solver, problems):
    """The search sets `max_iter`, so a user could not follow the advice to increase it."""
    X, y = problems["binary"][2:4]
    before = list(warnings.filters)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search = HyperbandSearchCV(classifier(solver=solver, tol=0), SPACE, **SETTINGS).fit(X, y)
    assert search.best_estimator_.n_iter_ == search.best_params_["max_iter"]
    assert warnings.filters == before


def test_other_warnings_of_the_refit_are_shown(problems):
    """With early stopping, divergence is a ConvergenceWarning."""
    X, y = problems["regression"][2:4]
    estimator = MLPRegressor(hidden_layer_sizes=10, solver="sgd", early_stopping=True, random_state=0)
    search = HyperbandSearchCV(estimator, {"learning_rate_init": [1e10]}, **SETTINGS | {"min_resources": 9})
    with pytest.warns(ConvergenceWarning, match="diverged"):
        search.fit(X, y)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_regression_by_every_solver(solver, problems):
    X, y = problems["regression"][2:4]
    estimator = make_pipeline(
        StandardScaler(), MLPRegressor(hidden_layer_sizes=8, solver=solver, max_iter=27, random_state=0)
    )
    space = {"mlpregressor__alpha": loguniform(1e-4, 10), "mlpregressor__activation": ["relu", "tanh"]}
    search = HyperbandSearchCV(estimator, space, cv=3, random_state=0).fit(pd.DataFrame(X).add_prefix("x"), y)
    assert search.best_score_ > (0.1 if solver == "lbfgs" else -1)
    assert search.max_resources_ == 27
    assert_array_equal(search.feature_names_in_, [f"x{j}" for j in range(X.shape[1])])
    assert search.n_features_in_ == X.shape[1]


def test_without_targets(problems):
    X = problems["multiclass"].X
    search = HyperbandSearchCV(
        MLPAutoencoder(hidden_layer_sizes=4, random_state=0), {"alpha": [1e-4, 1e-2, 1.0]}, **SETTINGS
    ).fit(X)
    assert search.transform(X).shape[0] == len(X)


@pytest.mark.parametrize(
    ("estimator", "space", "settings", "message"),
    [
        (classifier(), {"max_iter": [3, 4]}, {}, "may not contain 'max_iter'"),
        (
            make_pipeline(classifier()),
            {"mlpclassifier__max_iter": [3]},
            {},
            "may not contain 'mlpclassifier__max_iter'",
        ),
        (classifier(), SPACE, {"min_resources": 10}, "min_resources=10 must not exceed max_resources=9"),
        (classifier(), SPACE, {"factor": 1}, "'factor' parameter"),
        (classifier(), SPACE, {"max_resources": 0}, "'max_resources' parameter"),
        (classifier(), SPACE, {"max_resources": "all"}, "'max_resources' parameter"),
        (Ridge(), {"alpha": [1.0]}, {}, "no warm_start"),
        (make_pipeline(StandardScaler(), KNeighborsClassifier()), {}, {}, "no max_iter and no warm_start"),
        (classifier(), SPACE, {"cv": []}, "at least one split"),
        (classifier(), {"unknown": [1.0]}, {}, "Invalid parameter 'unknown'"),
        (classifier(), {"alpha": 1.0}, {}, "needs to be a list"),
        (classifier(), [], {}, "param_distributions must have at least one dict"),
    ],
)
def test_bad_input_gets_one_clear_error(estimator, space, settings, message, problems):
    X, y = problems["binary"][2:4]
    with pytest.raises((ValueError, TypeError), match=message):
        HyperbandSearchCV(estimator, space, **{**SETTINGS, **settings}).fit(X, y)


def test_fit_params_must_name_a_step(problems):
    X, y = problems["binary"][2:4]
    pipeline = make_pipeline(StandardScaler(), classifier())
    with pytest.raises(ValueError, match="must name a step"):
        HyperbandSearchCV(pipeline, {}, **SETTINGS).fit(X, y, sample_weight=np.ones(len(y)))


def test_the_search_is_an_estimator(problems):
    X, y = problems["binary"][2:4]
    search = HyperbandSearchCV(classifier(), SPACE, **SETTINGS).fit(X, y)
    assert_same_results(pickle.loads(pickle.dumps(search)), search)
    assert clone(search).get_params()["factor"] == 3
    assert "HyperbandSearchCV" in repr(search)
    assert sklearn.base.is_classifier(search)


def test_callbacks_are_not_ignored(problems):
    callback = pytest.importorskip("sklearn.callback")
    X, y = problems["binary"][2:4]
    search = HyperbandSearchCV(classifier(), SPACE, **SETTINGS).set_callbacks(callback.ProgressBar())
    with pytest.raises(ValueError, match="callbacks"):
        search.fit(X, y)


def test_progress_is_printed(problems, capsys):
    X, y = problems["binary"][2:4]
    HyperbandSearchCV(classifier(), SPACE, **SETTINGS, verbose=1).fit(X, y)
    assert "bracket 2, rung 0: " in capsys.readouterr().out


# scikit-learn's own look at infinite labels, as in GridSearchCV.
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
@parametrize_with_checks(
    [
        HyperbandSearchCV(
            make_pipeline(StandardScaler(), Estimator(learning_rate_init=0.03, random_state=0)),
            {f"{Estimator.__name__.lower()}__alpha": [0.1, 1.0]},
            max_resources=81,
            cv=2,
            random_state=0,
            error_score="raise",
        )
        for Estimator in (MLPClassifier, MLPRegressor)
    ]
)
def test_sklearn_check(estimator, check):
    check(estimator)
