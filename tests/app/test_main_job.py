"""``python -m fastmlp``, as users run it: complete searches on real tables, and all errors."""

import base64
import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.exceptions import ConvergenceWarning

from fastmlp.__main__ import main
from fastmlp.app import progress, report, search
from fastmlp.app.table import digits, read_table

TOWNS = ["Rome", "Oslo", "Kyōto"]
WRITTEN = ["metrics.json", "model.skops", "report.html"]
PICTURES = ["Mean score of each candidate", "Loss curves", "First-layer weights"]


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


def pictures(page):
    """Return the titles of the pictures in a page, which must be PNG files in the page itself."""
    found = re.findall(r'<img alt="([^"]+)" width="\d+" src="data:image/png;base64,([^"]+)">', page)
    assert len(found) == page.count("<img")
    assert all(base64.b64decode(data).startswith(b"\x89PNG") for _, data in found)
    return [title for title, _ in found]


def ranks(report):
    """Return the rows of the ranked table: rank, alpha, size, score, ..."""
    (table,) = (part for part in report.split("\n\n") if part.startswith("rank"))
    return [line.split() for line in table.splitlines()[1:]]


def test_classification_beside_scikit_learn(wine, tmp_path, capsys, small_ensemble):
    folder = tmp_path / "report"
    args = [str(wine), "--target", "cultivar", "--output", str(folder), "--compare", "--max-iter", "60"]
    with small_ensemble():
        assert main(args) == 0
    said = capsys.readouterr()
    text = " ".join(said.out.split())
    assert "classification of 'cultivar' (recognised by its 3 different texts" in text
    assert "text columns, one-hot encoded (values): town (3)" in text
    assert "missing values, imputed" in text
    assert "gradient right" in text
    shown = ranks(said.out)
    assert len(shown) == 5
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    rows = metrics["ours"]["candidates"]
    assert len(rows) == 12
    assert [row[3] for row in shown] == [f"{row['score']:.4f}" for row in rows[:5]]
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.9
    # The same folds, the same seeds, the same weights: the same scores.
    theirs = {(row["alpha"], *row["hidden_layer_sizes"]): row["score"] for row in metrics["theirs"]["candidates"]}
    for row in rows:
        assert f"{row['score']:.4f}" == f"{theirs[row['alpha'], *row['hidden_layer_sizes']]:.4f}"
    for row in shown:
        assert row[3] == row[-2]
    assert "found the same best parameters" in text
    ours, theirs = re.findall(r"test accuracy ([0-9.]+); search [0-9.]+ s", text)
    assert ours == theirs
    # Without notes and models, as for the digits, it fits one screen beside the prompt.
    plain = metrics | {"models": None, "table": metrics["table"] | {"notes": []}}
    screen = [*report.introduction(plain), "gradient right", *report.findings(plain), f"written to {folder}"]
    assert len(screen) <= 23
    assert max(map(len, said.out.splitlines()[2:-1])) <= 80
    assert sorted(path.name for path in folder.iterdir()) == WRITTEN
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert pictures(page) == ["Models on the test rows", "Confusion matrix on the test rows", *PICTURES]
    assert str(folder) in said.out


def test_workers_start_before_the_gradient_check(wine, tmp_path, monkeypatch, small_ensemble):
    """Regression test: the gradient check came first and loaded the kernels, so the reported time was too short."""
    order = []
    for name in ("warm_up", "gradient_check", "run"):
        function = getattr(search, name)
        monkeypatch.setattr(
            search, name, lambda *args, name=name, function=function: order.append(name) or function(*args)
        )
    with small_ensemble():
        assert main([str(wine), "--target", "cultivar", "--max-iter", "2", "--output", str(tmp_path)]) == 0
    assert order == ["warm_up", "gradient_check", "run"]


