"""Run the code of a page of the documentation."""

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

DOCS = Path(__file__).parents[2] / "docs"
FENCE = re.compile(r"^```(python|text)\n(.*?)^```", re.DOTALL | re.MULTILINE)
DECIMAL = re.compile(r"\d+\.\d*")


@pytest.fixture(autouse=True)
def close_figures():
    """Close all figures after each test."""
    yield
    plt.close("all")


@pytest.fixture
def run_page(tmp_path, monkeypatch):
    """Return a function that runs the Python code of a page in one session, and compares what it prints.

    A block of text after a block of code is the output of the code. With a tolerance, numbers with a decimal point may
    differ by it: scores depend on the last digits of the inputs, and these on the version of NumPy. The working
    directory is a temporary one. The function returns the names that the code has defined, and how many outputs it has
    compared.
    """
    monkeypatch.chdir(tmp_path)

    def run(page, tolerance=0.0, session=None):
        session = {} if session is None else session
        printed, compared = "", 0
        for kind, block in FENCE.findall((DOCS / page).read_text(encoding="utf-8")):
            if kind == "text":
                assert_same(printed, block, tolerance)
                compared += 1
                continue
            output = StringIO()
            with redirect_stdout(output):
                exec(compile(block, page, "exec"), session)
            printed = output.getvalue()
        return session, compared

    return run


def assert_same(printed, expected, tolerance):
    """Compare two texts, in which numbers with a decimal point may differ by the tolerance."""
    if tolerance:
        pairs = list(zip(DECIMAL.findall(printed), DECIMAL.findall(expected), strict=False))
        close = all(abs(float(a) - float(b)) <= tolerance for a, b in pairs)
        if close and " ".join(DECIMAL.sub("#", printed).split()) == " ".join(DECIMAL.sub("#", expected).split()):
            return
    assert printed == expected
