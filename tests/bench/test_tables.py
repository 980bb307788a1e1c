"""Cells of the report: units, digits, and figures under the right label."""

import pytest

from bench.harness import Key
from bench.tables import by_implementation, cell, duration, times


@pytest.mark.parametrize(
    ("seconds", "text"), [(1.2345, "1.23 s"), (0.5, "500 ms"), (2.5e-6, "2.5 µs"), (6e-8, "60 ns"), (1234.5, "1,230 s")]
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_figures_have_the_right_labels(make_run):
    """`unstack(sort=False)` of pandas 3.1 once put the times of fastmlp under the name of JAX."""
    names = ["fastmlp", "scikit-learn", "NumPy", "JAX"]  # not in alphabetical order
    keys = [Key("training", workload, "float32", name) for workload in ("tiny", "digits") for name in names]
    keys += [Key("gradient", "tiny", "float32", "another")]
    run = make_run([(key, [1.0 + i], {}) for i, key in enumerate(keys)])
    cells = by_implementation(run.of("training").apply(cell, axis=1))
    assert list(cells.columns) == names
    assert [workload for workload, _ in cells.index] == ["tiny", "digits"]
    for i, key in enumerate(keys[:-1]):
        assert cells.loc[(key.workload, key.dtype), key.implementation] == f"{i + 1} s (once)"


def test_tables_of_different_implementations_are_separate(make_run):
    keys = [Key("training", "tiny", "float32", "fastmlp"), Key("training", "tiny", "float32", "NumPy")]
    keys += [Key("training", "text", "float32", "fastmlp")]
    run = make_run([(key, [1.0, 1.0], {}) for key in keys])
    first, second = times(run.of("training")).split("\n\n")
    assert "NumPy" in first
    assert "text" not in first
    assert "NumPy" not in second
    assert "text" in second
