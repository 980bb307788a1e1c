"""The fast paths of the validation give the results of scikit-learn's validation."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier as Anchor
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import check_array, check_X_y

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.estimators import _base
from fastmlp.estimators._validation import SPAN, binarizer_for, count_labels, is_plain, is_plain_target

INTEGERS = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")


@st.composite
def labels(draw):
    """Draw integer labels of any dtype, some at the ends of its range, each at least twice."""
    dtype = np.dtype(draw(st.sampled_from(INTEGERS)))
    ends = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    start = draw(st.integers(*ends))
    few = st.integers(start, min(ends[1], start + 300))
    values = draw(st.lists(few, min_size=1, max_size=40))
    return np.array(draw(st.permutations(values * 2)), dtype=dtype)


@given(y=labels())
def test_count_labels_matches_label_binarizer(y):
    binarizer = LabelBinarizer().fit(y)
    classes, places = count_labels(y)
    assert_array_equal(classes[places], y)
    assert places.dtype == np.int32
    ours = vars(binarizer_for(classes))
    assert ours.keys() == vars(binarizer).keys()
    assert_array_equal(ours.pop("classes_"), binarizer.classes_, strict=True)
    assert ours == {name: value for name, value in vars(binarizer).items() if name != "classes_"}


@pytest.mark.parametrize(
    "y",
    [
        np.array([0.0, 1.0, 0.0, 1.0]),
        np.array(["a", "b", "a", "b"]),
        np.array([0, 1, 0, 1], dtype=object),
        np.array([[0, 1], [1, 0]]),
        np.zeros(0, dtype=int),
        np.array([0, SPAN, 0, SPAN]),
        np.array([-(2**63), 2**63 - 1] * 2),
        np.array([1, 2, 3]),
    ],
    ids=["floats", "strings", "objects", "indicators", "none", "large range", "largest range", "not repeated"],
)
def test_count_labels_leaves_other_labels_to_scikit_learn(y):
    assert count_labels(y) is None


def test_infinity_among_numbers_that_add_up_to_minus_infinity_is_not_plain():
    X = np.full((2, 4), -np.finfo(np.float64).max / 4)
    X[0, 0] = np.inf
    assert not is_plain(X)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(data=st.data())
def test_plain_data_are_those_that_scikit_learn_returns_unchanged(dtype, data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5))
    X = data.draw(hnp.arrays(dtype, shape))
    try:
        # scikit-learn adds all numbers up, which NumPy may warn of: inf and numbers that add up to -inf.
        with np.errstate(invalid="ignore"):
            passed = check_array(X, ensure_all_finite=True) is X
    except ValueError:
        passed = False
    assert is_plain(X) == passed
    if passed:
        for y in (X[:, 0], X[:, 0] > 0, np.arange(len(X))):
            assert is_plain_target(y, len(X))
            assert check_X_y(X, y, multi_output=True)[1] is y


@pytest.mark.parametrize(
    "X",
    [
        [[1.0, 2.0]],
        np.ones((2, 2), dtype=int),
        np.ones((2, 2), dtype=np.float16),
        np.ones((2, 2), dtype=np.dtype(float).newbyteorder()),
        np.ma.masked_array(np.ones((2, 2)), mask=np.eye(2)),
        scipy.sparse.csr_array(np.eye(2)),
    ],
    ids=["list", "integers", "half", "swapped bytes", "masked", "sparse"],
)
def test_other_matrices_are_not_plain(X):
    assert not is_plain(X)


@pytest.mark.parametrize("y", [[0, 1], np.array([0, 1, 0]), np.array([[0], [1]]), np.array([0, np.nan])])
def test_other_targets_are_not_plain(y):
    assert not is_plain_target(y, 2)


def test_finite_numbers_with_an_infinite_sum_are_plain():
    assert is_plain(np.full((3, 2), np.finfo(np.float32).max, dtype=np.float32))


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint16"])
def test_partial_fit_with_a_subset_of_the_classes(dtype):
    X, y = load_digits(return_X_y=True)
    X, y = X / 16, y.astype(dtype)
    parts = [y < 4, y > 6]
    models = [cls((8,), random_state=0) for cls in (MLPClassifier, Anchor)]
    for model in models:
        for part in parts:
            model.partial_fit(X[part], y[part], classes=np.arange(10, dtype=dtype))
    for ours, theirs in zip(models[0].coefs_, models[1].coefs_, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("estimator", "targets"), [(MLPClassifier, np.int64), (MLPRegressor, np.float64)])
def test_plain_data_skip_the_validation_of_scikit_learn(estimator, targets, monkeypatch):
    validated = []

    def spy(estimator, X, y, **options):
        validated.append(type(X))
        return validate_data(estimator, X, y, **options)

    validate_data = _base.validate_data
    monkeypatch.setattr(_base, "validate_data", spy)
    X, y = load_digits(n_class=3, return_X_y=True)
    model = estimator(hidden_layer_sizes=2, solver="lbfgs", max_iter=10**4, tol=1e-1, random_state=0)
    model.fit(X, y.astype(targets))
    model.fit(X.tolist(), y.astype(targets))
    assert validated == [list]
    model.fit(pd.DataFrame(X[:, :3], columns=["a", "b", "c"]), y.astype(targets))
    assert len(model.feature_names_in_) == model.n_features_in_ == 3
    model.fit(X, y.astype(targets))
    assert not hasattr(model, "feature_names_in_")
    assert model.n_features_in_ == 64


def test_parameter_names_of_subclasses():
    class Deep(MLPClassifier):
        def __init__(self, depth=2):
            super().__init__((10,) * depth)
            self.depth = depth

    assert Deep().get_params() == {"depth": 2}
    assert MLPClassifier().get_params().keys() == MLPClassifier.__init__.__annotations__.keys() - {"return"}
