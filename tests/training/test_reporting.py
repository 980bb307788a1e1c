"""verbose=2: a line that is updated in place on a terminal, by rich or without it, and lines elsewhere."""

import io
import re
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.training import _reporting
from fastmlp.training._progress import Progress
from fastmlp.training._reporting import progress_text, reporter_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
LINE = re.compile(
    r"epoch (\d+)/6, loss \d+\.\d+(?:e-?\d+)?, validation score 0\.\d{4}, learning rate 0\.001, time left \d+:\d\d:\d\d"
)


class Terminal(io.StringIO):
    """Output that says it is a terminal."""

    def isatty(self):
        return True


@pytest.fixture(params=["rich", "plain"])
def terminal(request, monkeypatch):
    """A function that makes standard output a terminal, with or without rich; every update is shown."""
    if request.param == "rich":
        pytest.importorskip("rich")
        for name, value in {"TERM": "xterm", "COLUMNS": "200"}.items():
            monkeypatch.setenv(name, value)
        for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
            monkeypatch.delenv(name, raising=False)
    else:
        monkeypatch.setattr(_reporting, "find_spec", lambda name: None)
    monkeypatch.setattr(_reporting, "SECONDS_PER_UPDATE", 0.0)

    def begin():
        # In the test itself: pytest exchanges the output between fixtures and tests.
        output = Terminal()
        monkeypatch.setattr(sys, "stdout", output)
        return output

    return begin


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:300] / 16, y[:300]


def without_escapes(text):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_line_that_is_updated_in_place(terminal, digits):
    output = terminal()
    MLPClassifier(8, max_iter=6, early_stopping=True, verbose=2, random_state=0).fit(*digits)
    shown = without_escapes(output.getvalue())
    assert [int(number) for number in dict.fromkeys(LINE.findall(shown))] == [1, 2, 3, 4, 5, 6]
    lines = [part for part in shown.replace("\r", "\n").split("\n") if part.strip()]
    assert all(LINE.fullmatch(line.strip()) for line in lines)
    # Nothing but the last state is left: only one line has an end.
    assert [line for line in shown.split("\n") if line.strip(" \r")][-1].split("\r")[-1].startswith("epoch 6/6")
    assert shown.endswith("\n")


def test_messages_of_the_stopping_rule_are_printed_above_the_line(terminal, digits):
    model = MLPClassifier(8, solver="sgd", tol=1, n_iter_no_change=2, max_iter=6, verbose=2, random_state=0)
    output = terminal()
    model.fit(*digits)
    shown = without_escapes(output.getvalue())
    assert model.n_iter_ < 6
    assert "Training loss did not improve more than tol=1.000000 for 2 consecutive epochs. Stopping." in shown
    assert shown.rstrip().split("\n")[-1].split("\r")[-1].startswith(f"epoch {model.n_iter_}/6")


def test_fast_epochs_do_not_wait_for_the_terminal(digits, monkeypatch):
    monkeypatch.setattr(_reporting, "find_spec", lambda name: None)
    monkeypatch.setattr(_reporting, "SECONDS_PER_UPDATE", 1e6)
    output = Terminal()
    monkeypatch.setattr(sys, "stdout", output)
    MLPClassifier(8, max_iter=6, verbose=2, random_state=0).fit(*digits)
    # The first epoch, the last, and once more at the end.
    assert re.findall(r"epoch (\d)", output.getvalue()) == ["1", "6", "6"]


def test_elsewhere_one_line_for_each_epoch(capsys, digits):
    MLPClassifier(8, max_iter=6, early_stopping=True, verbose=2, random_state=0).fit(*digits)
    printed = capsys.readouterr().out
    assert "\r" not in printed
    assert "\x1b" not in printed
    lines = printed.splitlines()
    assert [int(LINE.fullmatch(line).group(1)) for line in lines] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("verbose", [0, 1])
def test_lbfgs_prints_nothing_of_its_own_below_two(verbose, capsys, digits):
    MLPRegressor(hidden_layer_sizes=5, solver="lbfgs", max_iter=4, verbose=verbose, random_state=0).fit(*digits)
    assert "epoch" not in capsys.readouterr().out


def test_iterations_of_lbfgs(capsys, digits):
    model = MLPRegressor(hidden_layer_sizes=5, solver="lbfgs", max_iter=4, verbose=2, random_state=0).fit(*digits)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert [line.split(",")[0] for line in lines] == [f"epoch {k}/4" for k in range(1, 5)]
    assert f"loss {model.loss_:.6g}," in lines[-1]
    assert "learning rate" not in lines[-1]


def test_time_left(monkeypatch, capsys):
    """Two seconds an epoch; a fit that is resumed counts its own epochs only."""
    now = [0.0]
    monkeypatch.setattr(_reporting.time, "monotonic", lambda: now[0])
    with reporter_of(2) as reporter:
        for epoch in (41, 42, 43):
            now[0] += 2.0
            reporter.epoch(Progress(epoch, 100, False, 0.5))
    lines = capsys.readouterr().out.splitlines()
    assert [line.rpartition("time left ")[2] for line in lines] == ["0:01:58", "0:01:56", "0:01:54"]


def test_text():
    progress = Progress(3, 200, False, 0.123456789, 0.5, 0.987654, 0.001)
    assert progress_text(progress, 3725.4) == (
        "epoch 3/200, loss 0.123457, validation score 0.9877, learning rate 0.001, time left 1:02:05"
    )
    assert progress_text(Progress(1, 2, True, np.nan), 0) == "epoch 1/2, loss nan, time left 0:00:00"


def test_the_process_is_not_changed(terminal, digits):
    out, err = terminal(), sys.stderr
    seen = []

    def note(model, X, y):
        seen.append((sys.stdout, sys.stderr))
        return 0.5

    X, y = digits
    MLPClassifier(8, max_iter=2, verbose=2, random_state=0, scoring=note).fit(X, y, X_val=X, y_val=y)
    assert set(seen) == {(out, err)}
    assert (sys.stdout, sys.stderr) == (out, err)
