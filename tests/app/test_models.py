"""Comparison of models: all have the same test rows, the folds select the model, and a better model is named."""

import copy

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine
from sklearn.pipeline import Pipeline

from fastmlp.app import UserError, models, report, saving, search
from fastmlp.app.table import read_table
from fastmlp.tabular import TabularMLPRegressor


@pytest.fixture(scope="module")
def compared(tmp_path_factory, small_ensemble):
    data = load_wine(as_frame=True)
    path = tmp_path_factory.mktemp("wine") / "wine.csv"
    data.frame.to_csv(path, index=False)
    table = read_table(str(path), "target")
    split = search.split(table, 0)
    log = path.with_name("log")
    outcome = search.run("fastmlp", table, split, log, jobs=1, seed=0, ready=0, max_iter=20)
    with small_ensemble():
        return table, split, outcome, *models.compare(table, split, outcome, seed=0)


def test_every_model_is_scored_on_the_same_rows(compared):
    _, split, outcome, found, failures = compared
    assert failures == []
    assert tuple(model.name for model in found) == models.NAMES
    for model in found:
        assert list(model.test_scores) == ["accuracy", "balanced accuracy", "log loss"]
        assert model.test_scores["accuracy"] == pytest.approx(model.estimator.score(split.X_test, split.y_test))
        assert len(model.cv_scores) == search.FOLDS
    assert found[0].cv_scores.mean() == pytest.approx(outcome.search.best_score_)
    # 71 of 178 are of the most frequent class.
    assert found[-1].test_scores["accuracy"] == pytest.approx(np.mean(split.y_test == 1))


def test_folds_choose(compared):
    found = compared[3]
    best = models.choose(found, "best")
    assert best.cv_scores.mean() == max(model.cv_scores.mean() for model in found)
    assert models.choose(found, "linear").name == "linear"
    with pytest.raises(UserError, match="--model boosting: it could not be fitted to this table"):
        models.choose(found[:1], "boosting")


def test_model_that_fails_is_reported(compared, monkeypatch, small_ensemble):
    table, split, outcome, *_ = compared
    monkeypatch.setitem(models.MODELS, "linear", ("broken model", lambda table, seed: _Broken()))
    with small_ensemble():
        found, failures = models.compare(table, split, outcome, seed=0)
    assert "linear" not in [model.name for model in found]
    assert failures == ["broken model: could not be fitted (too many categories)"]


class _Broken(models.DummyClassifier):
    def fit(self, X, y, sample_weight=None):
        raise ValueError("too many categories\nand a second line")


RESULTS = {
    "metric": "accuracy",
    "task": "classification",
    "rows": {"test": 40},
    "models": {
        "models": [
            {"name": "boosting", "title": "trees", "test": {"accuracy": 0.95}},
            {"name": "mlp", "title": "network", "test": {"accuracy": 0.9}},
        ],
        "saved": "boosting",
        "why": "for a reason",
        "failures": [],
    },
}


def test_better_boosting_is_not_hidden():
    assert report.conclusion(RESULTS) == [
        "Best on the 40 test rows, accuracy 0.9500: trees.",
        "The best model of fastmlp, network, is worse by 2 of 40 rows.",
        "Saved (*): trees, for a reason.",
    ]


def test_best_of_fastmlp_is_compared():
    results = copy.deepcopy(RESULTS)
    better = {"name": "tabular", "title": "ensemble", "test": {"accuracy": 0.925}}
    results["models"]["models"].insert(1, better)
    assert report.conclusion(results)[1] == "The best model of fastmlp, ensemble, is worse by 1 of 40 rows."
    better["test"]["accuracy"] = 0.95
    assert report.conclusion(results) == [
        "Best on the 40 test rows, accuracy 0.9500: trees; ensemble.",
        "Saved (*): trees, for a reason.",
    ]


def test_columns_of_the_table_are_aligned():
    """The longest title, that of the boosted trees, once moved the scores of its line."""
    compared = copy.deepcopy(RESULTS)
    for model in compared["models"]["models"]:
        model |= {"title": models.MODELS.get(model["name"], ("network",))[0], "seconds": 1.0}
    lines = report.models(compared)
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) <= report.WIDTH


def test_equal_models_are_named():
    results = copy.deepcopy(RESULTS)
    results["models"]["models"][0]["test"]["accuracy"] = 0.9
    assert report.conclusion(results)[0] == "Best on the 40 test rows, accuracy 0.9000: trees; network."
    assert len(report.conclusion(results)) == 2


def test_categories_and_missing_values_reach_all_models(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"town": rng.choice(["Rome", "Oslo"], 200), "x": rng.normal(size=200)})
    frame["y"] = np.where(frame["town"] == "Rome", 10.0, 20.0) + 0.1 * frame["x"]
    frame = frame.assign(x=frame["x"].mask(rng.random(200) < 0.1))
    frame.to_csv(tmp_path / "table.csv", index=False)
    table = read_table(str(tmp_path / "table.csv"), "y")
    split = search.split(table, 0)
    outcome = search.run("fastmlp", table, split, tmp_path / "log", jobs=1, seed=0, ready=0, max_iter=120)
    found, failures = models.compare(table, split, outcome, seed=0)
    assert failures == []
    scores = {model.name: model.test_scores["R2"] for model in found}
    assert min(scores[name] for name in ("mlp", "tabular", "boosting", "linear")) > 0.95
    assert scores["constant"] < 0.1


@pytest.mark.parametrize("form", saving.FORMATS)
def test_saved_tabular_model_predicts_the_same(tmp_path, form):
    rng = np.random.default_rng(0)
    streets = [f"street {number}" for number in rng.integers(100, size=300)]  # more levels than are one-hot encoded
    frame = pd.DataFrame({"street": streets, "x": rng.normal(size=300), "y": rng.normal(size=300)})
    frame.to_csv(tmp_path / "table.csv", index=False)
    table = read_table(str(tmp_path / "table.csv"), "y")
    model = TabularMLPRegressor(n_estimators=2, n_folds=2, max_iter=2, random_state=0).fit(table.X, table.y)
    path = tmp_path / f"model.{form}"
    saving.save_model(Pipeline([("prepare", table.preparation), ("model", model)]), path)
    np.testing.assert_array_equal(saving.load_model(path).predict(frame), model.predict(table.X))
