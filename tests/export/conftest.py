"""Run ONNX models."""

import pytest


@pytest.fixture(scope="session")
def run_onnx():
    """A function that runs a model in ONNX Runtime and returns its outputs by name."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1

    def run(model, X):
        onnx.checker.check_model(model, full_check=True)
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, {"X": X}), strict=True))

    return run
