"""The code of docs/scaling.md runs in one session and prints the output that the page shows."""

from importlib.util import find_spec

import pytest

NEEDED = ("dask", "distributed", "optuna", "pandas", "pyarrow")


@pytest.mark.skipif(not all(find_spec(name) for name in NEEDED), reason=f"needs {', '.join(NEEDED)}")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:.*catch_warnings")
def test_scaling(run_page):
    session = {"__name__": "scaling"}
    try:
        _, compared = run_page("scaling.md", session=session)
    finally:
        for name in ("client", "cluster"):
            if name in session:
                session[name].close()
    assert compared > 5
