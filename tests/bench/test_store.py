"""A stored run is small, and reading it gives the same run."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from bench.harness import Key
from bench.report import stored_runs
from bench.store import Run, statistics

KEY = Key("training", "tiny", "float32", "fastmlp")


def test_a_run_is_the_same_after_storing(tmp_path, make_run):
    numpy = KEY._replace(implementation="NumPy")
    run = make_run(
        [(numpy, [1.0, 2.0], {"flops": 3}), (KEY, [1.5], {"network": "4 → 3"})],
        skipped=[[*KEY._replace(implementation="PyTorch"), "torch is not installed"]],
    )
    run.save(tmp_path / "run.jsonl")
    loaded = Run.load(tmp_path / "run.jsonl")
    for field in dataclasses.fields(Run):
        if field.name != "cases":
            assert getattr(loaded, field.name) == getattr(run, field.name)
    pd.testing.assert_frame_equal(loaded.cases, run.cases, check_dtype=False)
    assert loaded.cases.loc[numpy, "median"] == 1.5


def test_a_case_is_one_line(tmp_path, make_run):
    run = make_run([(KEY, [0.1] * 1000, {"flops": 3}), (KEY._replace(dtype="float64"), [0.1] * 1000, {})])
    run.save(tmp_path / "run.jsonl")
    assert len((tmp_path / "run.jsonl").read_text("utf-8").splitlines()) == 3


def test_statistics_are_quartiles():
    seconds = [3.0, 1.0, 2.0, 10.0]
    low, median, high = np.quantile(seconds, (0.25, 0.5, 0.75))
    assert statistics(seconds) == {"runs": 4, "best": 1.0, "low": low, "median": median, "high": high}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"results": [{}], "skipped": []}'])
def test_a_file_that_is_no_run_is_named(tmp_path, text):
    (tmp_path / "a").write_text(text)
    with pytest.raises(ValueError, match="a is not a stored run"):
        Run.load(tmp_path / "a")


@pytest.mark.parametrize("path", stored_runs(), ids=lambda path: path.stem)
def test_the_stored_runs_can_be_read(path):
    run = Run.load(path)
    assert run.cases.index.is_unique
    assert (run.cases["best"] <= run.cases["low"]).all()
    assert (run.cases["low"] <= run.cases["median"]).all()
    assert (run.cases["median"] <= run.cases["high"]).all()
    assert run.cases["configuration"].notna().all()
