"""The transformer of raw data frames: kinds of columns, the same result in fit and in prediction, clear refusals."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline

from fastmlp.app.preparation import TablePreparation, recognize

ROWS = 60


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "id": np.arange(101, 101 + ROWS),
            "size": rng.normal(size=ROWS),
            "town": rng.choice(["Rome", "Oslo"], ROWS),
            "day": pd.date_range("2024-01-01", periods=ROWS).strftime("%d.%m.%Y"),
            "at": pd.date_range("2024-01-01", periods=ROWS, freq="h"),
            "same": "x",
            "none": [None] * ROWS,
            "key": [f"k{i}" for i in range(ROWS)],
        }
    )


def test_recognised_kinds(frame):
    found = recognize(frame)
    assert found.kinds == {
        "id": "left out",
        "size": "number",
        "town": "text",
        "day": "date %d.%m.%Y",
        "at": "time ISO8601",
        "same": "left out",
        "none": "left out",
        "key": "left out",
    }
    assert found.reasons == {"id": "counter", "same": "constant", "none": "empty", "key": "identifier"}
    kept = recognize(frame, keep=["id", "key"]).kinds
    assert (kept["id"], kept["key"]) == ("number", "text")


@pytest.mark.parametrize(
    ("values", "left_out"),
    [
        (np.arange(30), True),
        (np.random.default_rng(0).permutation(30) + 5.0, True),
        (np.arange(30) * 2, False),  # such as even years: a quantity
        (np.arange(30) + 0.5, False),
        (np.repeat(np.arange(15), 2), False),
        (np.arange(10), False),  # too few to tell
    ],
)
def test_whole_numbers_that_count_up_are_an_identifier(values, left_out):
    assert (recognize(pd.DataFrame({"n": values})).kinds["n"] == "left out") is left_out


def test_features(frame):
    preparation = TablePreparation().fit(frame)
    table = preparation.transform(frame)
    assert list(table) == list(preparation.get_feature_names_out())
    assert list(table) == [
        "size",
        "town",
        "day (days)",
        "day (month)",
        "day (weekday)",
        "at (days)",
        "at (month)",
        "at (weekday)",
        "at (hour)",
    ]
    # 2024-01-31 was a Wednesday.
    assert table.loc[30, ["day (days)", "day (month)", "day (weekday)"]].tolist() == [19753, 1, 2]
    assert table.loc[30, ["at (days)", "at (weekday)", "at (hour)"]].tolist() == [19724.25, 1, 6]
    assert preparation.categories_ == {"town": ["Oslo", "Rome"]}
    assert preparation.n_features_in_ == 8


def test_same_result_in_any_order_with_further_columns_and_as_text(frame):
    preparation = TablePreparation().fit(frame)
    expected = preparation.transform(frame)
    other = frame[frame.columns[::-1]].assign(more=1)
    other["size"] = other["size"].map(repr)
    other["at"] = other["at"].astype(str)
    other = other.drop(columns=["id", "same", "none", "key"]).rename(columns={"size": " size "})
    pd.testing.assert_frame_equal(preparation.transform(other), expected)


def test_copies_agree(frame, tmp_path):
    import skops.io  # takes four seconds, so only the process that runs this test imports it

    preparation = TablePreparation(recognize(frame).kinds).fit(frame)
    expected = preparation.transform(frame)
    skops.io.dump(preparation, tmp_path / "preparation.skops")
    types = skops.io.get_untrusted_types(file=tmp_path / "preparation.skops")
    assert all(name.startswith("fastmlp.") for name in types)
    for copy in (
        clone(preparation).fit(frame),
        pickle.loads(pickle.dumps(preparation)),
        skops.io.load(tmp_path / "preparation.skops", trusted=types),
    ):
        pd.testing.assert_frame_equal(copy.transform(frame), expected)


def test_in_a_pipeline_of_scikit_learn(frame):
    """Boosted trees take the categories as they are, and a new one as a missing value."""
    y = (frame["town"] == "Rome").to_numpy()
    model = make_pipeline(TablePreparation(), HistGradientBoostingClassifier(min_samples_leaf=5)).fit(frame, y)
    assert model.score(frame, y) == 1
    new = frame.assign(town="Atlantis")
    assert model[0].new_categories(new) == {"town": ["Atlantis"]}
    assert model[0].new_categories(frame) == {}
    missing = frame.assign(town=None)
    np.testing.assert_array_equal(model.predict_proba(new), model.predict_proba(missing))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="size"), r"column 'size' is missing; the model needs it"),
        (lambda f: f.drop(columns=["size", "day"]), r"column 'size' is missing \(and 1 more\)"),
        (lambda f: f.assign(size=["big", *["1"] * (ROWS - 1)]), r"row 0, column 'size': 'big' is not a number"),
        (lambda f: f.assign(day="2024-01-31"), r"column 'day': '2024-01-31' is not a date of the form DD\.MM\.YYYY"),
        (lambda f: pd.concat([f, f[["town"]]], axis=1), r"column 'town' occurs more than once"),
    ],
)
def test_refusals_name_the_column(frame, change, message):
    preparation = TablePreparation().fit(frame)
    with pytest.raises(ValueError, match=message) as raised:
        preparation.transform(change(frame))
    assert "\n" not in str(raised.value)


def test_arrays_are_refused(frame):
    with pytest.raises(
        TypeError, match="X must be a pandas DataFrame, because columns are identified by name; got ndarray"
    ):
        TablePreparation().fit(np.zeros((3, 2)))


def test_unknown_kind_is_refused(frame):
    with pytest.raises(ValueError, match="kinds has the value 'colour'; allowed are 'number', 'text'"):
        TablePreparation({"town": "colour"}).fit(frame)


def test_missing_cells_stay_missing(frame):
    preparation = TablePreparation().fit(frame)
    table = preparation.transform(frame.assign(size="?", town="", day="NA", at=pd.NaT))
    assert table.isna().all().all()
