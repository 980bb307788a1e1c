"""docs/app.md: its examples run as they stand, and its options exist."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from fastmlp.__main__ import main

PAGE = Path(__file__).parents[2] / "docs" / "app.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the documentation is not beside the tests")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="the examples are for a POSIX shell")
def test_examples_run(tmp_path):
    blocks = re.findall(r"^```(sh|python)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 7
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for language, code in blocks:
        if code.startswith("pip install"):
            continue
        command = ["sh", "-ec", code] if language == "sh" else [sys.executable, "-c", code]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1200, check=False
        )
        assert done.returncode == 0, f"{code}\n{done.stderr}"
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {"wine.csv", "new.csv", "wine", "wine.html", "predictions.csv"}
    assert {path.name for path in (tmp_path / "wine").iterdir()} == {"model.skops", "metrics.json", "report.html"}
    predictions = pd.read_csv(tmp_path / "predictions.csv")
    assert predictions["prediction"].tolist() == ["class_0"] * 5
    assert done.stdout == f"{predictions['prediction'].to_numpy(dtype=object)}\n"


def test_options_exist(capsys):
    known = set()
    for command in ([], ["fit"], ["predict"], ["report"]):
        with pytest.raises(SystemExit):
            main([*command, "--help"])
        known |= set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    described = set(re.findall(r"(?<!-)--[a-z]+(?:-[a-z]+)*", PAGE.read_text(encoding="utf-8")))
    assert described
    assert described <= known
