"""History: a data frame with a row for each epoch."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse
from sklearn.datasets import load_diabetes, load_digits
from sklearn.preprocessing import scale

from fastmlp import MLPAutoencoder, MLPClassifier, MLPRegressor
from fastmlp.callbacks import History
from fastmlp.inspection import cost_and_gradient

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
COLUMNS = ["epoch", "loss", "validation_loss", "validation_score", "learning_rate", "gradient_norm"]


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:300] / 16, y[:300]


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_columns(solver, digits):
    X, y = digits
    history = History()
    model = MLPClassifier(8, solver=solver, max_iter=7, random_state=0).set_callbacks(history)
    model.fit(X[:200], y[:200], X_val=X[200:], y_val=y[200:])
    frame = history.frame()
    assert list(frame.columns) == COLUMNS
    assert frame["epoch"].tolist() == list(range(1, 8))
    assert frame["loss"].tolist() == model.loss_curve_
    assert frame["validation_loss"].tolist() == model.validation_loss_curve_
    assert frame["validation_score"].tolist() == model.validation_scores_
    assert (frame["gradient_norm"] > 0).all()


def test_the_gradient_norm_of_a_full_batch(digits):
    """The norm in an epoch of one batch is that of the gradient at the weights before the epoch."""
    X, y = digits
    params = {"hidden_layer_sizes": 8, "batch_size": len(X), "random_state": 0, "solver": "sgd", "alpha": 0.1}
    history = History()
    MLPClassifier(**params, max_iter=3).set_callbacks(history).fit(X, y)
    before = MLPClassifier(**params, max_iter=2).fit(X, y)
    _, coef_grads, intercept_grads = cost_and_gradient(
        before.coefs_, before.intercepts_, X, np.eye(10)[y], output="softmax", alpha=0.1
    )
    norm = np.sqrt(sum((g**2).sum() for g in [*coef_grads, *intercept_grads]))
    # Both norms are sums of about 700 squares.
    assert history.frame()["gradient_norm"].iloc[-1] == pytest.approx(norm, rel=1e-12)


def test_the_gradient_norm_is_that_before_clipping(digits):
    X, y = digits
    params = {"hidden_layer_sizes": 8, "max_iter": 1, "batch_size": len(X), "random_state": 0}
    norms = []
    for limit in (None, 1e-3):
        history = History()
        MLPClassifier(**params, max_grad_norm=limit).set_callbacks(history).fit(X, y)
        norms.append(history.frame()["gradient_norm"].item())
    assert norms[0] == norms[1] > 1e-3


@pytest.mark.parametrize(
    "options",
    [
        {"dropout": 0.3, "weight_decay": 0.1},
        {"batch_norm": True},
        {"activation": "maxout"},
        {"learning_rate_multipliers": [0.5, 2.0]},
        {"batch_size": 7},
        {"batch_size": 300},
    ],
    ids=str,
)
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_recording_the_gradient_norm_does_not_change_the_weights(dtype, sparse, options, digits):
    X, y = digits
    X = scipy.sparse.csr_array(X.astype(dtype)) if sparse else X.astype(dtype)
    fits = [
        MLPClassifier(8, max_iter=3, random_state=0, **options).set_callbacks(*callbacks).fit(X, y)
        for callbacks in ([], [History()])
    ]
    for ours, theirs in zip(fits[0].coefs_, fits[1].coefs_, strict=True):
        np.testing.assert_array_equal(ours, theirs)


RATES = {
    "constant": lambda u: np.full_like(u, 0.1),
    "cosine": lambda u: 0.05 * (1 + np.cos(np.pi * u)),
    "linear": lambda u: 0.1 * (1 - u),
}


@pytest.mark.parametrize("schedule", RATES)
def test_learning_rate_of_the_last_mini_batch(schedule, digits):
    history = History()
    model = MLPClassifier(
        8, solver="sgd", learning_rate=schedule, learning_rate_init=0.1, batch_size=100, max_iter=5, random_state=0
    )
    model.set_callbacks(history).fit(*digits)
    steps = np.arange(15)
    expected = RATES[schedule](steps / 15)[2::3]
    np.testing.assert_allclose(history.frame()["learning_rate"], expected, rtol=1e-12)


def test_learning_rates_of_scikit_learn(digits):
    X, y = digits
    histories = {}
    for name, options in {"invscaling": {}, "adaptive": {"tol": 10.0, "n_iter_no_change": 1}}.items():
        histories[name] = History()
        model = MLPClassifier(8, solver="sgd", learning_rate=name, learning_rate_init=0.1, max_iter=5, **options)
        model.set_callbacks(histories[name]).fit(X, y)
    before_epoch = np.r_[0, np.arange(1, 5) * 300 + 1] ** 0.5
    expected = 0.1 / np.where(before_epoch == 0, 1, before_epoch)
    np.testing.assert_allclose(histories["invscaling"].frame()["learning_rate"], expected, rtol=1e-12)
    # The best loss is that of the first epoch; the third is the second without improvement.
    assert histories["adaptive"].frame()["learning_rate"].tolist() == pytest.approx([0.1, 0.1, 0.1, 0.02, 0.02])


def test_lbfgs(digits):
    history = History()
    model = MLPClassifier(8, solver="lbfgs", max_iter=4, random_state=0).set_callbacks(history).fit(*digits)
    frame = history.frame()
    assert len(frame) == 4
    assert frame["loss"].iloc[-1] == model.loss_
    assert (np.diff(frame["loss"]) < 0).all()
    assert frame[["validation_loss", "validation_score", "learning_rate", "gradient_norm"]].isna().all(axis=None)


def test_several_outputs_with_lbfgs():
    """The loss is that of the other solvers: the mean over the outputs."""
    X, y = load_diabetes(return_X_y=True)
    history = History()
    model = MLPRegressor(hidden_layer_sizes=5, solver="lbfgs", max_iter=4, random_state=0).set_callbacks(history)
    model.fit(scale(X), np.column_stack([scale(y), scale(y) ** 2]))
    assert history.frame()["loss"].iloc[-1] == model.loss_


@pytest.mark.parametrize("tied", [False, True])
def test_autoencoders(tied, digits):
    history = History()
    model = MLPAutoencoder((8,), tied_weights=tied, max_iter=3, random_state=0).set_callbacks(history).fit(digits[0])
    assert history.frame()["loss"].tolist() == model.loss_curve_
    assert (history.frame()["gradient_norm"] > 0).all()


def test_each_fit_begins_a_new_table(digits):
    history = History()
    assert len(history.frame()) == 0
    model = MLPClassifier(8, max_iter=3, random_state=0).set_callbacks(history)
    model.fit(*digits)
    model.set_params(max_iter=2).fit(*digits)
    assert history.frame()["epoch"].tolist() == [1, 2]
    assert history.frame()["loss"].tolist() == model.loss_curve_
    copied = pickle.loads(pickle.dumps(history))
    assert copied.frame().equals(history.frame())


def test_a_diverged_fit_keeps_the_earlier_epochs(digits):
    X, y = digits
    history = History()
    model = MLPRegressor(
        hidden_layer_sizes=8, activation="identity", solver="sgd", learning_rate_init=0.2, max_iter=50, random_state=0
    )
    model.set_callbacks(history)
    with pytest.raises(ValueError, match="diverged"):
        model.fit(X, y * 10.0)
    assert len(history.frame()) == model.n_iter_


def test_pandas_is_needed_only_for_the_frame():
    script = """
import sys, warnings

class WithoutPandas:
    def find_spec(self, name, path=None, target=None):
        if name == "pandas":
            raise ImportError("no module named pandas")

sys.meta_path.insert(0, WithoutPandas())
warnings.simplefilter("ignore")
from sklearn.datasets import load_iris
from fastmlp import MLPClassifier
from fastmlp.callbacks import History
data = load_iris(return_X_y=True)
history = History()
MLPClassifier(5, max_iter=2).set_callbacks(history).fit(*data)
try:
    history.frame()
except ImportError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=1200)
    assert run.returncode == 0, run.stderr
    assert "pandas" in run.stdout
