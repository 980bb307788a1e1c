"""Training with L-BFGS, through the estimators."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from fastmlp import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_divergence_in_lbfgs(problems):
    problem = problems["regression"]
    model = MLPRegressor(solver="lbfgs", random_state=0)
    with pytest.raises(ValueError, match="The cost of the initial weights is not finite: scale the data"):
        model.fit(problem.X * 1e300, problem.y)
    assert np.isfinite(model.coefs_[0]).all()
    problem = problems["multiclass"]
    model = MLPClassifier(solver="lbfgs", random_state=0)
    with pytest.warns(ConvergenceWarning, match="scale the data"):
        model.fit(problem.X * 1e300, problem.y)
    assert np.isfinite(model.coefs_[0]).all()
