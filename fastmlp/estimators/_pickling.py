"""The version of fastmlp in pickled estimators."""

import warnings

from fastmlp._version import __version__

__all__ = ["VERSION_KEY", "warn_if_newer"]

VERSION_KEY = "_fastmlp_version"  # in the state, beside the `_sklearn_version` of scikit-learn's estimators


def _minor_release(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split(".")[:2])


def warn_if_newer(estimator_name: str, pickled: str | None) -> None:
    """Warn if an estimator was pickled by a later minor release than the running one.

    Estimators of earlier releases are supported and cause no warning.

    Parameters
    ----------
    estimator_name : str
        Name of the class.
    pickled : str or None
        Version of fastmlp that pickled the estimator; None if it is unknown.
    """
    if pickled is not None and _minor_release(pickled) > _minor_release(__version__):
        warnings.warn(
            f"This {estimator_name} was pickled by fastmlp {pickled} and is loaded by fastmlp {__version__}; an "
            "earlier version may not support it. Install the version that pickled it.",
            UserWarning,
            stacklevel=3,
        )
