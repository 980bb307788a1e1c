"""The parameter dtype: one conversion of X, then the same bits as for data that have this dtype already."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from sklearn.utils._param_validation import InvalidParameterError

from fastmlp import MLPAutoencoder, MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
PARAMS = {"hidden_layer_sizes": (16, 8), "max_iter": 5, "random_state": 0}
DTYPES = ["float32", "float64"]


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return scale(X), y


def assert_same_weights(ours, other, dtype):
    for a, b in zip([*ours.coefs_, *ours.intercepts_], [*other.coefs_, *other.intercepts_], strict=True):
        assert a.dtype == dtype
        assert_array_equal(a, b)
    assert_array_equal(ours.loss_curve_, other.loss_curve_)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", ["array", "Fortran order", "data frame", "CSR", "CSC", "list", "integers"])
def test_classifier_matches_converted_data(form, dtype, cancer):
    X, y = cancer
    if form == "integers":
        X = np.round(4 * X).astype(int)
    elif dtype == "float64":
        X = X.astype(np.float32)  # so that there is something to convert
    forms = {
        "Fortran order": np.asfortranarray,
        "data frame": pd.DataFrame,
        "CSR": scipy.sparse.csr_array,
        "CSC": scipy.sparse.csc_matrix,
        "list": np.ndarray.tolist,
    }
    given = forms.get(form, np.asarray)(X)
    converted = X.astype(dtype)
    if form in ("CSR", "CSC"):
        converted = forms[form](converted)
    ours = MLPClassifier(**PARAMS, dtype=dtype).fit(given, y)
    other = MLPClassifier(**PARAMS).fit(converted, y)
    assert_same_weights(ours, other, dtype)
    probabilities = ours.predict_proba(given)
    assert probabilities.dtype == dtype
    assert_array_equal(probabilities, other.predict_proba(converted))
    assert_array_equal(ours.decision_function(given), other.decision_function(converted))
    assert ours.score(given, y) == other.score(converted, y)


@pytest.mark.parametrize("dtype", DTYPES)
def test_regressor_matches_converted_data(dtype):
    X, y = load_diabetes(return_X_y=True)
    X, y = 20 * X, y / 100
    options = {"early_stopping": True, "n_iter_no_change": 2, "batch_norm": True}
    ours = MLPRegressor(**PARAMS, **options, dtype=dtype).fit(X, y)
    other = MLPRegressor(**PARAMS, **options).fit(X.astype(dtype), y)
    assert_same_weights(ours, other, dtype)
    assert_array_equal(ours.validation_scores_, other.validation_scores_)
    assert ours.predict(X).dtype == dtype
    assert_array_equal(ours.predict(X), other.predict(X.astype(dtype)))


def test_autoencoder_matches_converted_data(cancer):
    X, _ = cancer
    for tied in (False, True):
        options = PARAMS | {"tied_weights": tied}
        ours = MLPAutoencoder(**options, dtype="float32").fit(X)
        other = MLPAutoencoder(**options).fit(X.astype(np.float32))
        assert_same_weights(ours, other, np.float32)
        codes = ours.transform(X)
        assert (
            codes.dtype == ours.inverse_transform(codes.astype(float)).dtype == ours.reconstruct(X).dtype == np.float32
        )
        assert_array_equal(codes, other.transform(X.astype(np.float32)))


def test_validation_data_are_converted(cancer):
    X, y = cancer
    ours = MLPClassifier(**PARAMS, dtype="float32").fit(X[100:], y[100:], X_val=X[:100], y_val=y[:100])
    x = X.astype(np.float32)
    other = MLPClassifier(**PARAMS).fit(x[100:], y[100:], X_val=x[:100], y_val=y[:100])
    assert_array_equal(ours.validation_loss_curve_, other.validation_loss_curve_)


def test_partial_fit_and_warm_start_keep_the_dtype(cancer):
    X, y = cancer
    ours, other = MLPClassifier(**PARAMS, dtype="float32"), MLPClassifier(**PARAMS)
    for part in (slice(0, 300), slice(300, None)):
        ours.partial_fit(X[part], y[part], classes=[0, 1])
        other.partial_fit(X[part].astype(np.float32), y[part], classes=[0, 1])
    assert_same_weights(ours, other, np.float32)
    # Another dtype from here on: the weights are converted, and nothing else.
    ours.set_params(dtype="float64", warm_start=True).fit(X, y)
    assert ours.coefs_[0].dtype == np.float64


def test_weights_of_another_dtype_predict_in_this_one(cancer):
    X, y = cancer
    clf = MLPClassifier(**PARAMS).fit(X, y)
    expected = clf.predict_proba(X)
    probabilities = clf.set_params(dtype="float32").predict_proba(X)
    assert probabilities.dtype == np.float32
    # Some roundings to 24 bits in each of three layers.
    assert_allclose(probabilities, expected, atol=1e-5)
    assert clf.set_params(dtype=None).predict_proba(X).dtype == np.float64


def test_pickles_clones_and_pipelines(cancer):
    X, y = cancer
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(**PARAMS, dtype="float32")).fit(X, y)
    again = pickle.loads(pickle.dumps(pipeline))
    assert again.predict_proba(X).dtype == np.float32
    assert_array_equal(again.predict_proba(X), pipeline.predict_proba(X))
    assert clone(pipeline)[-1].dtype == "float32"


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")
def test_a_pickle_without_the_parameter_is_as_before():
    """Version 0.1.0 did not have it."""
    path = Path(__file__).parents[1] / "export" / "pickles" / "0.1.0.pkl"
    with path.open("rb") as file:
        kept = pickle.load(file)
    assert {model.dtype for model in kept.values() if isinstance(model, MLPClassifier)} <= {None}


@pytest.mark.parametrize("value", ["float16", "double", np.float32, 32, True])
def test_other_dtypes_are_refused(value, cancer):
    with pytest.raises(InvalidParameterError, match="The 'dtype' parameter of MLPClassifier must be"):
        MLPClassifier(dtype=value).fit(*cancer)


def test_lbfgs_computes_in_float64_only(cancer):
    X, y = cancer
    with pytest.raises(ValueError, match="dtype='float32' needs solver='sgd' or solver='adam'"):
        MLPClassifier(solver="lbfgs", dtype="float32").fit(X, y)
    x = X.astype(np.float32)
    clf = MLPClassifier(8, solver="lbfgs", dtype="float64", max_iter=3, random_state=0).fit(x, y)
    assert clf.coefs_[0].dtype == clf.predict_proba(x).dtype == np.float64


@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")  # NumPy's, before the error
def test_numbers_that_float32_cannot_hold_are_refused(cancer):
    X, y = cancer
    large = X.copy()
    large[3, 4] = 1e39
    clf = MLPClassifier(**PARAMS, dtype="float32").fit(X, y)
    before = clf.predict_proba(X)
    for call in (lambda: clf.fit(large, y), lambda: clf.predict(large)):
        with pytest.raises(ValueError, match=r"too large for dtype\('float32'\)"):
            call()
    assert_array_equal(clf.predict_proba(X), before)
