"""scikit-learn's common checks for the estimators and transformers of `fastmlp.tabular`."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmlp.tabular import (
    PiecewiseLinearEncoder,
    RobustSmoothClipScaler,
    TableEncoder,
    TabularMLPClassifier,
    TabularMLPRegressor,
)

# A fold holds rows out whatever their weights are, so two rows are not one row of twice the weight. scikit-learn
# expects the same of its own estimators that hold rows out.
EXPECTED = {"check_sample_weight_equivalence_on_dense_data": "rows are held out by folds of rows, not of weight"}

ESTIMATORS = [
    PiecewiseLinearEncoder(),
    RobustSmoothClipScaler(),
    TableEncoder(),
    TabularMLPClassifier(n_estimators=2, n_folds=2, hidden_layer_sizes=(32,), max_iter=60),
    TabularMLPRegressor(n_estimators=2, n_folds=2, hidden_layer_sizes=(32,), max_iter=60),
]


def expected_failures(estimator):
    return EXPECTED if isinstance(estimator, TabularMLPClassifier | TabularMLPRegressor) else {}


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failures)
def test_sklearn_check(estimator, check):
    check(estimator)
