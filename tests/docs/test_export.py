"""The code of docs/export.md runs in one session and prints the output that the page shows."""

import pytest

for package in ("onnxruntime", "skl2onnx", "skops"):
    pytest.importorskip(package, reason="the extra 'test-export' is not installed")


def test_page(run_page):
    _, compared = run_page("export.md")
    assert compared == 5
