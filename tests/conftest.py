"""Fixtures that several test files share: data for every kind of target and a seeded generator."""

import os
import signal
from pathlib import Path
from typing import NamedTuple

import hypothesis
import numpy as np
import pytest
import sklearn
import sklearn.neural_network
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.preprocessing import scale

import fastmlp

# The same examples in every run, and no time limit for one, which a busy machine would exceed.
hypothesis.settings.register_profile("fastmlp", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("fastmlp")

# Scripts start background processes with SIGINT ignored, and the processes that tests interrupt would inherit this.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Problem(NamedTuple):
    """Data, the estimators of both packages for them, and the parameters that both need."""

    ours: type
    theirs: type
    X: np.ndarray
    y: np.ndarray
    params: dict


@pytest.fixture(scope="session")
def problems():
    """Return one problem of 150 to 300 rows for each kind of target."""
    ours, theirs = fastmlp, sklearn.neural_network
    classifiers, regressors = (
        (ours.MLPClassifier, theirs.MLPClassifier),
        (ours.MLPRegressor, theirs.MLPRegressor),
    )
    cancer = load_breast_cancer(return_X_y=True)
    digits = load_digits(return_X_y=True)
    wine = load_wine(return_X_y=True)
    measured, progression = load_diabetes(return_X_y=True, scaled=False)
    measured, progression = scale(measured)[:240], progression[:240]
    names = np.array(["barolo", "grignolino", "barbera"])
    three = np.column_stack([scale(progression), measured[:, 2:4]])  # with body mass index and blood pressure
    rest = np.delete(measured, [2, 3], axis=1)
    return {
        "binary": Problem(*classifiers, scale(cancer[0])[:230], cancer[1][:230], {}),
        "multiclass": Problem(*classifiers, digits[0][:290] / 16, digits[1][:290], {}),
        "strings": Problem(*classifiers, scale(wine[0]), names[wine[1]], {}),
        "multilabel": Problem(
            *classifiers, measured, (progression[:, None] > np.percentile(progression, [25, 50, 75])).astype(int), {}
        ),
        "regression": Problem(*regressors, measured, scale(progression), {}),
        "outputs": Problem(*regressors, rest, three, {}),
        "poisson": Problem(*regressors, measured, np.round(progression / 50), {"loss": "poisson"}),
    }


@pytest.fixture(autouse=True)
def _seed():
    """Seed the generator that estimators without `random_state` draw from."""
    np.random.seed(0)  # noqa: NPY002


@pytest.fixture
def rng():
    """Return a generator with a fixed seed."""
    return np.random.default_rng(0)


def flatten(nested):
    """All numbers of nested lists and tuples of arrays, in one vector of float64."""
    if isinstance(nested, (list, tuple)):
        return np.concatenate([np.empty(0), *map(flatten, nested)])
    return np.ravel(nested).astype(np.float64)


@pytest.fixture(scope="session")
def rounding_error():
    """A function that returns a bound for the effect of rounding on the result of a training.

    A constant bound does not exist: a network amplifies or reduces changes of its weights, momentum accumulates them,
    and Adam divides by the size of the gradient. An extreme example is a bias before a batch normalisation. Its exact
    gradient is 0, and the computed one is about 1e-16 because of rounding. With epsilon = 1e-8, Adam changes the bias
    by 1e-8 times the learning rate.

    The effect is therefore measured. `train(*start)` runs again with every number of `start` changed by one unit in the
    last place of `dtype`, up or down at random. The roundings of a training change the result by a small multiple of
    the largest change in three such runs: the kernels and the reference in `test_training_matches_reference` differ by
    at most 4 times this change. The bound is 100 times this change, and at least 100 units in the last place of 1.
    """

    def bound(train, start, dtype=np.float64):
        eps = float(np.finfo(dtype).eps)
        exact = flatten(train(*start))
        worst = eps
        for seed in range(3):
            rng = np.random.default_rng(seed)
            moved = [[a * (1 + eps * rng.choice([-1, 1], np.shape(a))) for a in part] for part in start]
            worst = max(worst, np.abs(flatten(train(*moved)) - exact).max())
        return 100 * worst

    return bound


@pytest.fixture(scope="session")
def needs_sklearn():
    """A function that skips a test if the installed scikit-learn lacks the feature that fastmlp is compared with."""
    installed = tuple(int(part) for part in sklearn.__version__.split(".")[:2])

    def check(since, what):
        if installed < tuple(int(part) for part in since.split(".")):
            pytest.skip(f"scikit-learn {sklearn.__version__} lacks {what}, which is new in {since}")

    return check


WORST = pytest.StashKey[float]()
WORKERS = 2


def pytest_xdist_auto_num_workers(config):
    """Use two worker processes, or none if the only argument is a file: one file runs in one process."""
    paths = [Path(argument.partition("::")[0]) for argument in config.args]
    return 0 if len(paths) == 1 and paths[0].is_file() else WORKERS


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes():
    """Give the BLAS library of each worker process one thread.

    SciPy's L-BFGS-B calls OpenBLAS for matrices of 10 rows, which it distributes to as many threads as there are cores.
    With other processes on these cores, such a call takes milliseconds instead of microseconds.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@pytest.fixture
def record(request):
    """Return a function that records differences from scikit-learn; the largest is printed after the tests."""
    stash = request.config.stash

    def keep(difference):
        stash[WORST] = max(float(difference), stash.get(WORST, 0.0))

    return keep


def pytest_sessionfinish(session):
    """Send the largest difference from a worker process to the main process."""
    config = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput["worst"] = config.stash.get(WORST, None)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """Receive the largest difference of a worker process that has ended."""
    worst = getattr(node, "workeroutput", {}).get("worst")
    if worst is not None:
        node.config.stash[WORST] = max(worst, node.config.stash.get(WORST, 0.0))


def pytest_terminal_summary(terminalreporter, config):
    if WORST in config.stash:
        terminalreporter.write_line(f"largest relative difference from scikit-learn: {config.stash[WORST]:.2g}")
