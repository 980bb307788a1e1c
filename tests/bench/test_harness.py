"""The benchmarks' own tests: a wrong result is an error, a slow-down is noticed, turns alternate, reports embed."""

import time
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numba
import numpy as np
import pytest

from bench import compare, grid_search, report, training
from bench.harness import Case, Effort, Key, Trial, Unavailable, in_turns, prepare, timed
from bench.store import Result, Run
from bench.workloads import WORKLOADS, row_orders, start_of

MACHINE = {"cpu": "one", "cores": 2, "system": "Linux", "architecture": "x86_64"}
KEY = Key("training", "tiny", "fastmlp")


# Looking up the true ones takes a second.
a_run = partial(Run, machine=MACHINE, versions={"python": "3.11", "torch": None})


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """A clock that only `busy` moves, with a little noise: a real one would tell how busy the test machine is."""
    noise = np.random.default_rng(0)

    class Clock:
        now = 0.0

        def busy(self, seconds):
            self.now += seconds * noise.uniform(1, 1.1)

    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    return clock


def case(contestant, run=lambda: None, judge=lambda result: {}, needs=""):
    return Case(Key("training", "tiny", contestant), lambda: Trial({"as it is": run}, judge), needs)


def measured(cases, turns=5):
    """A run of the cases, timed in turns as the suites do."""
    run = a_run(command="python -m bench")
    ready = {case.key: prepare(case) for case in cases}
    for case, _ in in_turns(cases, turns):
        run.add(case.key, [timed(ready[case.key].run) for _ in range(ready[case.key].rounds)], {})
    return run


def test_a_long_run_is_timed_while_it_is_checked(clock):
    """And never again; a short one is timed in its turns."""
    runs = []

    def run(seconds):
        runs.append(seconds)
        clock.busy(seconds)

    ready = prepare(case("slow", run=lambda: run(10.0)))
    assert runs == [10.0]
    assert len(ready.known) == 1
    assert 10 <= ready.known[0] <= 11
    assert prepare(case("quick", run=lambda: run(0.1))).known == []


def test_the_time_of_a_compilation_is_not_taken_for_that_of_a_long_run(clock):
    """With an empty cache the first training once stood in the report as 66.9 ms an epoch, not 11 us."""
    increment = numba.njit(lambda x: x + 1)

    def run():
        clock.busy(0.1 if increment.signatures else 10.0)
        increment(1)

    ready = prepare(case("fastmlp", run=run))
    assert ready.known == []
    assert ready.rounds == 1


# ---- wrong results


def test_a_wrong_result_is_never_timed():
    def judge(result):
        raise AssertionError("wrong")

    with pytest.raises(AssertionError, match="wrong"):
        prepare(case("fastmlp", judge=judge))


def trained(workload, rate=1e-3, orders=None):
    """Weights of a training by the vectorised reference."""
    start = start_of(workload)
    steps = iter(orders or [])

    class Replay:
        def shuffle(self, rows):
            rows[:] = next(steps)

    X, y = workload.data()
    return training.vectorized.fit(
        start.coefs,
        start.intercepts,
        X,
        workload.targets(y),
        epochs=workload.epochs,
        batch_size=workload.batch,
        alpha=training.ALPHA,
        learning_rate_init=rate,
        rng=start.random() if orders is None else Replay(),
    )[:2]


def test_judge_accepts_the_reference_in_float32():
    workload = replace(WORKLOADS["digits"], epochs=5)
    assert training.judge(workload, trained(workload))["accuracy"] > 0.7


def test_judge_notices_a_rate_one_percent_off():
    workload = replace(WORKLOADS["digits"], epochs=5, dtype="float64")
    training.judge(workload, trained(workload))
    with pytest.raises(AssertionError, match="differ from the reference"):
        training.judge(workload, trained(workload, rate=1.01e-3))


def test_judge_notices_other_batches():
    workload = replace(WORKLOADS["digits"], epochs=5)
    random = np.random.default_rng(1)
    orders = [random.permutation(workload.rows) for _ in range(workload.epochs)]
    with pytest.raises(AssertionError, match="differ from the reference"):
        training.judge(workload, trained(workload, orders=orders))


def test_row_orders_are_those_of_the_reference():
    workload = replace(WORKLOADS["digits"], epochs=3, dtype="float64")
    orders = row_orders(workload)
    # The reference permutes the order of the epoch before.
    steps = [orders[0], *(np.argsort(a)[b] for a, b in pairwise(orders))]
    training.judge(workload, trained(workload, orders=steps))


def test_judge_of_grid_search_notices_other_parameters(monkeypatch):
    workload = WORKLOADS["wine"]
    grid = {"mlpclassifier__alpha": [1e-4, 1e3], "mlpclassifier__hidden_layer_sizes": [(4,)]}
    with pytest.warns(match="converged"):
        found = grid_search.search("scikit-learn", *workload.data(), 1, grid)
    monkeypatch.setattr(grid_search, "_found", {workload: found})
    grid_search.judge(workload, "fastmlp", found)
    with pytest.warns(match="converged"):
        other = grid_search.search("scikit-learn", *workload.data(), 1, grid | {"mlpclassifier__alpha": [1e3, 1e4]})
    with pytest.raises(AssertionError, match="best parameters"):
        grid_search.judge(workload, "fastmlp", other)


