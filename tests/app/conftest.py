"""What several tests of the program share."""

import contextlib

import pytest

from fastmlp.app import models
from fastmlp.tabular import TabularMLPClassifier, TabularMLPRegressor


@pytest.fixture(scope="session")
def small_ensemble():
    """Return a context in which the tabular model is a small ensemble, for tests that claim nothing about its score."""

    def build(table, seed):
        model = TabularMLPClassifier if table.task == "classification" else TabularMLPRegressor
        return model(n_estimators=2, n_folds=2, hidden_layer_sizes=(32,), max_iter=30, random_state=seed)

    @contextlib.contextmanager
    def context():
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(models.MODELS, "tabular", (models.MODELS["tabular"][0], build))
            yield

    return context
