"""Export of fitted estimators and pipelines to ONNX.

The extra ``onnx`` installs the required packages: ``pip install 'fastmlp[onnx]'``. Importing this package registers the
estimators of fastmlp with skl2onnx, if that is installed.
"""

from importlib.util import find_spec

from ._skl2onnx import convert, register_skl2onnx
from ._to_onnx import to_onnx

__all__ = ["convert", "register_skl2onnx", "to_onnx"]

if find_spec("skl2onnx") is not None:
    register_skl2onnx()
