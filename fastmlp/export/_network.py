"""Fitted networks as ONNX operators, with the outputs of the estimators."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from fastmlp.estimators import FittedLayer, FittedNetwork

from ._activations import activate, logistic_precise
from ._graph import Graph

__all__ = ["Output", "add_network", "encoder_of", "exported_classes", "outputs_of"]


class Output(NamedTuple):
    """Name, type and shape of an output.

    Attributes
    ----------
    name : str
        The name that skl2onnx gives the output of scikit-learn's estimators.
    kind : {'real', 'integer', 'string'}
        Numbers of the graph's floating-point type, int64, or strings.
    columns : int or None
        Width of a matrix with a row for each sample; None: one element for each sample.
    """

    name: str
    kind: str
    columns: int | None


def outputs_of(network: FittedNetwork, classes: NDArray[Any] | None) -> list[Output]:
    """Return the names, types and shapes of the results of `add_network`."""
    n_outputs = network.layers[-1].n_units
    if network.target == "values":
        return [Output("variable", "real", n_outputs)]
    if network.target == "input":
        return [
            Output("codes", "real", encoder_of(network).layers[-1].n_units),
            Output("reconstruction", "real", n_outputs),
        ]
    assert classes is not None
    n_classes = len(classes) if network.target == "binary" else n_outputs
    kind = "integer" if classes.dtype.kind == "i" else "string"
    return [
        Output("label", kind, n_classes if network.target == "multilabel" else None),
        Output("probabilities", "real", n_classes),
    ]


def add_network(
    graph: Graph, network: FittedNetwork, classes: NDArray[Any] | None, x: str, *, raw_scores: bool = False
) -> list[str]:
    """Add a network, and the nodes that compute the results of the estimator's methods from its outputs.

    Parameters
    ----------
    graph : Graph
        Receives the nodes.
    network : FittedNetwork
        The network.
    classes : ndarray of shape (n_classes,) or None
        Labels of a classifier, as `exported_classes` returns them; None: not a classifier.
    x : str
        The input, of shape (n_samples, n_features).
    raw_scores : bool, default=False
        Whether a classifier's second output is what `decision_function` returns, of binary problems with one column
        for each class: the negated score and the score.

    Returns
    -------
    list of str
        The values that `outputs_of` describes.
    """
    if network.target == "values":
        return [_add_layers(graph, network.layers, x)]
    if network.target == "input":
        encoder = encoder_of(network).layers
        codes = _add_layers(graph, encoder, x)
        return [codes, _add_layers(graph, network.layers[len(encoder) :], codes)]
    assert classes is not None
    if raw_scores:
        last = network.layers[-1]._replace(activation="identity")
        network = network._replace(layers=[*network.layers[:-1], last])
    if network.target == "multiclass":
        h, probabilities = _add_multiclass(graph, network.layers, x, raw_scores)
        index = graph.node("ArgMax", h, axis=1, keepdims=0)
        return [graph.node("Gather", graph.constant(classes), index), probabilities]
    h = _add_layers(graph, network.layers, x)
    threshold = graph.constant(0.0 if raw_scores else 0.5)
    above = graph.node("Cast", graph.node("Greater", h, threshold), to=TensorProto.INT64)
    if network.target == "multilabel":
        return [above, h]
    if len(classes) == 1:  # all training rows had the same class: that class is predicted
        only = graph.node("Mul", above, graph.constant(np.array([0])))
        ones = graph.node("Cast", graph.node("Equal", only, only), to=graph.element_type)
        label = graph.node("Gather", graph.constant(classes), _flattened(graph, only))
        return [label, h if raw_scores else ones]
    label = graph.node("Gather", graph.constant(classes), _flattened(graph, above))
    other = graph.node("Neg", h) if raw_scores else graph.node("Sub", graph.constant(1.0), h)
    return [label, graph.node("Concat", other, h, axis=1)]


def _flattened(graph: Graph, column: str) -> str:
    return graph.node("Reshape", column, graph.constant(np.array([-1])))


def _add_layers(graph: Graph, layers: list[FittedLayer], x: str) -> str:
    for layer in layers:
        coefs = np.split(layer.coef, layer.pieces, axis=1)
        intercepts = np.split(layer.intercept, layer.pieces)
        pieces = [
            graph.node("Gemm", x, graph.constant(coef), graph.constant(intercept))
            for coef, intercept in zip(coefs, intercepts, strict=True)
        ]
        a = activate(graph, layer.activation, *pieces)
        x = graph.node("Add", a, x) if layer.residual else a
    return x


def _add_multiclass(graph: Graph, layers: list[FittedLayer], x: str, raw_scores: bool) -> tuple[str, str]:
    """Add the outputs for exclusive classes, and the probabilities (or raw scores) made from them."""
    *hidden, last = layers
    if raw_scores or last.activation == "softmax":
        h = _add_layers(graph, layers, x)
        return h, h
    # One-vs-all outputs are divided by their sum, so small ones need full precision. If the sum is 0, all classes are
    # equally likely.
    h = logistic_precise(graph, _add_layers(graph, [*hidden, last._replace(activation="identity")], x))
    total = graph.node("ReduceSum", h, graph.constant(np.array([1])), keepdims=1)
    positive = graph.node("Greater", total, graph.constant(0.0))
    return h, graph.node("Where", positive, graph.node("Div", h, total), graph.constant(1 / last.n_units))


def encoder_of(network: FittedNetwork) -> FittedNetwork:
    """Return the part of an autoencoder that computes the codes."""
    return network._replace(layers=network.layers[: len(network.layers) // 2], target="values")


def exported_classes(classes: NDArray[Any]) -> NDArray[Any]:
    """Return class labels as types that ONNX supports: int64 or strings.

    Raises
    ------
    ValueError
        If the labels are neither integers (possibly stored as booleans or floating-point numbers) nor strings.
    """
    if classes.dtype.kind in "biuf":
        numbers = [int(label) for label in classes]
        if numbers == classes.tolist() and all(-(2**63) <= number < 2**63 for number in numbers):
            return np.array(numbers, np.int64)
    elif all(isinstance(label, str) for label in classes):
        return classes.astype(str)
    raise ValueError(f"Class labels must be integers or strings to be exported to ONNX, got {classes.tolist()}.")
