"""The report shows every suite, states what was measured on what, and changes only its part of the README."""

import subprocess
import sys

import pytest

from bench import report
from bench.harness import Key
from bench.workloads import WORKLOADS

TINY = Key("training", "tiny", "float32", "fastmlp")


EMPTY = "".join(f"<!-- {part}:begin --><!-- {part}:end -->" for part in report.PARTS)


def words(text):
    """The text with single spaces."""
    return " ".join(text.split())


def cases_of_every_suite():
    """A little of everything."""
    cases = []

    def add(suite, workload, facts, dtype="float32", **seconds):
        for implementation, value in seconds.items():
            key = Key(suite, workload, dtype, implementation.replace("_", " "))
            cases.append((key, [value, value * 1.1], {"configuration": "2 threads"} | facts))

    facts = {"network": WORKLOADS["digits"].network, "flops": 8e7, "accuracy": 0.9}
    add("training", "digits", facts, **{"fastmlp": 1e-3, "PyTorch": 2e-3, "scikit-learn": 7e-3})
    add("training", "digits", facts, dtype="float64", fastmlp=2e-3, PyTorch=4e-3)
    add("one_core_busy", "digits", {}, **{"fastmlp": 1.2e-3, "fastmlp, 1 thread": 1e-3})
    facts = {"best_parameters": "alpha=1", "fits": 61}
    add("grid_search", "wine", facts, dtype="float64", **{"fastmlp, loky": 1, "scikit-learn, loky": 2})
    add("gradient", "digits", {}, loops=1, fastmlp=1e-4)
    add("predict", "1 row", {"rows": 1}, fastmlp=2e-5, JAX=1e-5)
    add("start_up", "import", {}, dtype="none", **{"fastmlp": 1, "scikit-learn": 0.75})
    add("peak", "arithmetic", {"flops": 1e9}, fastmlp=1e-2)
    add("peak", "memory, 16 KiB", {"bytes": 1e9}, fastmlp=1e-2)
    facts = {"flops": 1e6, "bytes": 1e5, "footprint": 5e3, "group": "products"}
    add("kernels", "product 64x64x64", facts, fastmlp=1e-5, NumPy=2e-5)
    for value in (10, 100, 1000):
        facts = {"series": "rows", "value": value, "memory": 100 * value}
        add("scaling", f"rows = {value}", facts, dtype="float64", fastmlp=1e-4 * value)
    return cases


def test_report_writes_page_pictures_and_readme(tmp_path, make_run):
    skipped = [[*TINY._replace(workload="digits", implementation="skorch"), "skorch is not installed"]]
    make_run(cases_of_every_suite(), skipped=skipped).save(tmp_path / "run.jsonl")
    (tmp_path / "README.md").write_text(f"# title\n\n{EMPTY}\n")
    report.write_report([tmp_path / "run.jsonl"], root=tmp_path)
    page = words((tmp_path / "docs" / "benchmarks.md").read_text("utf-8"))
    for text in (
        "Machine: one, 2 cores, Linux x86_64",
        "Instruction set: avx2",
        "python 3.11; not installed: torch",
        "commit 0123456789, in 1 minutes, by `python -m bench`",
        "- predict, 1 row, float32: JAX 10.5 µs, fastmlp 21 µs (2.00 times)",
        "- one core busy, digits, float32: all threads take 1.20 times as long as one thread",
        "- skorch: skorch is not installed (avx2; training digits float32)",
        "| digits | float32 | 1.05 ms ± 2% | 2.1 ms ± 2% | 7.35 ms ± 2% |",
        "| digits | float64 | 2.1 ms ± 2% | 4.2 ms ± 2% |",
        "| import | none | 1.05 s ± 2% | 788 ms ± 2% | +0.26 s |",
        "fastmlp: 0.9000; PyTorch: 0.9000; scikit-learn: 0.9000",
        "| 1.00",  # the exponent over the rows
    ):
        assert text in page
    pictures = {path.name for path in (tmp_path / "docs" / "pictures" / "benchmarks").iterdir()}
    assert pictures == {"training.png", "roofline.png", "scaling.png"}
    assert all(f"pictures/benchmarks/{name}" in page for name in pictures)
    readme = words((tmp_path / "README.md").read_text("utf-8"))
    assert "| digits | float32 | 1,797 rows, 64 → 100 → 10, batches of 200 | 1.05 ms | 7.35 ms | 2.1 ms |" in readme
    assert "| digits | float64 | 1,797 rows, 64 → 100 → 10, batches of 200 | 2.1 ms | — | 4.2 ms |" in readme
    assert "avx2, one, 2 cores, 2000-01-01" in readme
    assert "wine 1.05 s against 2.1 s" in readme
    assert (
        "On a 2-core one with AVX2, an epoch of training in float32 is 7 times as fast as with scikit-learn" in readme
    )
    assert "a grid search is 2 times as fast" in readme


