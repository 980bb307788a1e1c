"""Check optional packages when they are needed. The error states how to install them."""

from importlib.util import find_spec

__all__ = ["require"]


def require(package: str) -> None:
    """Raise ImportError if `package`, a member of the extra ``onnx``, is not installed."""
    if find_spec(package) is None:
        raise ImportError(
            f"fastmlp.export needs the package {package!r}, which is not installed; "
            "`pip install 'fastmlp[onnx]'` installs it.",
            name=package,
        )
