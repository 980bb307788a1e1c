"""The public interface of the estimators: parameters, attributes, tags, use of memory, pickles, output."""

import copy
import inspect
import pickle
import tracemalloc
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn
import sklearn.neural_network
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate
from sklearn.utils import get_tags

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

NAMES = ["MLPClassifier", "MLPRegressor"]
KINDS = {"MLPClassifier": "multiclass", "MLPRegressor": "outputs"}
OWN = [
    *("n_jobs", "penalty_scaling", "init", "init_scale", "maxout_pieces", "batch_norm"),
    *("scoring", "stratify", "restore_best_weights", "dropout", "dropout_schedule", "weight_decay"),
    *("weight_decay_schedule", "warmup", "max_grad_norm", "average", "learning_rate_multipliers", "dtype", "residual"),
]
# Of methods, after scikit-learn's parameters.
OWN_OF_METHODS = {
    "fit": ["X_val", "y_val", "sample_weight_val", "resume_from"],
    "partial_fit": ["n_epochs"],
    "set_fit_request": ["X_val", "y_val", "sample_weight_val", "resume_from"],
    "set_partial_fit_request": ["n_epochs"],
}
OWN_OF_ONE = {
    "MLPClassifier": ["out_activation", "loss", "focal_gamma", "label_smoothing", "class_weight"],
    "MLPRegressor": ["huber_delta", "quantile", "power"],
}


def both(name):
    return getattr(fastmlp, name), getattr(sklearn.neural_network, name)


# ---- Signatures


@pytest.mark.parametrize("name", NAMES)
def test_parameters_of_scikit_learn_come_first(name, needs_sklearn):
    if name == "MLPRegressor":
        needs_sklearn("1.7", "the parameter loss of MLPRegressor")
    ours, theirs = (inspect.signature(Estimator).parameters for Estimator in both(name))
    assert list(ours)[: len(theirs)] == list(theirs)
    assert list(ours)[len(theirs) :] == OWN + OWN_OF_ONE[name]
    for parameter, theirs_is in theirs.items():
        assert ours[parameter].default == theirs_is.default
        assert ours[parameter].kind == theirs_is.kind
    for parameter in list(ours)[len(theirs) :]:
        assert ours[parameter].kind is inspect.Parameter.KEYWORD_ONLY


@pytest.mark.parametrize("name", NAMES)
def test_methods_match_scikit_learn(name, needs_sklearn):
    needs_sklearn("1.7", "sample_weight of its multilayer perceptrons")
    ours, theirs = both(name)
    public = [method for method in dir(theirs) if not method.startswith("_")]
    assert set(public) <= set(dir(ours))
    for method in public:
        a, b = (inspect.signature(getattr(Estimator(), method)) for Estimator in (ours, theirs))
        assert set(a.parameters) == {*b.parameters, *OWN_OF_METHODS.get(method, [])}, method
        if not method.startswith("set_"):  # scikit-learn sorts the parameters of these
            assert list(a.parameters)[: len(b.parameters)] == list(b.parameters), method
        for parameter, theirs_is in b.parameters.items():
            assert a.parameters[parameter].default == theirs_is.default, (method, parameter)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("name", NAMES)
def test_tags_match_scikit_learn(name, solver, needs_sklearn):
    needs_sklearn("1.7", "the tag for sparse input of its multilayer perceptrons")
    ours, theirs = (get_tags(Estimator(solver=solver)) for Estimator in both(name))
    assert ours == theirs


def test_only_stochastic_solvers_have_partial_fit():
    for Estimator in (MLPClassifier, MLPRegressor):
        assert hasattr(Estimator(solver="sgd"), "partial_fit")
        assert hasattr(Estimator(solver="adam"), "partial_fit")
        assert not hasattr(Estimator(solver="lbfgs"), "partial_fit")
        with pytest.raises(AttributeError, match="no attribute 'partial_fit'"):
            Estimator(solver="lbfgs").partial_fit  # noqa: B018


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_is_documented(name):
    Estimator, _ = both(name)
    parameters, attributes = Estimator.__doc__.split("Attributes\n")[0], Estimator.__doc__.split("Attributes\n")[1]
    for parameter in inspect.signature(Estimator).parameters:
        assert f"{parameter} :" in parameters or f"{parameter}, " in parameters or f", {parameter} :" in parameters
    for attribute in ("coefs_", "intercepts_", "loss_", "n_iter_", "t_", "out_activation_", "validation_scores_"):
        assert attribute in attributes


