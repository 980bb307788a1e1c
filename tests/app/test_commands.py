"""The commands fit, predict and report, each in a separate process, as a new user runs them on a table."""

import json
import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine

from fastmlp.__main__ import main

ODD_COLUMNS = ["number", "town", "picked", "unit", "remark"]


def run(*args, **options):
    return subprocess.run(
        [sys.executable, "-m", "fastmlp", *map(str, args)], capture_output=True, timeout=1200, **options
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with wine.csv: every kind of column, and what fit makes of it, in both formats."""
    folder = tmp_path_factory.mktemp("wine")
    rng = np.random.default_rng(0)
    data = load_wine(as_frame=True)
    frame = data.data.copy()
    days = pd.date_range("2024-01-01", periods=len(frame))
    frame.insert(0, "number", np.arange(1, len(frame) + 1))
    frame["town"] = rng.choice(["Rome", "Oslo", "Kyōto"], len(frame))
    frame["picked"] = days.strftime("%d.%m.%Y")
    frame["unit"] = "ml"
    frame["remark"] = [f"bottle {i}" for i in range(len(frame))]
    frame = frame.mask(rng.random(frame.shape) < 0.02).assign(number=frame["number"], unit="ml")
    frame["cultivar"] = data.target_names[data.target]
    frame.to_csv(folder / "wine.csv", index=False, sep=";", decimal=",")
    args = ("fit", "wine.csv", "--target", "cultivar", "-o", "report", "--model", "mlp", "--jobs", 1, "--max-iter", 50)
    done = run(*args, cwd=folder, text=True)
    assert done.returncode == 0, done.stderr
    (folder / "said").write_text(done.stdout, encoding="utf-8")
    joblib.dump(load(folder / "report" / "model.skops"), folder / "report" / "model.joblib")
    return folder


def load(path):
    """Load a model as docs/app.md tells users."""
    import skops.io  # takes four seconds, so only the process that runs these tests imports it

    return skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))


@pytest.fixture
def table(folder):
    return pd.read_csv(folder / "wine.csv", sep=";", decimal=",")


def test_fit_says_what_it_left_out(folder):
    said = " ".join((folder / "said").read_text(encoding="utf-8").split())
    assert "read with separator semicolon, decimal comma, encoding utf-8" in said
    assert "left out, the same value in every row: unit" in said
    assert "left out, whole numbers that count the rows (--keep NAME overrides): number" in said
    assert "left out, text with as many different values as an identifier: remark" in said
    assert "dates, converted to days since 1970, month and weekday (form): picked (DD.MM.YYYY)" in said
    assert "Saved (*): MLP of fastmlp, searched, as --model says." in said
    assert "Best on the 36 test rows, accuracy " in said
    assert "--max-iter 250 allows more epochs" in said


def test_metrics(folder):
    metrics = json.loads((folder / "report" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["task"] == "classification"
    names = [model["name"] for model in metrics["models"]["models"]]
    assert sorted(names) == ["boosting", "constant", "linear", "mlp", "tabular"]
    scores = [model["test"]["accuracy"] for model in metrics["models"]["models"]]
    assert scores == sorted(scores, reverse=True)
    assert metrics["models"]["saved"] == "mlp"


def test_predict_in_a_process_and_by_hand_agree(folder, table):
    done = run("predict", "report/model.skops", "wine.csv", "-o", "predictions.csv", cwd=folder, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "ignored, because the model does not use them: cultivar" in done.stderr
    assert "178 predictions written to predictions.csv" in done.stderr
    predictions = pd.read_csv(folder / "predictions.csv")
    assert list(predictions) == ["prediction", *(f"probability class_{k}" for k in range(3))]
    assert (predictions["prediction"] == table["cultivar"]).mean() > 0.95
    # A user of skops or joblib gives the raw frame to the model itself.
    for model in (load(folder / "report" / "model.skops"), joblib.load(folder / "report" / "model.joblib")):
        np.testing.assert_array_equal(model.predict(table), predictions["prediction"])
        np.testing.assert_array_equal(model.predict_proba(table), predictions.iloc[:, 1:])


def test_predict_takes_other_formats_and_standard_input(folder, table, tmp_path, capsysbinary):
    assert main(["predict", str(folder / "report" / "model.skops"), str(folder / "wine.csv")]) == 0
    expected = capsysbinary.readouterr().out
    assert expected
    table["picked"] = pd.to_datetime(table["picked"], format="%d.%m.%Y")
    table = table.drop(columns=["number", "unit", "remark", "cultivar"])  # the model does not use them
    table[table.columns[::-1]].to_parquet(tmp_path / "wine.parquet")
    with (tmp_path / "wine.parquet").open("rb") as file:
        done = run("predict", folder / "report" / "model.joblib", "-", stdin=file)
    assert done.stderr == b""
    assert done.stdout == expected


def test_predict_reports_new_texts(folder, table, tmp_path, capsys):
    table.head().assign(town="Atlantis").to_csv(tmp_path / "new.csv", index=False)
    assert main(["predict", str(folder / "report" / "model.skops"), str(tmp_path / "new.csv")]) == 0
    said = capsys.readouterr()
    assert (
        "column 'town' has texts that fit has not seen, treated as different from all known texts: 'Atlantis'"
        in said.err
    )
    assert len(said.out.splitlines()) == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="alcohol"), "column 'alcohol' is missing; the model needs it"),
        (lambda f: f.assign(ash=["much", *f["ash"][1:]]), "line 2, column 'ash': 'much' is not a number"),
        (lambda f: f.assign(picked="soon"), "line 2, column 'picked': 'soon' is not a date of the form DD.MM.YYYY"),
        (lambda f: f.head(0), "has a header but no rows"),
    ],
)
def test_errors_of_predict_are_one_line(folder, table, tmp_path, capsys, change, message):
    change(table).to_csv(tmp_path / "new.csv", index=False)
    assert main(["predict", str(folder / "report" / "model.skops"), str(tmp_path / "new.csv")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("python -m fastmlp predict: error: ")
    assert message in said.err
    assert said.err.count("\n") == 1


def test_refused_models(folder, tmp_path, capsys):
    joblib.dump({"a": 1}, tmp_path / "dict.joblib")
    import skops.io

    skops.io.dump({"a": 1}, tmp_path / "dict.skops")
    skops.io.dump(subprocess.Popen.__mro__[0], tmp_path / "foreign.skops")
    (tmp_path / "text.joblib").write_text("no model")
    for name, message in {
        "absent.skops": "no such file",
        ".": "it is a folder",
        "dict.joblib": "contains a dict, not a model that fit saved",
        "dict.skops": "contains a dict, not a model that fit saved",
        "foreign.skops": "which models saved by fit do not contain; it was not loaded",
        "text.joblib": "is not a model that fit saved",
    }.items():
        assert main(["predict", str(tmp_path / name), str(folder / "wine.csv")]) == 2
        said = capsys.readouterr()
        assert message in said.err
        assert said.err.count("\n") == 1


def test_refused_output(folder, tmp_path, capsys):
    args = ["predict", str(folder / "report" / "model.skops"), str(folder / "wine.csv"), "-o"]
    assert main([*args, str(tmp_path / "absent" / "predictions.csv")]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_report_renders_again(folder, tmp_path, capsys):
    page = (folder / "report" / "report.html").read_text(encoding="utf-8")
    assert main(["report", str(folder / "report"), "-o", str(tmp_path / "again.html")]) == 0
    assert capsys.readouterr().out == f"written: {tmp_path / 'again.html'}\n"
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "metrics.json: No such file or directory; fit writes it"),
        ("{", "is not a file that fit wrote"),
        ("[]", "was not written by fit of this version"),
        ('{"format": 1}', "is not a file that fit wrote (KeyError"),
    ],
)
def test_errors_of_report_are_one_line(tmp_path, capsys, content, message):
    if content is not None:
        (tmp_path / "metrics.json").write_text(content)
    assert main(["report", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.count("\n") == 1


def test_keep_and_drop(folder, tmp_path, capsys, small_ensemble):
    args = ["fit", str(folder / "wine.csv"), "--target", "cultivar", "-o", str(tmp_path), "--format", "joblib"]
    with small_ensemble():
        assert main([*args, "--max-iter", "2", "--keep", "number", "--drop", "town", "--drop", "hue"]) == 0
    assert "left out, as --drop says: town, hue" in " ".join(capsys.readouterr().out.split())
    kinds = joblib.load(tmp_path / "model.joblib").named_steps["prepare"].kinds_
    assert kinds["number"] == "number"
    assert not {"town", "hue"} & set(kinds)
    for option, message in (
        (["--keep", "absent"], "--keep: "),
        (["--drop", "absent"], "has no column 'absent'"),
        (["--drop", "cultivar"], "--drop cultivar: this is the target"),
    ):
        assert main([*args, *option]) == 2
        assert message in capsys.readouterr().err


def test_unexpected_error_is_one_line(folder, capsys, monkeypatch):
    monkeypatch.setattr("fastmlp.app.saving.load_metrics", lambda folder: [].pop())
    assert main(["report", str(folder)]) == 2
    said = capsys.readouterr().err
    assert said == (
        "python -m fastmlp report: error: unexpected IndexError: pop from empty list "
        "(python -X dev -m fastmlp shows where)\n"
    )


def test_closed_output_pipe_is_not_an_error(folder):
    """A reader such as ``head`` closes the pipe early. The program then exits without an error message."""
    program = subprocess.Popen(
        [sys.executable, "-m", "fastmlp", "predict", "report/model.joblib", "wine.csv"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )
    program.stdout.close()
    said = program.stderr.read()
    program.stderr.close()
    assert program.wait(timeout=1200) == 0
    assert said.splitlines() == ["wine.csv: ignored, because the model does not use them: cultivar"]