def test_regression(diabetes, tmp_path, capsys, small_ensemble):
    with small_ensemble():
        assert main(["fit", str(diabetes), "--target", "progression", "--output", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "regression of 'progression' (recognised by its 214 different whole numbers" in " ".join(said.split())
    assert "scikit-learn:" not in said
    assert 0.3 < float(ranks(said)[0][3]) < 0.6
    assert sorted(path.name for path in tmp_path.iterdir()) == WRITTEN
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert pictures(page) == ["Models on the test rows", "Predictions on the test rows", *PICTURES]


@pytest.mark.slow
def test_digits_as_a_program(tmp_path):
    done = run("--no-compare", "--jobs", 2, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "scikit-learn's digits: 1797 rows, 64 columns, 10 classes" in done.stdout
    assert float(re.search(r"test accuracy ([0-9.]+)", done.stdout)[1]) > 0.95
    assert len(done.stdout.splitlines()) <= 23
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert sorted(path.name for path in (tmp_path / "fastmlp-report").iterdir()) == ["metrics.json", "report.html"]
    page = (tmp_path / "fastmlp-report" / "report.html").read_text(encoding="utf-8")
    assert pictures(page) == ["Confusion matrix on the test rows", *PICTURES]
    # Not a terminal: plain lines, and nothing else (no warnings of workers).
    assert re.fullmatch(r"(  fastmlp: \d+/60 fits(, best score so far [0-9.]+)?, [0-9.]+ s\n)+", done.stderr)
    assert done.stderr.splitlines()[-1].startswith("  fastmlp: 60/60 fits")


WITHOUT_EXTRA = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in %r:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
sys.stderr.isatty = lambda: True
from fastmlp.__main__ import main
sys.exit(main())
"""


@pytest.mark.slow
def test_without_the_extra(tmp_path):
    """The digits need nothing of it."""
    absent = ("jinja2", "matplotlib", "openpyxl", "pandas", "pyarrow", "rich", "skops")
    done = run("--no-compare", "--output", tmp_path / "report", runner=("-c", WITHOUT_EXTRA % (absent,)))
    assert done.returncode == 0, done.stderr
    assert len(ranks(done.stdout)) == 5
    assert done.stdout.endswith('no report: it needs matplotlib and jinja2; pip install "fastmlp[app]" installs them\n')
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["metrics.json"]
    assert "60/60 fits, best score so far" in done.stderr


def test_fit_without_the_packages_of_the_page(wine, tmp_path):
    args = ("fit", wine, "--target", "cultivar", "--max-iter", 2, "--format", "joblib", "--output", tmp_path / "report")
    done = run(*args, "--jobs", 1, runner=("-c", WITHOUT_EXTRA % (("jinja2", "matplotlib", "rich", "skops"),)))
    assert done.returncode == 0, done.stderr
    assert len(ranks(done.stdout)) == 5
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == ["metrics.json", "model.joblib"]
    assert "60/60 fits, best score so far" in done.stderr


# Runs the program several times in one process, each time without one package, and prints exit codes and outputs.
WITHOUT_EACH = """
import contextlib, io, json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == self.absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

finder = Absent()
sys.meta_path.insert(0, finder)
found = []
for finder.absent, args in json.loads(sys.argv[1]):
    assert finder.absent not in sys.modules, finder.absent
    for name in [name for name in sys.modules if name.startswith(("fastmlp.app", "fastmlp.__main__"))]:
        del sys.modules[name]
    from fastmlp.__main__ import main
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main(args)
    found.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(found))
"""
# pandas and jinja2 first, which the other runs import; pyarrow has a process of its own, because pandas imports it.
MISSING = [
    ("pandas", ["wine.csv", "--target", "cultivar"], 'tables need pandas: pip install "fastmlp[app]"'),
    ("pandas", ["predict", "model.joblib", "wine.csv"], "tables need pandas"),
    ("jinja2", ["report", "."], 'the report needs matplotlib and jinja2: pip install "fastmlp[app]"'),
    ("skops", ["wine.csv", "--target", "cultivar"], "or choose --format joblib"),
    ("openpyxl", ["wine.xlsx", "--target", "cultivar"], "openpyxl"),
    ("pyarrow", ["wine.parquet", "--target", "cultivar"], "which needs pyarrow"),
]


@pytest.fixture(scope="module")
def refusals(wine, tmp_path_factory):
    """Return exit code, standard output and standard error of the program for each row of `MISSING`."""
    folder = tmp_path_factory.mktemp("missing")
    frame = pd.read_csv(wine)
    frame.to_csv(folder / "wine.csv", index=False)
    frame.to_parquet(folder / "wine.parquet")
    frame.to_excel(folder / "wine.xlsx", index=False)
    (folder / "metrics.json").write_text('{"format": 1}')
    found = []
    for rows in (MISSING[:-1], MISSING[-1:]):
        done = run(json.dumps([row[:2] for row in rows]), runner=("-c", WITHOUT_EACH), cwd=folder)
        assert done.returncode == 0, done.stderr
        found += json.loads(done.stdout)
    return found


@pytest.mark.parametrize("row", range(len(MISSING)), ids=[f"{absent}-{args[0]}" for absent, args, _ in MISSING])
def test_missing_packages_are_named(row, refusals):
    code, out, err = refusals[row]
    assert (code, out) == (2, "")
    assert MISSING[row][2] in err
    assert err.count("\n") == 1


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
def test_unusable_tables_are_refused_in_one_line(wine, tmp_path, capsys, edit, target, message):
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
    assert f"cannot create the folder {taken}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--target", "y"], "--target needs a TABLE"),
        (["--drop", "a"], "--drop needs a TABLE"),
        (["--model", "mlp"], "--model needs a TABLE"),
        (["fit"], "the following arguments are required: TABLE"),
        (["predict", "model.skops"], "the following arguments are required: TABLE"),
        (["report"], "the following arguments are required: FOLDER"),
        (["a.csv", "--separator", "x"], "argument --separator: 'x' is none of , ; | tab blank"),
        (["a.csv", "--max-iter", "0"], "argument --max-iter: '0' is not a positive whole number"),
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
        "TABLE",
        "predict MODEL TABLE",
        "report FOLDER",
        "--target NAME",
        "--output FOLDER",
        "--jobs N",
        "--seed",
        "--no-compare",
        "--max-iter N",
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


def children(pid):
    """Return the command lines of the children of a process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid:
                found.append((folder / "cmdline").read_bytes())
        except OSError:  # it has just ended
            continue
    return found


def ignores_interrupts(pid):
    """Return whether a process ignores Ctrl-C, as the program does while it starts workers."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(fields["SigIgn"], 16) & 1 << signal.SIGINT - 1)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the test finds the workers in /proc")
def test_interrupt_while_workers_start(wine, tmp_path):
    """Regression test: workers of joblib also receive the signal, and printed a traceback if they were importing."""
    program = subprocess.Popen(
        # So many epochs that the second search does not end before the signal.
        [sys.executable, "-m", "fastmlp", str(wine), "--target", "cultivar", "--compare", "--jobs=2", "--max-iter=100"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        start_new_session=True,
    )
    with program:
        while "60/60 fits" not in program.stderr.readline():
            assert program.poll() is None
        while sum(b"popen_loky" in command for command in children(program.pid)) < 2 or ignores_interrupts(program.pid):
            assert program.poll() is None
            time.sleep(0.02)  # reading /proc occupies a core
        time.sleep(0.3)  # the workers import
        os.killpg(program.pid, signal.SIGINT)
        _, said = program.communicate(timeout=1200)
    assert program.returncode == 130, said
    # joblib's own tracker of resources, another process, may find at its end that the pool did not clean up.
    assert [line for line in said.splitlines() if "resource_tracker" not in line and line != "  warnings.warn("] == [
        "python -m fastmlp: interrupted"
    ]


def test_interrupt_is_not_ignored_while_threads_start(wine, monkeypatch):
    """Regression test: the signal was ignored in this moment, so the search went on."""
    handlers, start = [], search.Parallel

    def spy(*args, **options):
        handlers.append(signal.getsignal(signal.SIGINT))
        return start(*args, **options)

    monkeypatch.setattr(search, "Parallel", spy)
    table = read_table(str(wine), "cultivar")
    search.warm_up("fastmlp", table.task, search.split(table, 0), 2)
    assert handlers == [signal.getsignal(signal.SIGINT)]


def test_preprocessing_learns_from_training_rows_only(wine):
    table = read_table(str(wine), "cultivar")
    data = search.split(table, seed=0)
    columns = search.pipeline(table, "passthrough")[0].fit(data.X)
    numbers, texts = columns.named_transformers_["numbers"], columns.named_transformers_["texts"]
    np.testing.assert_array_equal(numbers[0].statistics_, np.nanmedian(data.X.drop(columns="town"), axis=0))
    unknown = data.X.iloc[:1].assign(town=pd.Categorical(["Atlantis"]))
    assert not columns.transform(unknown)[0, -3:].any()
    assert len(texts[1].categories_[0]) == 3


def test_search_ranks_by_the_mean_score_of_its_folds(tmp_path):
    """Scores written to the log by the workers are those of GridSearchCV."""
    data = load_breast_cancer()
    table = read_table(str(write_table(tmp_path / "cancer.csv", data, "benign")), "benign")
    log = tmp_path / "log"
    log.touch()
    outcome = search.run("fastmlp", table, search.split(table, 0), log, jobs=2, seed=0, ready=1.5, max_iter=30)
    fits, best = progress.read_log(log, search.FOLDS)
    assert fits == 60
    assert best == pytest.approx(outcome.search.best_score_)
    assert best == pytest.approx(outcome.scores.max())
    assert outcome.test_score > 0.9
    names = search.input_names(outcome.search.best_estimator_)
    assert names[0] == "mean_radius"
    assert names[-3:] == ["town = Kyōto", "town = Oslo", "town = Rome"]
    assert len(names) == len(search.mlp_of(outcome.search.best_estimator_).coefs_[0])


def test_seed_determines_the_split(wine):
    table = read_table(str(wine), "cultivar")
    for first, second in zip(search.split(table, seed=3), search.split(table, seed=3), strict=True):
        pd.testing.assert_frame_equal(pd.DataFrame(first), pd.DataFrame(second))
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


def test_lines_of_a_long_search_become_rare(monkeypatch):
    """A search of 40 seconds once wrote 20 lines into a file."""
    now = 0.0
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now)
    stream = io.StringIO()
    with contextlib.contextmanager(progress._lines)("search", 401, stream) as show:
        for finished in range(1, 402):
            now = finished / 10
            show(finished, None)
    seconds = [float(line.split(", ")[1].removesuffix(" s")) for line in stream.getvalue().splitlines()]
    assert seconds == pytest.approx([2, 6, 14, 30, 40.1], abs=0.4)


def test_warning_between_filters_stays_hidden():
    """A worker of scikit-learn empties the filters that another thread relies on at this moment."""
    shown = []
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *args, **options: shown.append(str(message))
        with search.quiet():
            warnings.resetwarnings()
            warnings.warn("not converged", ConvergenceWarning, stacklevel=1)
            warnings.warn("something else", UserWarning, stacklevel=1)
    assert shown == ["something else"]


def test_warning_filters_of_the_caller_are_not_changed(tmp_path):
    before = list(warnings.filters)
    table = digits()
    small = search.split(table, 0)
    search.warm_up("fastmlp", table.task, small, jobs=2)
    assert warnings.filters == before