# ---- Input arrays


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("name", NAMES)
def test_layout_of_the_input_does_not_matter(name, solver, dtype, problems):
    Estimator, _ = both(name)
    problem = problems[KINDS[name]]
    X, y = problem.X.astype(dtype), problem.y
    model = Estimator(solver=solver, max_iter=4, random_state=0)
    expected = clone(model).fit(X, y)
    wide = np.zeros((2 * len(X), X.shape[1] + 3), dtype)
    wide[::2, 1:-2] = X
    backwards = np.ascontiguousarray(X[::-1, ::-1])
    frozen, weights = X.copy(), np.ones(len(y))
    for array in (frozen, weights):
        array.flags.writeable = False
    still = y.copy()
    still.flags.writeable = False
    for other in (
        np.asfortranarray(X),
        wide[::2, 1:-2],
        backwards[::-1, ::-1],
        frozen,
    ):
        fitted = clone(model).fit(other, still, weights)
        for a, b in zip(fitted.coefs_, expected.coefs_, strict=True):
            assert_array_equal(a, b)
        assert_array_equal(fitted.predict(other), expected.predict(X))
    assert_array_equal(frozen, X)
    assert_array_equal(still, y)
    assert_array_equal(wide[1::2], 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["dense", "CSR"])
def test_contiguous_input_is_not_copied(kind, dtype, rng):
    """Peak memory of a fit and of a prediction stays far below the size of X."""
    X = rng.normal(size=(100_000, 20)).astype(dtype)
    y = X[:, 0] > 0
    values = X.nbytes
    if kind == "CSR":
        X = scipy.sparse.csr_array(X)
    model = MLPClassifier(hidden_layer_sizes=4, max_iter=1, batch_size=1000, shuffle=False)
    model.fit(X[:2000], y[:2000])  # what the first fit of a process sets up does not count
    tracemalloc.start()
    try:
        model.fit(X, y)
        fit_peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        model.predict_proba(X)
        predict_peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # Only the targets, and one number per row for the validation of X, grow with the number of rows.
    allowance = 6 * len(y) * 8
    assert fit_peak < allowance + values / 4
    assert predict_peak < allowance + values / 4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("name", NAMES)
