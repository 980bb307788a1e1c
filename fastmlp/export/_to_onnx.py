"""Convert a fitted estimator or pipeline to an ONNX model."""

from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils.validation import check_is_fitted

from fastmlp.estimators import FittedNetwork, MLPAutoencoder, MLPClassifier, MLPRegressor, fitted_network

from ._requirements import require
from ._skl2onnx import register_skl2onnx

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["to_onnx"]

OLDEST_OPSET, NEWEST_OPSET = 13, 22  # those that the tests cover; 22 is also the newest that skl2onnx 1.20 supports
DEFAULT_OPSET = 18  # old enough for ONNX Runtime 1.15 (May 2023), the oldest one tried


def to_onnx(
    model: BaseEstimator,
    X: Any = None,
    *,
    path: str | PathLike[str] | None = None,
    target_opset: int = DEFAULT_OPSET,
    zipmap: bool | str = False,
) -> "ModelProto":
    """Convert a fitted estimator or pipeline to ONNX.

    The input of the graph is named ``X``. The outputs have the names, types and shapes that skl2onnx gives
    scikit-learn's estimators:

    - classifiers: ``label`` of shape (n_samples,), int64 or strings; ``probabilities`` of shape (n_samples, n_classes).
      For label indicators ``label`` has the shape (n_samples, n_classes);
    - regressors: ``variable`` of shape (n_samples, n_outputs);
    - `MLPAutoencoder`: ``codes`` and ``reconstruction``;
    - pipelines that end with a transformer: ``variable``, the result of `transform`.

    Parameters
    ----------
    model : estimator
        A fitted `MLPClassifier`, `MLPRegressor` or `MLPAutoencoder`; or a fitted pipeline or other estimator that
        skl2onnx can convert.
    X : array-like of shape (n_samples, n_features), default=None
        Example of the input; one row is enough. Only its type and columns are used: the graph computes in float32 if X
        is float32, otherwise in float64. None: the type of the fitted weights; not allowed for pipelines.
    path : str or path-like, default=None
        File to write the model to.
    target_opset : int, default=18
        Version of ONNX's operators, from 13 to 22.
    zipmap : bool or 'columns', default=False
        skl2onnx's option for classifiers. False: the probabilities are one tensor. True: they are a list with a
        dictionary for each row. 'columns': there is an output for each class.

    Returns
    -------
    onnx.ModelProto
        The model. `onnxruntime.InferenceSession` accepts ``model.SerializeToString()``.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If `model` is not fitted.
    TypeError
        If `model` is not an estimator, or if skl2onnx has no converter for it or for one of its parts.
    ValueError
        If a parameter is invalid, X does not fit the model, or the class labels are neither integers nor strings.
    NotImplementedError
        If a function of the network has no translation to ONNX.
    OSError
        If `path` cannot be written.
    ImportError
        If onnx is not installed, or skl2onnx for pipelines and `zipmap`.

    See Also
    --------
    register_skl2onnx : Lets `skl2onnx.to_onnx` convert fastmlp's estimators.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from fastmlp import MLPClassifier
    >>> from fastmlp.export import to_onnx
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = MLPClassifier(5, "silu", solver="lbfgs", random_state=0).fit(X, y)
    >>> onnx_model = to_onnx(clf, X[:1].astype(np.float32))
    >>> [output.name for output in onnx_model.graph.output]
    ['label', 'probabilities']
    """
    if not isinstance(model, BaseEstimator):
        raise TypeError(f"model must be a fitted estimator, got {type(model).__name__}.")
    if (
        not isinstance(target_opset, int)
        or isinstance(target_opset, bool)
        or not OLDEST_OPSET <= target_opset <= NEWEST_OPSET
    ):
        raise ValueError(
            f"target_opset must be an integer from {OLDEST_OPSET} to {NEWEST_OPSET}, got {target_opset!r}."
        )
    if zipmap not in (True, False, "columns"):
        raise ValueError(f"zipmap must be True, False or 'columns', got {zipmap!r}.")
    if zipmap and not is_classifier(model):
        raise ValueError(f"zipmap={zipmap!r} is for classifiers, got {type(model).__name__}.")
    check_is_fitted(model)
    require("onnx")
    if type(model) in (MLPAutoencoder, MLPClassifier, MLPRegressor) and not zipmap:
        onnx_model = _convert_network(model, X, target_opset)
    else:
        onnx_model = _convert_with_skl2onnx(model, X, target_opset, zipmap)
    if path is not None:
        try:
            with open(path, "wb") as file:
                file.write(onnx_model.SerializeToString())
        except OSError as error:
            raise OSError(error.errno, f"The ONNX model cannot be written: {error.strerror}", str(path)) from error
    return onnx_model


def _input_dtype(network: FittedNetwork, X: Any) -> np.dtype[Any]:
    """Return the type of the computation after checking the columns of X."""
    if X is None:
        return network.dtype
    if not hasattr(X, "shape"):
        X = np.asarray(X)
    n_features = network.layers[0].coef.shape[0]
    if len(X.shape) != 2 or X.shape[1] != n_features:
        raise ValueError(f"X must have the shape (n_samples, {n_features}), got {tuple(X.shape)}.")
    dtypes = X.dtypes if hasattr(X, "dtypes") else [X.dtype]  # of a DataFrame: one for each column
    return np.dtype(np.float32 if all(dtype == np.float32 for dtype in dtypes) else np.float64)


def _convert_network(model: Any, X: Any, opset: int) -> "ModelProto":
    """Convert an estimator of fastmlp."""
    from onnx import TensorProto

    from ._graph import Graph, model_of
    from ._network import add_network, exported_classes, outputs_of

    network = fitted_network(model)
    classes = exported_classes(model.classes_) if isinstance(model, MLPClassifier) else None
    graph = Graph(_input_dtype(network, X))
    types = {"real": graph.element_type, "integer": TensorProto.INT64, "string": TensorProto.STRING}
    outputs = {}
    for result, output in zip(add_network(graph, network, classes, "X"), outputs_of(network, classes), strict=True):
        graph.node("Identity", result, result=output.name)
        outputs[output.name] = types[output.kind], output.columns
    return model_of(graph, network.layers[0].coef.shape[0], outputs, opset)


def _convert_with_skl2onnx(model: BaseEstimator, X: Any, opset: int, zipmap: bool | str) -> "ModelProto":
    """Convert an estimator for which skl2onnx has a converter."""
    register_skl2onnx()
    import skl2onnx
    from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator

    if X is None:
        raise ValueError(f"X must be given to convert {type(model).__name__}: it determines the input of the graph.")
    options = {id(model): {"zipmap": zipmap}} if is_classifier(model) else None
    try:
        return skl2onnx.to_onnx(model, X[:1], target_opset=opset, options=options)
    except (MissingConverter, MissingShapeCalculator) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise TypeError(f"skl2onnx cannot convert {type(model).__name__}: {reason}.") from error
