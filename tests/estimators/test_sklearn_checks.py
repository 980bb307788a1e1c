"""scikit-learn's common checks, for both estimators and every solver, with no failure expected."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmlp import MLPClassifier, MLPRegressor

SOLVERS = ["sgd", "adam", "lbfgs"]

# max_iter as in scikit-learn's tests of its own classes.
ESTIMATORS = [
    Estimator(solver=solver, max_iter=100) for Estimator in (MLPClassifier, MLPRegressor) for solver in SOLVERS
]
# The checks do not set the parameters that only fastmlp has.
ESTIMATORS += [
    Estimator(
        hidden_layer_sizes=(8, 8),
        activation=["maxout", "gelu"],
        learning_rate_init=0.02,
        max_iter=100,
        n_jobs=2,
        penalty_scaling="sum",
        init="orthogonal",
        residual=True,
    )
    for Estimator in (MLPClassifier, MLPRegressor)
]


def all_checks(estimators):
    """scikit-learn's checks; before 1.9 they are a generator, which pytest 9.1 and later no longer accept."""
    mark = parametrize_with_checks(estimators).mark
    return pytest.mark.parametrize(mark.args[0], list(mark.args[1]), **mark.kwargs)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:X has columns with root mean squares:UserWarning")
@all_checks(ESTIMATORS)
def test_sklearn_check(estimator, check):
    check(estimator)