# ---- slow-downs


def test_an_injected_slow_down_of_30_percent_is_noticed(tmp_path, clock):
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    numpy = case("NumPy", lambda: clock.busy(0.01))
    measured([case("fastmlp", lambda: clock.busy(0.01)), numpy]).save(before)
    measured([case("fastmlp", lambda: clock.busy(0.013)), numpy]).save(after)
    ratios = compare.compare(Run.load(before), Run.load(after))
    assert ratios[KEY].median == pytest.approx(1.3, rel=0.05)
    assert 1.2 < ratios[KEY].low < ratios[KEY].median < ratios[KEY].high < 1.4
    assert ratios[KEY._replace(contestant="NumPy")].median == pytest.approx(1.0, rel=0.05)
    assert compare.main([str(before), str(after), "--threshold", "1.15"]) == 1
    assert compare.main([str(after), str(before), "--threshold", "1.15"]) == 0
    assert compare.main([str(before), str(after)]) == 0


def test_a_drift_of_the_machine_hits_all_alike(clock):
    """Each turn is slower than the last, yet equal contestants stay equal."""
    drift = iter(np.linspace(1, 2, 200))
    equals = [case(name, lambda: clock.busy(0.1 * next(drift))) for name in ("fastmlp", "NumPy")]
    run = measured(equals)
    a, b = (run.results[c.key].median for c in equals)
    assert a == pytest.approx(b, rel=0.05)


def test_contestants_of_a_workload_take_turns():
    cases = [case("fastmlp"), case("NumPy"), Case(Key("training", "digits", "fastmlp"), lambda: None)]
    order = [(c.key.workload, c.key.contestant, turn) for c, turn in in_turns(cases, 2)]
    assert order == [
        ("tiny", "fastmlp", 0),
        ("tiny", "NumPy", 0),
        ("tiny", "fastmlp", 1),
        ("tiny", "NumPy", 1),
        ("digits", "fastmlp", 0),
        ("digits", "fastmlp", 1),
    ]


def test_the_fastest_configuration_is_taken(clock):
    runs = {"slow": lambda: clock.busy(0.02), "fast": lambda: clock.busy(0.005)}
    ready = prepare(Case(KEY, lambda: Trial(runs, lambda result: {"accuracy": 1.0}, facts={"flops": 1})))
    assert ready.facts == {"flops": 1, "accuracy": 1.0, "configuration": "fast"}
    assert ready.run is runs["fast"]


def test_to_check_only_one_configuration_runs_once():
    runs = []
    made = Trial({"a": lambda: runs.append("a"), "b": lambda: runs.append("b")}, lambda result: {})
    prepare(Case(KEY, lambda: made), Effort.CHECK)
    assert runs == ["a"]


# ---- stored runs


def test_a_missing_peer_is_unavailable():
    with pytest.raises(Unavailable, match="no_such_package is not installed"):
        prepare(case("PyTorch", needs="no_such_package"))


def test_runs_of_another_machine_need_force(tmp_path, capsys):
    a, b = a_run(), a_run(machine=MACHINE | {"cpu": "another"})
    for name, run in (("a", a), ("b", b)):
        run.add(KEY, [1.0, 1.1], {})
        run.save(tmp_path / name)
    arguments = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert compare.main(arguments) == 2
    assert "--force" in capsys.readouterr().err
    assert compare.main([*arguments, "--force"]) == 0
    assert "warning: different machines" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"results": [{}], "skipped": []}'])
def test_a_file_that_is_no_run_is_named(tmp_path, text, capsys):
    (tmp_path / "a").write_text(text)
    assert compare.main([str(tmp_path / "a"), str(tmp_path / "a")]) == 2
    assert "is not a stored run" in capsys.readouterr().err


def test_a_run_survives_storing(tmp_path):
    run = a_run(command="python -m bench", skipped={KEY: "torch is not installed"})
    run.add(KEY._replace(contestant="NumPy"), [1.0, 2.0], {"flops": 3})
    run.save(tmp_path / "run.json")
    assert Run.load(tmp_path / "run.json") == run


# ---- the report


def test_losing_cases_are_named():
    run = a_run(
        results={
            KEY: Result([2e-3], {}),
            KEY._replace(contestant="JAX"): Result([1e-3], {}),
            KEY._replace(workload="digits"): Result([1e-3], {}),
            KEY._replace(workload="digits", contestant="JAX"): Result([2e-3], {}),
        }
    )
    assert report.losses(run) == ["training, tiny: JAX 1 ms, fastmlp 2 ms (2.00 times)"]


