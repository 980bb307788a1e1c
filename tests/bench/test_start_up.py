"""Fresh processes: wrong scores and failures are errors, and the state of the caches is the stated one."""

from pathlib import Path

import pytest

from bench import start_up
from bench.harness import Effort


def trial(script, expected=None, workers=1):
    return start_up.processes(script, expected, "fastmlp", start_up.empty_caches, workers)


def run(made):
    (run,) = made.runs.values()
    return run()


def test_scores_of_all_workers_are_compared():
    made = trial("print(0.9); print(0.8)", "print(0.9); print(0.8)", workers=2)
    scores = run(made)
    assert scores.tolist() == [[0.9, 0.8], [0.9, 0.8]]
    assert made.check(scores) == {"score": pytest.approx(0.85)}


def test_another_score_is_an_error():
    made = trial("print(0.9)", "print(0.7)")
    with pytest.raises(AssertionError):
        made.check(run(made))
    guessed = trial("print(0.1)")
    with pytest.raises(AssertionError, match="score"):
        guessed.check(run(guessed))


def test_a_failing_process_is_an_error():
    with pytest.raises(RuntimeError, match="no such thing"):
        run(trial("raise SystemExit('no such thing')"))


@pytest.mark.parametrize(("implementation", "value"), [("fastmlp", None), ("fastmlp, FASTMLP_JIT=1", "1")])
def test_the_implementation_decides_whether_kernels_are_compiled(monkeypatch, implementation, value):
    monkeypatch.setenv("FASTMLP_JIT", "whatever")
    assert start_up.environment(implementation).get("FASTMLP_JIT") == value


def test_empty_caches_are_empty_for_every_run():
    folders = []
    for _ in range(2):
        with start_up.empty_caches("fastmlp") as options:
            folders.append(Path(options["env"]["NUMBA_CACHE_DIR"]))
            assert list(folders[-1].iterdir()) == []
    assert folders[0] != folders[1]


def test_read_only_installation_is_the_one_that_runs_and_stays_unchanged(tmp_path):
    code = """
import os, pathlib, fastmlp, fastmlp.kernels
for module in (fastmlp, fastmlp.kernels):
    print(module.__file__)
    try:
        (pathlib.Path(module.__file__).parent / "__pycache__").mkdir()
    except FileExistsError:
        print("not written")
try:
    (pathlib.Path.home() / ".cache").mkdir()
except NotADirectoryError:
    print("not written")
"""
    with start_up.read_only("fastmlp") as options:
        site = Path(options["cwd"])
        before = sorted(site.rglob("*"))
        done = start_up.subprocess.run(
            [start_up.sys.executable, "-c", code], capture_output=True, text=True, check=True, **options
        )
        assert sorted(site.rglob("*")) == before
    ours, first, kernels, second, home = done.stdout.splitlines()
    assert Path(ours).is_relative_to(site)
    assert Path(kernels).is_relative_to(site)
    assert first == second == home == "not written"


def test_every_feature_is_measured_with_and_without_compilation():
    found = {}
    for case in start_up.cases(Effort.FULL):
        found.setdefault(case.key.workload, set()).add(case.key.implementation)
    for feature in ("L-BFGS", "sparse input", "batch norm", "maxout", "regressor", "autoencoder", "tied weights"):
        assert found[f"{feature}, empty caches"] >= {"fastmlp", "fastmlp, FASTMLP_JIT=1"}
    for state in ("first fit and predict, warm caches", "first fit and predict, empty caches"):
        assert found[state] == {"fastmlp", "fastmlp, FASTMLP_JIT=1", "scikit-learn"}
