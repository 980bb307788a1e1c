"""The quality benchmark measures each model on each table once, and reports where fastmlp loses."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from bench import quality
from bench.quality_tables import TABLES, load

MODELS = [quality.OURS, quality.BASE, "linear model"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("quality") / "folder" / "quality.json"
    quality.compare(MODELS, ["breast_cancer", "diabetes"], 1, 1, path)
    return path


def test_errors_are_those_of_the_estimators(store):
    stored = json.loads(store.read_text("utf-8"))
    assert list(stored["results"]) == MODELS
    for cases in stored["results"].values():
        assert list(cases) == ["breast_cancer/0", "diabetes/0"]
        assert 0 < cases["breast_cancer/0"]["error"] < 0.1
        assert 0 < cases["breast_cancer/0"]["auc"] < 0.05
        # About half of the variance can be explained.
        assert 0.6 < cases["diabetes/0"]["error"] < 0.9
        assert "auc" not in cases["diabetes/0"]
    assert stored["about"]["threads"] == 1
    assert stored["sizes"] == {"breast_cancer": [569, 30], "diabetes": [442, 10]}


def test_stored_results_are_not_computed_again(store, monkeypatch):
    monkeypatch.setattr(quality, "evaluate", None)
    before = store.read_text("utf-8")
    stored = quality.compare(MODELS, ["breast_cancer", "diabetes"], 1, 1, store)
    assert store.read_text("utf-8") == before
    assert stored == json.loads(before)


class Refusing(LinearRegression):
    def fit(self, X, y):
        raise ValueError("Input X contains NaN.\nMore words.")


def test_refused_tables_are_stored_and_left_out_of_ratios(store, monkeypatch):
    monkeypatch.setitem(quality.MODELS, "TabM", lambda task, seed, threads: Refusing())
    monkeypatch.setitem(quality.MODELS, "RealMLP", quality.MODELS["linear model"])
    stored = quality.compare(["TabM"], ["breast_cancer", "diabetes"], 1, 1, store)
    stored = quality.compare(["RealMLP"], ["diabetes"], 1, 1, store)
    assert stored["results"]["TabM"]["diabetes/0"] == {"refused": "Input X contains NaN."}
    results = quality.frame_of(stored)
    assert "TabM" not in list(quality.summary(results)["model"])
    assert quality.by_table(results)["TabM"].tolist() == ["refused", "refused"]
    assert quality.by_table(results)["RealMLP"].tolist()[0] == "—"
    compared = quality.networks(results)
    assert "TabM" not in compared
    assert quality.versus(results, quality.OURS, "RealMLP")["tables"] == 1
    assert "They refuse tables with missing numbers." in quality.section(stored)
    del stored["results"]["RealMLP"], stored["results"]["TabM"]
    assert "pytabkit" not in quality.section(stored).partition("breast_cancer")[0]


def case(error):
    return {"error": error, "auc": error / 2, "log_loss": error, "cpu": 2.0}


STORED = {
    "about": {"machine": {"cpu": "a processor"}, "threads": 2, "versions": {"fastmlp": "1"}, "date": "2026-01-01"},
    "sizes": {"pima": [768, 8], "vowel": [9000, 13]},
    "results": {
        quality.OURS: {"pima/0": case(0.09), "vowel/0": case(0.19), "pima/1": case(0.09), "vowel/1": case(0.39)},
        quality.BASE: {"pima/0": case(0.19), "vowel/0": case(0.19), "pima/1": case(0.19), "vowel/1": case(0.19)},
    },
}


def test_summary():
    ours, base = quality.summary(quality.frame_of(STORED)).to_dict("records")
    # Ratios 0.5, 0.5, 1 and 2; the tables' mean logarithms are -log 2 and (log 2) / 2.
    ratios = np.log([0.5, 2**0.5])
    standard_error = ratios.std(ddof=1) / np.sqrt(2)
    assert ours["error"] == f"{100 * np.expm1(ratios.mean()):+.1f} % ({100 * standard_error:.1f})"
    assert ours["wins"] == "62 %"
    assert ours["mean rank"] == "1.38"
    assert base["mean rank"] == "1.62"
    assert ours["tables"] == 2


def test_kinds_of_tables():
    kinds = quality.by_kind(quality.frame_of(STORED), STORED["sizes"]).set_index("kind")
    assert list(kinds.index) == ["all", "classification", "at most 2,100 rows", "more than 2,100 rows"]
    assert kinds["tables"].tolist() == [2, 2, 1, 1]
    # Errors of 0.09 against 0.19, and of 0.19 and 0.39 against 0.19, with 0.01 added.
    assert kinds["error"].tolist()[2:] == ["-50.0 %", "+41.4 %"]
    assert kinds["wins"].tolist()[2:] == ["100 %", "25 %"]


def test_section_names_losses():
    text = quality.section(STORED)
    assert "predicts better than fastmlp on: vowel (+41 %)." in text
    assert "| pima" in text
    assert "Not measured in this run: breast_cancer, digits" in text
    assert "**0.0900**" in text


def test_headline_states_losses():
    text = quality.headline(STORED)
    mean = 100 * np.expm1(np.log([0.5, 2**0.5]).mean())
    assert "On 2 real tables that were not used to develop it, the error of `fastmlp.tabular`" in text
    assert f"is {-mean:.1f} % lower than that of scikit-learn's HistGradientBoosting" in text
    assert "on 1 of the tables it is higher: vowel (+41 %)." in text
    assert "The median CPU time of a fit is 2.0 seconds, that of HistGradientBoosting 2.0" in text


def test_tables_are_numbers_and_categories():
    for name in ("breast_cancer", "digits", "diabetes"):
        X, y = load(name)
        assert len(X) == len(y) >= 300
        assert all(pd.api.types.is_numeric_dtype(dtype) or dtype == "category" for dtype in X.dtypes)
        assert not y.isna().any()
        assert y.nunique() > 1


def test_unknown_names_are_refused(capsys):
    with pytest.raises(SystemExit):
        quality.main(["--tables", "nothing"])
    assert "--tables: 'nothing' is none of breast_cancer" in capsys.readouterr().err
    assert set(quality.ON_DEMAND) < set(quality.MODELS)
    assert len(TABLES) == 46
