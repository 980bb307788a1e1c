"""Graphs become models of the asked-for version."""

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the extra 'test-export' is not installed")

import onnx

from fastmlp import __version__
from fastmlp.export._graph import Graph, model_of


@pytest.mark.parametrize(("opset", "ir_version"), [(13, 7), (18, 8), (22, 10)])
def test_model_has_the_oldest_format_of_its_opset(opset, ir_version):
    graph = Graph(np.float32)
    graph.node("Add", "X", graph.constant([1.0, 2.0]), result="Y")
    model = model_of(graph, 2, {"Y": (onnx.TensorProto.FLOAT, 2)}, opset)
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version == ir_version
    assert [(item.domain, item.version) for item in model.opset_import] == [("", opset)]
    assert (model.producer_name, model.producer_version) == ("fastmlp", __version__)


def test_constants_keep_integers_and_strings_and_round_numbers():
    graph = Graph(np.float32)
    for values in (1 / 3, np.array([1, 2]), np.array(["a", "ü"])):
        graph.constant(values)
    number, integers, strings = map(onnx.numpy_helper.to_array, graph.constants)
    assert number.dtype == np.float32
    assert number == np.float32(1 / 3)
    assert integers.dtype == np.int64
    assert strings.tolist() in ([b"a", "ü".encode()], ["a", "ü"])  # depends on the version of onnx


def test_names_are_unique_or_given():
    graph = Graph(np.float64, name=lambda word: f"given_{word}")
    assert graph.node("Relu", "X") == "given_relu"
    graph = Graph(np.float64)
    assert len({graph.node("Relu", "X") for _ in range(3)}) == 3