def test_dtypes_match_scikit_learn(name, solver, dtype, problems):
    """Weights have the dtype of X; L-BFGS computes in float64 and its weights stay in float64."""
    problem = problems[KINDS[name]]
    X = problem.X.astype(dtype)
    models = [Estimator(solver=solver, max_iter=3, random_state=0).fit(X, problem.y) for Estimator in both(name)]
    ours, theirs = models
    for a, b in zip([*ours.coefs_, *ours.intercepts_], [*theirs.coefs_, *theirs.intercepts_], strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
    for inputs in (X, problem.X, problem.X.astype(np.float32)):
        assert ours.predict(inputs).dtype == theirs.predict(inputs).dtype
        if name == "MLPClassifier":
            assert ours.predict_proba(inputs).dtype == theirs.predict_proba(inputs).dtype


@pytest.mark.parametrize("name", NAMES)
def test_sparse_and_dense_input_give_the_same_model(name, problems):
    Estimator, _ = both(name)
    problem = problems[KINDS[name]]
    X = problem.X * (abs(problem.X) > np.median(abs(problem.X)))
    model = Estimator(max_iter=5, random_state=0)
    dense = clone(model).fit(X, problem.y)
    for container in (scipy.sparse.csr_array, scipy.sparse.csc_matrix, scipy.sparse.csr_matrix):
        sparse = clone(model).fit(container(X), problem.y)
        for a, b in zip(sparse.coefs_, dense.coefs_, strict=True):
            assert_allclose(a, b, rtol=1e-9, atol=1e-12)
        assert_array_equal(dense.predict(container(X[:7])), dense.predict(X[:7]))


def test_results_do_not_depend_on_threads(problems, rng):
    """The network is large enough that several threads are used."""
    X, y = rng.normal(size=(600, 64)), rng.integers(5, size=600)
    for solver in ("sgd", "adam", "lbfgs"):
        results = []
        for n_jobs in (1, 2, 3, None):
            model = MLPClassifier((256, 128), solver=solver, max_iter=3, random_state=0, n_jobs=n_jobs).fit(X, y)
            results.append([*model.coefs_, *model.intercepts_, model.predict_proba(X), np.array(model.loss_)])
        for other in results[1:]:
            for a, b in zip(results[0], other, strict=True):
                assert_array_equal(a, b)


# ---- Copies and pickles


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("name", NAMES)
def test_copies_predict_and_continue_training_identically(name, solver, tmp_path, problems):
    Estimator, _ = both(name)
    problem = problems[KINDS[name]]
    X, y = problem.X, problem.y
    model = Estimator(solver=solver, max_iter=5, random_state=0, warm_start=True).fit(X, y)
    joblib.dump(model, tmp_path / "model.joblib")
    copies = {
        "pickle": pickle.loads(pickle.dumps(model)),
        "protocol 5": pickle.loads(pickle.dumps(model, protocol=5)),
        "deepcopy": copy.deepcopy(model),
        "copy": copy.copy(model),
        "joblib": joblib.load(tmp_path / "model.joblib"),
        "mapped": joblib.load(tmp_path / "model.joblib", mmap_mode="r"),
    }
    expected = model.predict(X)
    for how, other in copies.items():
        assert_array_equal(other.predict(X), expected, err_msg=how)
        assert all(isinstance(coef, np.memmap) for coef in copies["mapped"].coefs_)
    if solver != "lbfgs":
        del copies["copy"]  # shares its lists with the model
        model.partial_fit(X, y)
        for how, other in copies.items():
            other.partial_fit(X, y)
            for a, b in zip(other.coefs_, model.coefs_, strict=True):
                assert_array_equal(a, b, err_msg=how)
    else:
        model.fit(X, y)
        for how, other in copies.items():
            other.fit(X, y)
            assert_array_equal(other.coefs_[0], model.coefs_[0], err_msg=how)


def test_clone_is_unfitted(problems):
    problem = problems["multiclass"]
    model = MLPClassifier(hidden_layer_sizes=(3,), activation=["gelu"], n_jobs=2, max_iter=2).fit(problem.X, problem.y)
    other = clone(model)
    assert other.get_params() == model.get_params()
    assert not [name for name in vars(other) if name.endswith("_")]


# ---- Feature names and metadata routing


@pytest.mark.parametrize("name", NAMES)
def test_feature_names(name, problems):
    Estimator, _ = both(name)
    problem = problems[KINDS[name]]
    columns = [f"x{j}" for j in range(problem.X.shape[1])]
    frame = pd.DataFrame(problem.X, columns=columns)
    model = Estimator(max_iter=2, early_stopping=True).fit(frame, problem.y)
    assert_array_equal(model.feature_names_in_, columns)
    assert model.n_features_in_ == len(columns)
    assert_array_equal(model.predict(frame), model.set_params(n_jobs=1).predict(frame))
    with pytest.warns(UserWarning, match="X does not have valid feature names, but MLP"):
        model.predict(problem.X)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[columns[::-1]])
    model.fit(problem.X, problem.y)
    assert not hasattr(model, "feature_names_in_")


