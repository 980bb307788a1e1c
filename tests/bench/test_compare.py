"""A slow-down is noticed; runs of different machines or instruction sets are compared only on request."""

import pytest

from bench import compare
from bench.harness import Case, Key, Trial, in_turns, prepare, timed
from bench.store import Run

KEY = Key("training", "tiny", "float32", "fastmlp")
NUMPY = KEY._replace(implementation="NumPy")


def measured(make_run, runs, turns=5):
    """A run of functions by key, timed alternately as the suites do."""
    cases = [Case(key, lambda run=run: Trial({"as it is": run}, lambda result: {})) for key, run in runs.items()]
    ready = {case.key: prepare(case) for case in cases}
    seconds = {key: [] for key in runs}
    for case, _ in in_turns(cases, turns):
        seconds[case.key] += [timed(ready[case.key].run) for _ in range(ready[case.key].rounds)]
    return make_run([(key, values, {}) for key, values in seconds.items()])


def test_a_slow_down_of_30_percent_is_noticed(tmp_path, clock, make_run):
    before, after = tmp_path / "before.jsonl", tmp_path / "after.jsonl"
    measured(make_run, {KEY: lambda: clock.busy(0.01), NUMPY: lambda: clock.busy(0.01)}).save(before)
    measured(make_run, {KEY: lambda: clock.busy(0.013), NUMPY: lambda: clock.busy(0.01)}).save(after)
    ratios = compare.compare(Run.load(before), Run.load(after))
    ours = ratios.loc[KEY]
    assert ours["ratio"] == pytest.approx(1.3, rel=0.05)
    assert 1.2 < ours["low"] < ours["ratio"] < ours["high"] < 1.4
    assert ratios.loc[NUMPY, "ratio"] == pytest.approx(1.0, rel=0.05)
    assert compare.main([str(before), str(after), "--threshold", "1.15"]) == 1
    assert compare.main([str(after), str(before), "--threshold", "1.15"]) == 0
    assert compare.main([str(before), str(after)]) == 0


@pytest.mark.parametrize(
    ("other", "message"),
    [({"machine": {"cpu": "another"}}, "different machines"), ({"isa": "avx512"}, "different instruction sets")],
)
def test_different_runs_need_force(tmp_path, capsys, make_run, other, message):
    for name, run in (("a", make_run([(KEY, [1.0, 1.1], {})])), ("b", make_run([(KEY, [1.0, 1.1], {})], **other))):
        run.save(tmp_path / name)
    arguments = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert compare.main(arguments) == 2
    assert "--force" in capsys.readouterr().err
    assert compare.main([*arguments, "--force"]) == 0
    assert f"warning: {message}" in capsys.readouterr().err


def test_cases_of_one_run_only_are_named(tmp_path, capsys, make_run):
    make_run([(KEY, [1.0], {}), (NUMPY, [1.0], {})]).save(tmp_path / "a")
    make_run([(KEY, [1.0], {})]).save(tmp_path / "b")
    assert compare.main([str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    assert "only in A: training, tiny, float32, NumPy" in capsys.readouterr().out
    make_run([(NUMPY, [1.0], {})]).save(tmp_path / "b")
    make_run([(KEY, [1.0], {})]).save(tmp_path / "a")
    assert compare.main([str(tmp_path / "a"), str(tmp_path / "b")]) == 2
    assert "no case in common" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"results": [{}], "skipped": []}'])
def test_a_file_that_is_no_run_is_an_error(tmp_path, text, capsys):
    (tmp_path / "a").write_text(text)
    assert compare.main([str(tmp_path / "a"), str(tmp_path / "a")]) == 2
    assert "is not a stored run" in capsys.readouterr().err
