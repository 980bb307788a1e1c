"""A graph of ONNX nodes under construction."""

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from fastmlp._version import __version__

__all__ = ["Graph", "model_of"]


class Graph:
    """Nodes and constants of one floating-point type. Values are identified by their names.

    Parameters
    ----------
    dtype : dtype
        float32 or float64: the type of the computation.
    name : callable, default=None
        Takes a prefix and returns an unused name for a value. None: the graph numbers the values.
    """

    def __init__(self, dtype: Any, name: Callable[[str], str] | None = None) -> None:
        self.dtype = np.dtype(dtype)
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        numbers = count()
        self._name = name or (lambda word: f"{word}_{next(numbers)}")

    @property
    def single(self) -> bool:
        """Whether the graph computes in float32."""
        return self.dtype == np.float32

    @property
    def element_type(self) -> int:
        """ONNX's code of the floating-point type."""
        return int(TensorProto.FLOAT if self.single else TensorProto.DOUBLE)

    def constant(self, values: Any) -> str:
        """Add a constant; floating-point numbers are rounded to the type of the graph."""
        array: NDArray[Any] = np.asarray(values)
        if array.dtype.kind == "f":
            array = array.astype(self.dtype)
        name = self._name("constant")
        if array.dtype.kind == "U":
            array = array.astype(object)  # how onnx knows strings
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, operator: str, *inputs: str, result: str | None = None, **attributes: Any) -> str:
        """Add a node with one result, and return its name; `result` is a name known outside the graph."""
        result = result or self._name(operator.lower())
        self.nodes.append(helper.make_node(operator, inputs, [result], name=f"node_{result}", **attributes))
        return result


def model_of(graph: Graph, n_features: int, outputs: dict[str, tuple[int, int | None]], opset: int) -> ModelProto:
    """Return a graph as a model.

    Parameters
    ----------
    graph : Graph
        Its input is the value ``X``.
    n_features : int
        Columns of ``X``.
    outputs : dict
        Element type (ONNX's code) and number of columns of each output; None: one element for each row.
    opset : int
        Version of ONNX's operators.

    Returns
    -------
    onnx.ModelProto
        The model, in the oldest format that supports `opset`.
    """
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(
        helper.make_graph(
            graph.nodes,
            "fastmlp",
            [helper.make_tensor_value_info("X", graph.element_type, [None, n_features])],
            [
                helper.make_tensor_value_info(name, element_type, [None] if columns is None else [None, columns])
                for name, (element_type, columns) in outputs.items()
            ],
            graph.constants,
        ),
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets),
        producer_name="fastmlp",
        producer_version=__version__,
    )
