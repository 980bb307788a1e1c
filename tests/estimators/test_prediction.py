"""Predictions of a fitted estimator, and the input that they refuse."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from fastmlp import MLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("labels", [np.array([3]), np.array([-1, 4]), np.array(["a", "b", "c"]), np.arange(10) > 4])
def test_predictions_match_label_binarizer(labels):
    X, y = load_digits(return_X_y=True)
    y = labels[y % len(labels)]
    model = MLPClassifier((4,), max_iter=3, random_state=0).fit(X / 16, y)
    outputs = model.predict_proba(X / 16)
    assert outputs.shape == (len(y), len(model.classes_))
    # The output of a single unit is the probability of the second class; there may be none.
    single = outputs[:, 1] if len(model.classes_) == 2 else 1 - outputs[:, 0]
    expected = model._label_binarizer.inverse_transform(outputs if model.n_outputs_ > 1 else single)
    np.testing.assert_array_equal(model.predict(X / 16), expected, strict=True)
