"""The code of docs/export.md runs, in order and in one session, and prints what the page says."""

import pytest

for package in ("onnxruntime", "skl2onnx", "skops"):
    pytest.importorskip(package, reason="the extra 'test-export' is not installed")


def test_page(run_page):
    _, compared = run_page("export.md")
    assert compared == 5
