"""The code of docs/scaling.md runs, in order and in one session, and prints what the page says."""

import re
from contextlib import redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "scaling.md"
FENCE = re.compile(r"```(python|text)\n(.*?)```", re.DOTALL)
NEEDED = ("dask", "distributed", "optuna", "pandas", "pyarrow")


@pytest.mark.skipif(not all(find_spec(name) for name in NEEDED), reason=f"needs {', '.join(NEEDED)}")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:.*catch_warnings")
def test_scaling(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    session, said, compared = {"__name__": "scaling"}, "", 0
    try:
        for kind, block in FENCE.findall(PAGE.read_text(encoding="utf-8")):
            if kind == "text":
                assert said == block
                compared += 1
                continue
            output = StringIO()
            with redirect_stdout(output):
                exec(compile(block, str(PAGE), "exec"), session)
            said = output.getvalue()
    finally:
        for name in ("client", "cluster"):
            if name in session:
                session[name].close()
    assert compared > 5
