"""Every activation and link of the kernels has a translation, whose values are those of the reference."""

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the extra 'test-export' is not installed")
pytest.importorskip("onnxruntime", reason="the extra 'test-export' is not installed")

from fastmlp.kernels.tables import ACTIVATIONS, OUTPUTS
from onnx import TensorProto

from fastmlp.export._activations import FUNCTIONS, activate, logistic_precise
from fastmlp.export._graph import Graph, model_of
from fastmlp.reference import vectorized

TYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}
# Absolute, times max(1, |z|). ONNX Runtime approximates functions in float32 to about 2 units in the last place of 1,
# and the sums and products around them round a few times more.
TOLERANCE = {"float32": 5e-7, "float64": 1e-14}
LINKS = {
    "identity": lambda z: z,
    "logistic": lambda z: vectorized.activate("logistic", z),
    "softmax": lambda z: (
        np.exp(z - z.max(axis=1, keepdims=True)) / np.exp(z - z.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True)
    ),
    "exp": np.exp,
    "ordered": vectorized.OUTPUTS["ordered", "quantile"].link,
}


def values(dtype):
    """Pre-activations of both signs and all sizes, and 0."""
    z = np.concatenate([np.linspace(-6, 6, 601), np.geomspace(6, 1000, 40), -np.geomspace(6, 1000, 40), [0]])
    return np.column_stack([z, z[::-1]]).astype(dtype)


def evaluate(run_onnx, dtype, add, *pieces):
    """Run a graph that consists of what `add` adds."""
    X = np.hstack(pieces)
    graph = Graph(dtype)
    columns = [np.eye(X.shape[1])[:, i : i + pieces[0].shape[1]] for i in range(0, X.shape[1], pieces[0].shape[1])]
    names = [graph.node("MatMul", "X", graph.constant(column)) for column in columns]
    graph.node("Identity", add(graph, *names), result="Y")
    return run_onnx(model_of(graph, X.shape[1], {"Y": (TYPES[dtype], pieces[0].shape[1])}, 18), X)["Y"]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_matches_reference(run_onnx, name, dtype):
    z = values(dtype)
    pieces = [z, -z, z[:, ::-1]] if name == "maxout" else [z]
    Y = evaluate(run_onnx, dtype, lambda graph, *names: activate(graph, name, *names), *pieces)
    assert Y.dtype == dtype
    expected = vectorized.activate(name, np.hstack(pieces).astype(np.float64), len(pieces))
    error = np.abs(Y - expected) / np.maximum(1, np.abs(z))
    assert error.max() <= TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", sorted({link for link, _ in OUTPUTS}))
def test_link_matches_reference(run_onnx, name, dtype):
    z = values(dtype)
    z = z[np.abs(z).max(axis=1) < 50] if name == "exp" else z
    Y = evaluate(run_onnx, dtype, lambda graph, *names: activate(graph, name, *names), z)
    expected = LINKS[name](z.astype(np.float64))
    error = np.abs(Y - expected) / np.maximum(1, np.abs(expected))
    assert error.max() <= TOLERANCE[dtype]


@pytest.mark.parametrize(("dtype", "lowest"), [("float32", -85), ("float64", -700)])
def test_small_results_of_the_precise_logistic_are_accurate(run_onnx, dtype, lowest):
    z = np.linspace(lowest, -lowest, 1001, dtype=dtype)[:, np.newaxis]
    Y = evaluate(run_onnx, dtype, logistic_precise, z)
    expected = np.exp(np.minimum(z, 0.0, dtype=np.float64)) / (1 + np.exp(-np.abs(z, dtype=np.float64)))
    # exp multiplies the rounding error of log2(e) z, which is at most 145 (float32) or 1010 (float64).
    np.testing.assert_allclose(Y, expected, rtol=8 * np.finfo(dtype).eps)


def test_function_without_translation_is_refused_by_name(monkeypatch):
    monkeypatch.delitem(FUNCTIONS, "silu")
    with pytest.raises(NotImplementedError, match="The activation 'silu' cannot be exported to ONNX; those that can"):
        activate(Graph(np.float32), "silu", "X")
