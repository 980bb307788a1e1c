"""What several test files share: real data in the shapes that a network learns, and a seeded generator."""

from typing import NamedTuple

import numpy as np
import pytest
import sklearn
import sklearn.neural_network
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.preprocessing import scale

import fastmlp


class Problem(NamedTuple):
    """Data, both packages' estimators for it, and the parameters that make them fit it."""

    ours: type
    theirs: type
    X: np.ndarray
    y: np.ndarray
    params: dict


@pytest.fixture(scope="session")
def problems():
    """One problem for each kind of target, 150-300 rows each."""
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


@pytest.fixture
def rng():
    """A generator with a fixed seed."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def needs_sklearn():
    """A function that skips a test where the installed scikit-learn lacks what fastmlp is compared with."""
    installed = tuple(int(part) for part in sklearn.__version__.split(".")[:2])

    def check(since, what):
        if installed < tuple(int(part) for part in since.split(".")):
            pytest.skip(f"scikit-learn {sklearn.__version__} lacks {what}, which is new in {since}")

    return check


WORST = pytest.StashKey[float]()


@pytest.fixture
def record(request):
    """A function that takes differences from scikit-learn; the largest is printed after the tests."""
    stash = request.config.stash

    def keep(difference):
        stash[WORST] = max(difference, stash.get(WORST, 0.0))

    return keep


def pytest_terminal_summary(terminalreporter, config):
    if WORST in config.stash:
        terminalreporter.write_line(f"largest relative difference from scikit-learn: {config.stash[WORST]:.2g}")
