"""``python -m fastmlp``, run as users run it: whole searches on real tables, and every way to be refused."""

import io
import os
import re
import signal
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

from fastmlp.__main__ import main
from fastmlp.app import progress, search
from fastmlp.app.table import digits, read_table

TOWNS = ["Rome", "Oslo", "Kyōto"]
PICTURES = ["alpha_size_heatmap.png", "first_layer_weights.png", "loss_curves.png"]


def write_table(path, data, target):
    """Write a data set of scikit-learn with a text column and one cell in thirty missing."""
    rng = np.random.default_rng(0)
    header = ["town", *(name.replace(" ", "_") for name in data.feature_names), target]
    lines = [",".join(header)]
    for row, value in zip(data.data, data.target, strict=True):
        cells = [TOWNS[rng.integers(3)], *(repr(float(x)) for x in row)]
        cells = ["" if rng.random() < 1 / 30 else cell for cell in cells]
        lines.append(",".join([*cells, str(value)]))
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def wine(tmp_path_factory):
    data = load_wine()
    data.target = data.target_names[data.target]
    return write_table(tmp_path_factory.mktemp("wine") / "wine.csv", data, "cultivar")


@pytest.fixture(scope="module")
def diabetes(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("diabetes") / "diabetes.csv", load_diabetes(), "progression")


def run(*args, runner=("-m", "fastmlp"), **options):
    return subprocess.run(
        [sys.executable, *runner, *map(str, args)],
        capture_output=True,
        encoding="utf-8",
        timeout=1200,
        **options,
    )


def ranks(report):
    """Return the rows of the ranked table: rank, alpha, size, score, ..."""
    (table,) = (part for part in report.split("\n\n") if part.startswith("rank"))
    return [line.split() for line in table.splitlines()[1:]]


