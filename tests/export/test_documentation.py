"""The code of docs/export.md runs, in order and in one session, and prints what the page says."""

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

for package in ("onnxruntime", "skl2onnx", "skops"):
    pytest.importorskip(package, reason="the extra 'test-export' is not installed")

PAGE = Path(__file__).parents[2] / "docs" / "export.md"
FENCE = re.compile(r"```(python|text)\n(.*?)```", re.DOTALL)


def test_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    session, printed, compared = {}, "", 0
    for kind, block in FENCE.findall(PAGE.read_text(encoding="utf-8")):
        if kind == "text":
            assert printed == block
            compared += 1
            continue
        output = StringIO()
        with redirect_stdout(output):
            exec(compile(block, str(PAGE), "exec"), session)
        printed = output.getvalue()
    assert compared == 5