def test_exponent_is_that_of_the_larger_values():
    values = [1, 10, 100, 1000, 10_000]
    assert report.exponent(values, [5 + v**2 for v in values]) == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize(
    ("seconds", "text"), [(1.2345, "1.23 s"), (0.5, "500 ms"), (2.5e-6, "2.5 µs"), (6e-8, "60 ns"), (1234.5, "1,230 s")]
)
def test_duration(seconds, text):
    assert report.duration(seconds) == text


def test_only_what_stands_between_the_markers_is_replaced():
    text = f"# before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    assert report.embed(text, "new") == f"# before\n{report.BEGIN}\n\nnew\n\n{report.END}\nafter\n"
    with pytest.raises(ValueError, match="README must contain"):
        report.embed("no markers", "new")


def run_of_every_suite():
    """A stored run with a little of everything."""
    run = a_run(command="python -m bench", commit="0123456789", date="2000-01-01 00:00 UTC", minutes=1.0)

    def add(suite, workload, facts, **seconds):
        for contestant, value in seconds.items():
            run.results[Key(suite, workload, contestant.replace("_", " "))] = Result([value, value * 1.1], facts)

    what = str(WORKLOADS["digits"])
    facts = {"what": what, "flops": 8e7, "accuracy": 0.9, "configuration": "2 threads"}
    add("training", "digits", facts, fastmlp=1e-3, PyTorch=2e-3)
    add("grid_search", "wine", {"best": "alpha=1", "fits": 61}, **{"fastmlp, loky": 1, "scikit-learn, loky": 2})
    add("gradient", "digits", {}, loops=1, fastmlp=1e-4)
    add("predict", "1 row", {"rows": 1}, fastmlp=2e-5, JAX=1e-5)
    add("start_up", "import", {}, fastmlp=1)
    add("kernels", "peak", {"flops": 1e9}, **{"arithmetic, float32": 1e-2})
    add("kernels", "peak", {"bytes": 1e9}, **{"memory, 16 KiB": 1e-2})
    facts = {"flops": 1e6, "bytes": 1e5, "footprint": 5e4, "dtype": "float32", "group": "products"}
    add("kernels", "product 64x64x64 float32", facts, fastmlp=1e-5, NumPy=2e-5)
    for value in (10, 100, 1000):
        facts = {"series": "rows", "value": value, "memory": 100 * value}
        add("scaling", f"rows = {value}", facts, fastmlp=1e-4 * value)
    run.skipped[Key("training", "digits", "skorch")] = "skorch is not installed"
    return run


def test_report_writes_page_pictures_and_readme(tmp_path):
    run_of_every_suite().save(tmp_path / "run.json")
    (tmp_path / "README.md").write_text(f"# title\n\n{report.BEGIN}\n{report.END}\n")
    report.write_report(tmp_path / "run.json", root=tmp_path)
    page = (tmp_path / "docs" / "benchmarks.md").read_text()
    for text in (
        "Machine: one, 2 cores, Linux x86_64",
        "commit 0123456789, in 1 minutes, by `python -m bench`",
        "- predict, 1 row: JAX 10.5 µs, fastmlp 21 µs (2.00 times)",
        "- skorch: skorch is not installed (training digits)",
        "| 1.00",  # the exponent over the rows
    ):
        assert text in page
    pictures = {path.name for path in (tmp_path / "docs" / "pictures" / "benchmarks").iterdir()}
    assert pictures == {"training.png", "roofline.png", "scaling.png"}
    assert all(f"pictures/benchmarks/{name}" in page for name in pictures)
    readme = (tmp_path / "README.md").read_text()
    assert "| digits: 1,797 rows, 64 → 100 → 10, batches of 200 | 1.05 ms | 2.1 ms  |" in readme
    assert "wine 1.05 s against 2.1 s" in readme


def test_report_of_a_part_of_the_suites(tmp_path):
    run = a_run(results={KEY: Result([1e-3], {"what": str(WORKLOADS["tiny"]), "flops": 1e5, "configuration": ""})})
    run.save(tmp_path / "run.json")
    (tmp_path / "README.md").write_text(f"{report.BEGIN}{report.END}")
    report.write_report(tmp_path / "run.json", root=tmp_path)
    assert "## Training" in (tmp_path / "docs" / "benchmarks.md").read_text()
    assert "## Kernels" not in (tmp_path / "docs" / "benchmarks.md").read_text()


# ---- workloads


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
def test_workloads_state_what_they_are(workload):
    X, y = workload.data()
    assert X.shape == (workload.rows, workload.columns)
    assert str(X.dtype) == workload.dtype
    assert set(np.unique(y)) == set(range(workload.classes))
    assert workload.batch <= workload.rows


def test_flops_of_an_epoch():
    digits = WORKLOADS["digits"]
    assert digits.flops == 1797 * (6 * (64 * 100 + 100 * 10) - 2 * 64 * 100)