def test_report_of_a_part_of_the_suites(tmp_path, make_run):
    facts = {"network": WORKLOADS["tiny"].network, "flops": 1e5, "configuration": ""}
    make_run([(TINY, [1e-3], facts)]).save(tmp_path / "run.jsonl")
    (tmp_path / "README.md").write_text(EMPTY)
    report.write_report([tmp_path / "run.jsonl"], root=tmp_path)
    assert "## Training" in (tmp_path / "docs" / "benchmarks.md").read_text("utf-8")
    assert "## Kernels" not in (tmp_path / "docs" / "benchmarks.md").read_text("utf-8")


def test_instruction_sets_are_side_by_side(make_run):
    """Each with the share of its own peak."""
    facts = {"network": "", "flops": 1e6, "configuration": "2 threads"}
    peak = Key("peak", "arithmetic", "float32", "fastmlp")

    def run(isa, seconds, flops):
        return make_run([(peak, [1e-3], {"flops": flops}), (TINY, [seconds], facts)], isa=isa)

    page = words(report.page([run("avx512", 1e-4, 2e7), run("avx2", 1.6e-4, 1e7)]))
    assert "| workload | dtype | implementation | avx512 | avx512, of its peak | avx2 | avx2, of its peak |" in page
    assert "| tiny | float32 | fastmlp | 100 µs | 25 % | 160 µs | 31 % |" in page


def test_readme_states_losses_of_all_runs(make_run):
    """The table is that of the first run."""
    facts = {"network": "", "flops": 1e6, "configuration": "2 threads"}

    def run(isa, ours):
        return make_run([(TINY, [ours], facts), (TINY._replace(implementation="JAX"), [2e-4], facts)], isa=isa)

    text = report.headline([run("avx512", 1e-4), run("avx2", 3e-4)])
    assert "One epoch of training, avx512" in text
    assert "| 100 µs" in text
    assert "300 µs |" not in text
    assert "Slower than the fastest other library: training, tiny, float32: JAX 200 µs, fastmlp 300 µs" in text
    assert text.endswith("(1.50 times) (avx2).")
    assert "fastmlp was the fastest in every training" in report.headline([run("avx512", 1e-4)])


def test_separately_stored_runs_have_sections(tmp_path, make_run, monkeypatch):
    """The comparisons that are not part of `python -m bench` state their machine and keep their place in the page."""
    monkeypatch.setattr(report, "SEPARATE", tmp_path)
    searches = [("HyperbandSearchCV", [2.0, 1.0], 0.985, 49), ("GridSearchCV", [8.0, 9.0], 0.99, 144)]
    make_run(
        [
            (
                Key("hyperband", "wine", "float64", name),
                seconds,
                {"score": score, "standard_error": 0.01, "candidates": n},
            )
            for name, seconds, score, n in searches
        ]
    ).save(tmp_path / "hyperband.jsonl")
    steps = [("MLPClassifier", 1e-3), ("DaskMLPClassifier", 4e-3)]
    make_run(
        [(Key("distributed", "adam, 200 rows", "float32", name), [seconds], {"rows": 200}) for name, seconds in steps],
        versions={"dask": "2026.1"},
    ).save(tmp_path / "distributed.jsonl")
    page = words(report.page([make_run([(TINY, [1e-3], {"network": "", "flops": 1e5, "configuration": ""})])]))
    assert "| wine | 1 s | 8 s | 12 % | 0.9850 | 0.9900 ± 0.0100 | 49 of 144 |" in page
    assert "| adam, 200 rows | float32 | 1 ms | 4 ms | +3 ms |" in page
    assert "- Versions: dask 2026.1" in page


def test_only_the_text_between_the_markers_is_replaced():
    begin, end = "<!-- speed:begin -->", "<!-- speed:end -->"
    assert report.embed(f"# before\n{begin}\nold\n{end}\nafter\n", "speed", "new") == (
        f"# before\n{begin}\n\nnew\n\n{end}\nafter\n"
    )
    with pytest.raises(ValueError, match="README must contain"):
        report.embed("no markers", "speed", "new")


IMPORT_EACH_FIRST = """
import importlib, sys
for module in sys.argv[1:]:
    for name in [name for name in sys.modules if name.partition(".")[0] == "bench"]:
        del sys.modules[name]
    importlib.import_module(f"bench.{module}")
"""


def test_every_module_can_be_imported_first():
    """`pictures` and `report` once imported each other."""
    modules = ["pictures", "report", "sections", "analysis", "compare"]
    subprocess.run([sys.executable, "-c", IMPORT_EACH_FIRST, *modules], check=True)
