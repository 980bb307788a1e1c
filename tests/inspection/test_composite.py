"""Inspection of fitted pipelines and searches: the data pass through the earlier steps, and the output says where."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import (
    DiagnosticsDisplay,
    LossCurveDisplay,
    MLPAutoencoder,
    MLPClassifier,
    WeightImageDisplay,
    check_gradient,
    diagnose,
)
from fastmlp.inspection._composite import locate

SOURCE = "MLPClassifier, step 'mlpclassifier' of Pipeline, best_estimator_ of GridSearchCV"


@pytest.fixture(scope="module")
def data():
    X, y = load_digits(return_X_y=True)
    return X[:300], y[:300]


@pytest.fixture
def network():
    return MLPClassifier(12, max_iter=5, random_state=0)


@pytest.fixture(scope="module")
def search(data):
    """A fitted grid search over a pipeline."""
    pipeline = make_pipeline(StandardScaler(), PCA(16), MLPClassifier(12, max_iter=5, random_state=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GridSearchCV(pipeline, {"mlpclassifier__alpha": [1e-4, 1.0]}, cv=3).fit(*data)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_data_pass_through_the_earlier_steps(search, data):
    X, y = data
    pipeline = search.best_estimator_
    network, transformed = pipeline[-1], pipeline[:-1].transform(X)
    weights = np.linspace(0, 2, len(y))
    expected = diagnose(network, transformed, y, sample_weight=weights)
    for model, source in [(search, SOURCE), (pipeline, "MLPClassifier, step 'mlpclassifier' of Pipeline")]:
        diagnosis = diagnose(model, X, y, sample_weight=weights)
        assert_array_equal(diagnosis.layers, expected.layers)
        assert diagnosis.cost == expected.cost
        assert diagnosis.source == source
        assert str(diagnosis) == f"{source}\n{expected}"
    assert expected.source == ""


def test_gradient_check(search, data):
    X, y = data[0][:40], data[1][:40]
    pipeline = search.best_estimator_
    expected = check_gradient(pipeline[-1], pipeline[:-1].transform(X), y, max_params=20)
    check = check_gradient(search, X, y, max_params=20)
    assert check
    assert check.arrays == expected.arrays
    assert str(check) == f"{SOURCE}\n{expected}"


def test_displays(search, data):
    curves = LossCurveDisplay.from_estimator(search)
    assert_array_equal(curves.lines_[0].get_ydata(), search.best_estimator_[-1].loss_curve_)
    assert curves.lines_[0].get_label() == f"{SOURCE}: training loss"
    named = LossCurveDisplay.from_estimator({"tuned": search, "pipeline": search.best_estimator_})
    assert [line.get_label() for line in named.lines_] == ["tuned: training loss", "pipeline: training loss"]
    assert LossCurveDisplay.from_estimator(search, name="mine").lines_[0].get_label() == "mine: training loss"
    images = WeightImageDisplay.from_estimator(search)
    assert images.image_shape == (4, 4)  # of the principal components
    assert images.ax_.get_title() == f"weights of 12 units, one image each\n{SOURCE}"
    layers = DiagnosticsDisplay.from_estimator(search, *data)
    assert layers.figure_.get_suptitle().endswith(f"\n{SOURCE}")
    for display in (curves, images, layers):
        display.figure_.canvas.draw()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_frames_passthrough_and_nested_pipelines(data, network):
    X, y = data
    frame = pd.DataFrame(X, columns=[f"pixel{j}" for j in range(64)])
    columns = make_column_transformer((StandardScaler(), [f"pixel{j}" for j in range(10, 50)]))
    inner = Pipeline([("nothing", "passthrough"), ("model", network)])
    model = make_pipeline(columns, inner).set_output(transform="pandas").fit(frame, y)
    diagnosis = diagnose(model, frame, y)
    assert diagnosis.source == "MLPClassifier, step 'model' of Pipeline, step 'pipeline' of Pipeline"
    fitted = model[-1][-1]
    assert diagnosis.cost == diagnose(fitted, columns.fit(frame).transform(frame), y).cost
    coder = make_pipeline(StandardScaler(), MLPAutoencoder(4, max_iter=2)).fit(X)
    assert diagnose(coder, X).source == "MLPAutoencoder, step 'mlpautoencoder' of Pipeline"
    search = RandomizedSearchCV(network, {"alpha": [0.1, 1.0]}, n_iter=2, cv=2, random_state=0).fit(X, y)
    assert diagnose(search, X, y).source == "MLPClassifier, best_estimator_ of RandomizedSearchCV"


def calls(model, X, y):
    """Every public function that takes an estimator."""
    return {
        "diagnose": lambda: diagnose(model, X, y),
        "check_gradient": lambda: check_gradient(model, X, y, max_params=2),
        "loss curve": lambda: LossCurveDisplay.from_estimator(model),
        "weights": lambda: WeightImageDisplay.from_estimator(model),
        "diagnostics": lambda: DiagnosticsDisplay.from_estimator(model, X, y),
    }


CALLS = list(calls(None, None, None))


@pytest.mark.parametrize("call", CALLS)
def test_unfitted_pipelines_and_searches_are_refused(call, data, network):
    pipeline = make_pipeline(StandardScaler(), network)
    with pytest.raises(NotFittedError, match="This Pipeline instance is not fitted yet"):
        calls(pipeline, *data)[call]()
    search = GridSearchCV(pipeline, {"mlpclassifier__alpha": [1.0]})
    with pytest.raises(NotFittedError, match="This GridSearchCV has no best_estimator_: call its method `fit` first"):
        calls(search, *data)[call]()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_search_that_was_not_refitted_is_refused(data, network):
    search = GridSearchCV(network, {"alpha": [1.0]}, refit=False, cv=2).fit(*data)
    with pytest.raises(NotFittedError, match="with refit=True"):
        diagnose(search, *data)


@pytest.mark.parametrize("call", CALLS)
def test_pipelines_that_end_in_another_estimator_are_refused(call, data):
    X, y = data
    model = make_pipeline(StandardScaler(), PCA(2), LogisticRegression()).fit(X, y)
    message = (
        "The estimator must be an MLPClassifier, MLPRegressor or MLPAutoencoder, or a fitted pipeline or search whose "
        "last step is one of them; got LogisticRegression, step 'logisticregression' of Pipeline."
    )
    with pytest.raises(TypeError) as error:
        calls(model, X, y)[call]()
    assert str(error.value) == message
    with pytest.raises(TypeError, match=r"last step is one of them; got LogisticRegression\(\)\."):
        calls(model[-1], X, y)[call]()


def test_an_estimator_itself_is_located_unchanged(data, network):
    assert locate(network, data[0]) == (network, data[0], "")