def test_classification_beside_scikit_learn(wine, tmp_path, capsys):
    folder = tmp_path / "report"
    assert main([str(wine), "--target", "cultivar", "--output", str(folder)]) == 0
    said = capsys.readouterr()
    assert "classification of 'cultivar' (recognised by its 3 different texts" in said.out
    assert "text columns, one-hot encoded (values): town (3)" in said.out
    assert "missing values, imputed" in said.out
    assert "gradient right" in said.out
    rows = ranks(said.out)
    assert len(rows) == 12
    scores = [float(row[3]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.9
    # The same folds, the same seeds, the same weights: the same scores.
    for row in rows:
        assert row[3] == row[-2]
    assert "found the same best parameters" in said.out
    ours, theirs = re.findall(r"test accuracy ([0-9.]+); search [0-9.]+ s", said.out)
    assert ours == theirs
    assert sorted(path.name for path in folder.iterdir()) == PICTURES
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in folder.iterdir())
    assert str(folder) in said.out


def test_nothing_is_compiled_before_the_time_to_get_ready_is_taken(wine, tmp_path, monkeypatch):
    """Once the gradient check came first, compiled everything, and fastmlp was said to be ready in 0.01 s."""
    order = []
    for name in ("warm_up", "gradient_check", "run"):
        function = getattr(search, name)
        monkeypatch.setattr(
            search, name, lambda *args, name=name, function=function: order.append(name) or function(*args)
        )
    assert main([str(wine), "--target", "cultivar", "--no-compare", "--output", str(tmp_path)]) == 0
    assert order == ["warm_up", "gradient_check", "run"]


def test_regression(diabetes, tmp_path, capsys):
    assert main([str(diabetes), "--target", "progression", "--no-compare", "--output", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "regression of 'progression' (recognised by its 214 different whole numbers" in said
    assert "scikit-learn:" not in said
    assert 0.3 < float(ranks(said)[0][3]) < 0.6
    assert sorted(path.name for path in tmp_path.iterdir()) == PICTURES


@pytest.mark.slow
def test_digits_as_a_program(tmp_path):
    done = run("--no-compare", "--jobs", 2, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "scikit-learn's digits: 1797 rows, 64 columns, 10 classes" in done.stdout
    assert float(re.search(r"test accuracy ([0-9.]+)", done.stdout)[1]) > 0.95
    assert sorted(path.name for path in (tmp_path / "fastmlp-report").iterdir()) == PICTURES
    # Not a terminal: plain lines, and nothing else (no warnings of workers).
    assert re.fullmatch(r"(  fastmlp: \d+/60 fits(, best score so far [0-9.]+)?, [0-9.]+ s\n)+", done.stderr)
    assert done.stderr.splitlines()[-1].startswith("  fastmlp: 60/60 fits")


WITHOUT_EXTRA = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("matplotlib", "pandas", "rich"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
sys.stderr.isatty = lambda: True
from fastmlp.__main__ import main
sys.exit(main())
"""


def test_without_the_extra(wine, tmp_path):
    args = (wine, "--target", "cultivar", "--no-compare", "--output", tmp_path / "report")
    done = run(*args, runner=("-c", WITHOUT_EXTRA))
    assert done.returncode == 0, done.stderr
    assert len(ranks(done.stdout)) == 12
    assert done.stdout.endswith('no pictures: they need matplotlib; pip install "fastmlp[app]" brings it\n')
    assert not (tmp_path / "report").exists()
    assert "60/60 fits, best score so far" in done.stderr


@pytest.mark.parametrize(
    ("edit", "target", "message"),
    [
        (None, "cultivar", "cannot read"),
        (lambda text: text, "grape", "no column 'grape'; the columns are town, alcohol, "),
        (
            lambda text: text.replace("class_1", "class_0").replace("class_2", "class_0"),
            "cultivar",
            "every row",
        ),
        (
            lambda text: re.sub(r"\n(\w*),[0-9.]+", r'\n\1,"12,x"', text, count=1),
            "cultivar",
            "line 2, column 'alcohol'",
        ),
        (lambda text: "", "cultivar", "is empty"),
    ],
)
def test_refused_in_one_line(wine, tmp_path, capsys, edit, target, message):
    path = tmp_path / "table.csv"
    if edit is not None:
        path.write_text(edit(wine.read_text(encoding="utf-8")), encoding="utf-8")
    assert main([str(path), "--target", target, "--output", str(tmp_path / "report")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("python -m fastmlp: error: ")
    assert message in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "report").exists()


def test_refused_as_a_program(tmp_path):
    done = run("absent.csv", "--target", "y", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "python -m fastmlp: error: cannot read absent.csv: No such file or directory\n"


def test_refused_folder(wine, tmp_path, capsys):
    taken = tmp_path / "taken"
    taken.write_text("a file")
    assert main([str(wine), "--target", "cultivar", "--output", str(taken)]) == 2
    assert f"cannot make the folder {taken}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--target", "y"], "--target and --task need a FILE"),
        (["--jobs", "0"], "argument --jobs: '0' is not a positive whole number"),
        (["--jobs", "two"], "argument --jobs: 'two' is not a positive whole number"),
        (["--seed", "-1"], "argument --seed: '-1' is not a whole number from 0 to 2**32 - 1"),
        (["a.csv", "--task", "clustering"], "argument --task: invalid choice: 'clustering'"),
        (["--fast"], "unrecognized arguments: --fast"),
    ],
)
def test_refused_arguments(capsys, args, message):
    with pytest.raises(SystemExit) as raised:
        main(args)
    assert raised.value.code == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_help_explains(capsys):
    with pytest.raises(SystemExit) as raised:
        main(["--help"])
    assert raised.value.code == 0
    said = capsys.readouterr().out
    for word in (
        "FILE",
        "--target NAME",
        "--output FOLDER",
        "--jobs N",
        "--seed",
        "--no-compare",
        "Exit codes",
    ):
        assert word in said


@pytest.mark.skipif(os.name != "posix", reason="a console interrupt cannot be sent to one program elsewhere")
def test_interrupt_ends_in_one_line(tmp_path):
    program = subprocess.Popen(
        [sys.executable, "-m", "fastmlp"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        start_new_session=True,
    )
    with program:
        while "GridSearchCV" not in program.stdout.readline():
            assert program.poll() is None
        os.killpg(program.pid, signal.SIGINT)  # as a terminal does: the program and its workers
        _, said = program.communicate(timeout=1200)
    assert program.returncode == 130
    assert said.splitlines()[-1] == "python -m fastmlp: interrupted"
    assert "Traceback" not in said


def test_preprocessing_learns_from_training_rows_only(wine):
    table = read_table(wine, "cultivar")
    data = search.split(table, seed=0)
    columns = search.pipeline(table, "passthrough")[0].fit(data.X)
    numbers, texts = columns.named_transformers_["numbers"], columns.named_transformers_["texts"]
    np.testing.assert_array_equal(numbers[0].statistics_, np.nanmedian(data.X[:, 1:], axis=0))
    unknown = np.full((1, data.X.shape[1]), 99.0)
    assert not columns.transform(unknown)[0, -3:].any()
    assert len(texts[1].categories_[0]) == 3


def test_search_ranks_like_its_folds(tmp_path):
    """Scores written to the log by the workers are those of GridSearchCV."""
    data = load_breast_cancer()
    table = read_table(write_table(tmp_path / "cancer.csv", data, "benign"), "benign")
    log = tmp_path / "log"
    log.touch()
    outcome = search.run("fastmlp", table, search.split(table, 0), log, jobs=2, seed=0, ready=1.5)
    fits, best = progress.read_log(log, search.FOLDS)
    assert fits == 60
    assert best == pytest.approx(outcome.search.best_score_)
    assert best == pytest.approx(outcome.scores.max())
    assert outcome.test_score > 0.9
    names = search.input_names(outcome.search.best_estimator_, table)
    assert names[0] == "mean_radius"
    assert names[-3:] == ["town = Kyōto", "town = Oslo", "town = Rome"]
    assert len(names) == len(search.mlp_of(outcome.search.best_estimator_).coefs_[0])


def test_seed_decides_the_split(wine):
    table = read_table(wine, "cultivar")
    for first, second in zip(search.split(table, seed=3), search.split(table, seed=3), strict=True):
        np.testing.assert_array_equal(first, second)
    assert not np.array_equal(search.split(table, seed=3).y_test, search.split(table, seed=4).y_test)


def test_half_written_line_is_not_read(tmp_path):
    log = tmp_path / "log"
    log.write_text("a\t0.5\nb\t0.25\na\t0.75\nb\t0.")
    assert progress.read_log(log, folds=2) == (3, 0.625)
    log.write_text("")
    assert progress.read_log(log, folds=2) == (0, None)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["file", "terminal"])
def test_progress_reaches_the_end(stream):
    with progress.progress("search", fits=4, folds=2, stream=stream) as log:
        for line in ("a\t0.5\n", "a\t0.75\n", "b\t0.25\n", "b\t0.5\n"):
            with log.open("a") as file:
                file.write(line)
    assert "search" in stream.getvalue()
    assert "4/4 fits, best score so far 0.6250" in stream.getvalue()
    assert not log.exists()
    assert "fastmlp-progress" not in [thread.name for thread in threading.enumerate()]


def test_filters_of_the_caller_are_left_alone(tmp_path):
    before = list(warnings.filters)
    table = digits()
    small = search.split(table, 0)
    search.warm_up("fastmlp", table.task, small, jobs=2)
    assert warnings.filters == before
