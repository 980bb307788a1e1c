"""The benchmark of dtypes compares two dtypes, and summarises their differences."""

import numpy as np
import pandas as pd
import pytest

from bench.dtype_accuracy import compare, load_numbers, summary


@pytest.mark.parametrize("name", ["breast_cancer", "diabetes"])
def test_both_dtypes_are_fitted_to_the_same_splits(name):
    X, y = load_numbers(name)
    assert X.dtype == np.float64
    found = compare(name, X[:150], y[:150], splits=2, repetitions=1)
    scores = found[["score float64", "score float32"]].to_numpy()
    assert len(found) == 2
    assert scores[0, 0] != scores[1, 0]  # the splits differ
    # Rounding to float32 moves outputs by about 1e-6, but may move the epoch at which training stops.
    np.testing.assert_allclose(scores[:, 0], scores[:, 1], atol=0.05)
    assert (found[["seconds float64", "seconds float32"]] > 0).all(axis=None)


def test_summary_of_known_scores():
    found = pd.DataFrame(
        {
            "score float64": [0.5, 0.7, 0.9],
            "score float32": [0.5, 0.7, 0.93],
            "seconds float64": [2.0, 2.0, 4.0],
            "seconds float32": [1.0, 1.2, 8.0],
        }
    )
    assert summary(found) == {
        "score, float64": "0.7000",
        "score, float32": "0.7100",
        "difference ± standard error": "+0.0100 ± 0.0100",  # 0.01 ± sqrt(3e-4 / 3)
        "time, float32 / float64": "0.60",
    }
