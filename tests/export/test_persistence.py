"""Estimators survive pickle, joblib and skops; pickles of all releases load."""

import pickle
from io import BytesIO
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastmlp
from fastmlp import MLPAutoencoder, MLPClassifier, MLPRegressor
from fastmlp.estimators import _base

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

PICKLES = sorted((Path(__file__).parent / "pickles").glob("*.pkl"))
TRUSTED = {"fastmlp.training._state.TrainingState", "fastmlp.training._network.Network"}


def predict(model, X):
    """What `pickles/make.py` stores."""
    if isinstance(model, MLPClassifier):
        return model.predict_proba(X)
    return model.predict(X) if isinstance(model, MLPRegressor) else model.transform(X)


def test_the_present_release_has_a_pickle():
    assert f"{fastmlp.__version__}.pkl" in [path.name for path in PICKLES]


# The LabelBinarizer inside warns of another version of scikit-learn.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")
@pytest.mark.parametrize("path", PICKLES, ids=lambda path: path.stem)
def test_stored_pickle_predicts_the_same_bits(path):
    stored = pickle.loads(path.read_bytes())
    assert {type(model) for model, _, _ in stored.values()} == {MLPAutoencoder, MLPClassifier, MLPRegressor}
    for model, X, expected in stored.values():
        result = predict(model, X)
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(result, expected)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")
@pytest.mark.parametrize("path", PICKLES, ids=lambda path: path.stem)
def test_stored_pickle_can_be_trained_further(path):
    for model, X, _ in pickle.loads(path.read_bytes()).values():
        if model.solver == "lbfgs" or model.early_stopping:
            continue
        before = [coef.copy() for coef in model.coefs_]
        target = model.predict(X) if hasattr(model, "predict") else None
        model.partial_fit(X, target)
        assert not all(np.array_equal(a, b) for a, b in zip(before, model.coefs_, strict=True))


@pytest.fixture(params=["classifier", "regressor", "autoencoder", "pipeline"])
def fitted(request, problems):
    """A fitted estimator with as much state as there can be, and its data."""
    problem = problems["regression" if request.param == "regressor" else "strings"]
    shape = {"hidden_layer_sizes": (5, 5), "batch_norm": True, "residual": True, "max_iter": 3, "random_state": 0}
    model = {
        "classifier": MLPClassifier(**shape, early_stopping=True),
        "regressor": MLPRegressor(**shape),
        "autoencoder": MLPAutoencoder(3, max_iter=3, tied_weights=True, random_state=0),
        "pipeline": make_pipeline(StandardScaler(), MLPClassifier(3, solver="lbfgs", max_iter=3, random_state=0)),
    }[request.param]
    return model.fit(problem.X, problem.y), problem.X


def assert_equal_predictions(model, loaded, X):
    name = next(name for name in ("predict_proba", "predict", "transform") if hasattr(model, name))
    np.testing.assert_array_equal(getattr(loaded, name)(X), getattr(model, name)(X))


def test_joblib(fitted):
    model, X = fitted
    file = BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    assert_equal_predictions(model, joblib.load(file), X)


def test_skops_needs_trust_in_types_of_fastmlp_only(fitted):
    sio = pytest.importorskip("skops.io", reason="the extra 'test-export' is not installed")
    model, X = fitted
    data = sio.dumps(model)
    untrusted = sio.get_untrusted_types(data=data)
    last = model[-1] if hasattr(model, "steps") else model
    own = f"{type(last).__module__}.{type(last).__name__}"
    assert own in untrusted
    assert set(untrusted) <= TRUSTED | {own}
    loaded = sio.loads(data, trusted=untrusted)
    assert_equal_predictions(model, loaded, X)


def test_state_carries_the_version(fitted):
    model, _ = fitted
    last = model[-1] if hasattr(model, "steps") else model
    assert last.__getstate__()["_fastmlp_version"] == fastmlp.__version__
    assert "_fastmlp_version" not in vars(pickle.loads(pickle.dumps(last)))


@pytest.mark.parametrize("version", ["0.0.9", None])
def test_earlier_version_loads_without_a_warning(version):
    state = {**MLPClassifier(7).__getstate__(), "_fastmlp_version": version}
    model = MLPClassifier.__new__(MLPClassifier)
    model.__setstate__(state)
    assert model.hidden_layer_sizes == 7
    assert state["_fastmlp_version"] == version


def test_later_version_warns(monkeypatch):
    monkeypatch.setattr(_base, "__version__", "9.1.0")
    data = pickle.dumps(MLPClassifier())
    message = f"This MLPClassifier was pickled by fastmlp 9.1.0 and is loaded by fastmlp {fastmlp.__version__}"
    with pytest.warns(UserWarning, match=message):
        pickle.loads(data)
