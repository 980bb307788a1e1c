"""Converters for skl2onnx, which converts whole pipelines."""

from typing import Any

import numpy as np

from fastmlp.estimators import FittedNetwork, MLPAutoencoder, MLPClassifier, MLPRegressor, fitted_network

from ._requirements import require

__all__ = ["convert", "register_skl2onnx"]

# As skl2onnx registers its converters of scikit-learn's classifiers.
CLASSIFIER_OPTIONS = {
    "zipmap": [True, False, "columns"],
    "output_class_labels": [False, True],
    "nocl": [True, False],
    # Estimators that use `decision_function`, such as CalibratedClassifierCV, set this one.
    "raw_scores": [True, False],
}


def _network_and_classes(scope: Any, model: Any) -> tuple[FittedNetwork, Any]:
    """Return the network to convert (of an autoencoder the half that `transform` uses) and the class labels."""
    from skl2onnx.common.utils_classifier import get_label_classes

    from ._network import encoder_of, exported_classes

    network = fitted_network(model)
    if isinstance(model, MLPClassifier):
        return network, exported_classes(get_label_classes(scope, model))
    return (encoder_of(network) if isinstance(model, MLPAutoencoder) else network), None


def _set_output_types(operator: Any) -> None:
    """Tell skl2onnx the types and shapes of the outputs of one estimator."""
    from skl2onnx.common import data_types
    from skl2onnx.common.utils import check_input_and_output_numbers, check_input_and_output_types

    from ._network import outputs_of

    inputs = [data_types.BooleanTensorType, data_types.FloatTensorType, data_types.Int64TensorType]
    check_input_and_output_numbers(operator, input_count_range=1)
    check_input_and_output_types(operator, good_input_types=[*inputs, data_types.DoubleTensorType])
    double = isinstance(operator.inputs[0].type, data_types.DoubleTensorType)
    types = {
        "real": data_types.DoubleTensorType if double else data_types.FloatTensorType,
        "integer": data_types.Int64TensorType,
        "string": data_types.StringTensorType,
    }
    rows = operator.inputs[0].get_first_dimension()
    outputs = outputs_of(*_network_and_classes(operator.scope_inst, operator.raw_operator))
    for output, variable in zip(outputs, operator.outputs, strict=True):
        shape = [rows] if output.columns is None else [rows, output.columns]
        variable.set_type(types[output.kind](shape))


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Convert one estimator. skl2onnx calls this function as a converter.

    Parameters
    ----------
    scope : skl2onnx.common._topology.Scope
        Gives names.
    operator : skl2onnx.common._topology.Operator
        Holds the estimator, its inputs and outputs.
    container : skl2onnx.common._container.ModelComponentContainer
        Receives nodes and constants.

    Examples
    --------
    It is the converter that fastmlp's estimators name to skl2onnx:

    >>> from fastmlp import MLPClassifier
    >>> from fastmlp.export import convert
    >>> MLPClassifier().onnx_converter() is convert
    True
    """
    from onnx import helper
    from skl2onnx.common.data_types import DoubleTensorType

    from ._graph import Graph
    from ._network import add_network

    double = isinstance(operator.inputs[0].type, DoubleTensorType)
    graph = Graph(np.float64 if double else np.float32, scope.get_unique_variable_name)
    x = graph.node("Cast", operator.inputs[0].full_name, to=graph.element_type)
    network, classes = _network_and_classes(scope, operator.raw_operator)
    raw_scores = (
        classes is not None and container.get_options(operator.raw_operator, {"raw_scores": False})["raw_scores"]
    )
    results = add_network(graph, network, classes, x, raw_scores=raw_scores)
    for result, variable in zip(results, operator.outputs, strict=True):
        graph.node("Identity", result, result=variable.full_name)
    for tensor in graph.constants:
        strings = list(tensor.string_data)
        container.add_initializer(tensor.name, tensor.data_type, list(tensor.dims), strings or tensor)
    for node in graph.nodes:
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        container.add_node(node.op_type, list(node.input), list(node.output), name=node.name, **attributes)


def register_skl2onnx() -> None:
    """Register the converters of fastmlp's estimators with skl2onnx.

    ``import fastmlp.export`` calls this function if skl2onnx is installed. `skl2onnx.to_onnx` and
    `skl2onnx.convert_sklearn` then convert pipelines and other estimators of scikit-learn that contain estimators of
    fastmlp. The options of `MLPClassifier` are 'zipmap', 'output_class_labels', 'nocl' and 'raw_scores', which have the
    same meaning as in skl2onnx. Repeated calls have no effect.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.

    Examples
    --------
    >>> from fastmlp.export import register_skl2onnx
    >>> register_skl2onnx()
    """
    require("skl2onnx")
    from skl2onnx import update_registered_converter

    for estimator in (MLPAutoencoder, MLPClassifier, MLPRegressor):
        update_registered_converter(
            estimator,
            f"Fastmlp{estimator.__name__}",
            _set_output_types,
            convert,
            options=CLASSIFIER_OPTIONS if estimator is MLPClassifier else None,
        )