@pytest.mark.parametrize("name", NAMES)
def test_routed_sample_weights(name, problems, rng, needs_sklearn):
    needs_sklearn("1.7", "sample_weight of its multilayer perceptrons")
    Estimator, Theirs = both(name)
    problem = problems[{"MLPClassifier": "binary", "MLPRegressor": "regression"}[name]]
    weight = rng.uniform(size=len(problem.y))
    scores = []
    with sklearn.config_context(enable_metadata_routing=True):
        for Class in (Estimator, Theirs):
            model = Class(max_iter=5, random_state=0)
            model.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
            model.set_partial_fit_request(sample_weight=True)
            found = cross_validate(model, problem.X, problem.y, params={"sample_weight": weight}, error_score="raise")
            scores.append(found["test_score"])
    assert_allclose(*scores, rtol=1e-9)


# ---- Output and warnings


@pytest.mark.parametrize(
    "params",
    [
        {"max_iter": 4},
        {"solver": "sgd", "tol": 0.5, "n_iter_no_change": 2},
        {"solver": "sgd", "tol": 0.5, "n_iter_no_change": 2, "learning_rate": "adaptive"},
        {"solver": "sgd", "tol": 0.5, "n_iter_no_change": 2, "learning_rate": "adaptive", "early_stopping": True},
        {"early_stopping": True, "tol": 0.5, "n_iter_no_change": 3, "max_iter": 30},
        {"early_stopping": True, "max_iter": 3},
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_verbose_output_matches_scikit_learn(name, params, capsys, problems):
    problem = problems[KINDS[name]]
    texts = []
    for Estimator in both(name):
        model = Estimator(random_state=0, verbose=True, **params).fit(problem.X, problem.y)
        if not model.early_stopping:
            model.partial_fit(problem.X, problem.y)
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert "Iteration 1, loss = " in texts[0]


def test_nothing_is_printed_by_default(capfd, problems):
    problem = problems["regression"]
    for solver in ("sgd", "adam", "lbfgs"):
        MLPRegressor(solver=solver, max_iter=3).fit(problem.X, problem.y).predict(problem.X)
    out, err = capfd.readouterr()
    assert out == err == ""


def test_convergence_warnings(problems):
    problem = problems["multiclass"]
    for solver, text in (("adam", r"Maximum iterations \(3\) reached"), ("lbfgs", "lbfgs failed to converge after 3")):
        with pytest.warns(ConvergenceWarning, match=text):
            MLPClassifier(solver=solver, max_iter=3).fit(problem.X, problem.y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MLPClassifier(tol=1.0).fit(problem.X, problem.y).partial_fit(problem.X, problem.y)


def test_no_hidden_layer_is_logistic_regression(problems):
    problem = problems["binary"]
    m = len(problem.y)
    ours = MLPClassifier((), solver="lbfgs", alpha=1.0, tol=1e-8, max_iter=2000).fit(problem.X, problem.y)
    theirs = LogisticRegression(C=1.0, tol=1e-8, max_iter=2000).fit(problem.X, problem.y)
    assert m == 230
    assert_allclose(ours.coefs_[0].ravel(), theirs.coef_.ravel(), atol=1e-3)
    assert_allclose(ours.predict_proba(problem.X), theirs.predict_proba(problem.X), atol=1e-3)


# ---- Parameters that scikit-learn does not have


@pytest.mark.parametrize("activation", ["leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "maxout"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_own_activations_learn(activation, solver, problems):
    problem = problems["multiclass"]
    options = {"activation": activation, "solver": solver, "max_iter": 60, "learning_rate_init": 0.01}
    model = MLPClassifier(24, random_state=0, **options).fit(problem.X, problem.y)
    assert model.score(problem.X, problem.y) > 0.95
    alone = MLPClassifier((24,), random_state=0, **{**options, "activation": [activation]}).fit(problem.X, problem.y)
    assert_array_equal(alone.coefs_[0], model.coefs_[0])


def test_a_list_of_equal_activations_changes_nothing(problems):
    problem = problems["regression"]
    options = {"hidden_layer_sizes": (9, 7), "max_iter": 5, "random_state": 0}
    for name in ("logistic", "tanh"):
        one = MLPRegressor(activation=name, **options).fit(problem.X, problem.y)
        two = MLPRegressor(activation=(name, name), **options).fit(problem.X, problem.y)
        assert_array_equal(one.coefs_[1], two.coefs_[1])


@pytest.mark.parametrize("kind", ["multiclass", "regression", "multilabel"])
@pytest.mark.parametrize(
    "params",
    [
        {"batch_norm": True},
        {"residual": True},
        {"batch_norm": True, "residual": True, "activation": ["maxout", "relu"], "maxout_pieces": 3},
        {"init": "he", "penalty_scaling": "sum", "alpha": 1e-4},
        {"init": "uniform", "init_scale": 0.3},
        {"init": "lecun", "activation": "selu"},
    ],
)
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_models_with_own_parameters_learn_and_can_be_pickled(solver, params, kind, problems):
    problem = problems[kind]
    model = problem.ours(
        hidden_layer_sizes=(16, 16),
        solver=solver,
        learning_rate_init=0.05 if solver == "sgd" else 0.01,
        max_iter=60,
        random_state=0,
        **params,
    )
    model.fit(problem.X, problem.y)
    floor = {"multiclass": 0.85, "regression": 0.4, "multilabel": 0.4}[kind]
    assert model.score(problem.X, problem.y) > floor
    other = pickle.loads(pickle.dumps(model))
    assert_array_equal(other.predict(problem.X), model.predict(problem.X))
    assert hasattr(model, "gammas_") == hasattr(model, "betas_") == model.batch_norm


def test_training_starts_from_given_initial_arrays(problems, rng):
    problem = problems["regression"]
    coefs = [rng.normal(size=(10, 6)), rng.normal(size=(6, 1))]
    intercepts = [rng.normal(size=6), rng.normal(size=1)]
    kept = [coef.copy() for coef in coefs]
    model = MLPRegressor(
        hidden_layer_sizes=6, init=(coefs, intercepts), solver="sgd", learning_rate_init=1e-12, max_iter=1
    )
    model.fit(problem.X, problem.y)
    for a, b in zip([*model.coefs_, *model.intercepts_], [*coefs, *intercepts], strict=True):
        assert_allclose(a, b, atol=1e-8)
    for a, b in zip(coefs, kept, strict=True):
        assert_array_equal(a, b)


def test_sum_penalty_equals_mean_penalty_with_alpha_times_the_rows(problems):
    """For one batch of m rows, alpha / 2 with one scaling equals (alpha m) / (2 m) with the other."""
    problem = problems["regression"]
    m = len(problem.y)
    options = {"batch_size": m, "max_iter": 10, "random_state": 0}
    total = MLPRegressor(alpha=0.02, penalty_scaling="sum", **options).fit(problem.X, problem.y)
    mean = MLPRegressor(alpha=0.02 * m, **options).fit(problem.X, problem.y)
    assert_allclose(total.loss_curve_, mean.loss_curve_, rtol=1e-12)
    assert_allclose(total.coefs_[0], mean.coefs_[0], rtol=1e-9)


def test_one_vs_all_outputs(problems):
    problem = problems["multiclass"]
    options = {"activation": "tanh", "max_iter": 150, "learning_rate_init": 0.01, "random_state": 0}
    for loss in ("log_loss", "squared_error"):
        model = MLPClassifier(out_activation="logistic", loss=loss, **options).fit(problem.X, problem.y)
        assert model.out_activation_ == "logistic"
        probabilities = model.predict_proba(problem.X)
        assert_allclose(probabilities.sum(axis=1), 1)
        assert_array_equal(model.classes_[probabilities.argmax(axis=1)], model.predict(problem.X))
        assert model.score(problem.X, problem.y) > 0.9
    # Without a hidden layer, the outputs of the classes are trained independently of each other.
    few = np.isin(problem.y, [0, 1, 2])
    X, y = problem.X[few], problem.y[few]
    many = MLPClassifier((), out_activation="logistic", solver="lbfgs", alpha=1.0, max_iter=500, tol=1e-8).fit(X, y)
    one = MLPClassifier((), solver="lbfgs", alpha=1.0, max_iter=500, tol=1e-8).fit(X, y == 1)
    assert_allclose(many.coefs_[0][:, 1], one.coefs_[0][:, 0], atol=2e-3)
