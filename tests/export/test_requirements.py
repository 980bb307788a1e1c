"""A missing package is reported with the command that installs it."""

import numpy as np
import pytest

from fastmlp import MLPRegressor
from fastmlp.export import _requirements, register_skl2onnx, to_onnx


@pytest.mark.parametrize("package", ["onnx", "skl2onnx"])
def test_missing_package(monkeypatch, package):
    monkeypatch.setattr(_requirements, "find_spec", lambda name: None if name == package else object())
    model = MLPRegressor(hidden_layer_sizes=2, solver="lbfgs", random_state=0).fit(np.eye(3), [1.0, 2.0, 3.0])
    with pytest.raises(ImportError, match=f"needs the package '{package}'.*`pip install 'fastmlp\\[onnx\\]'`") as error:
        to_onnx(model) if package == "onnx" else register_skl2onnx()
    assert error.value.name == package
