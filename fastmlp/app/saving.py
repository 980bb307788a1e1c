"""Save and load models and metrics."""

from __future__ import annotations

import json
import sys
import warnings
import zipfile
from pathlib import Path
from typing import Any

import joblib
import sklearn

from fastmlp.app import UserError
from fastmlp.app.wording import first_line

METRICS = "metrics.json"
FORMATS = ("skops", "joblib")

# Types in the saved models that skops does not trust by default. All types of fastmlp are trusted as well.
TRUSTED = {
    "functools.partial",
    "numpy.dtype",
    "numpy.number",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.model_selection._split.KFold",
    "sklearn.utils.validation.check_array",
}


def check_format(form: str) -> None:
    """Raise a UserError if the package for this format is not installed."""
    if form == "skops":
        try:
            import skops.io  # noqa: F401
        except ImportError as error:
            raise UserError('model.skops needs skops: pip install "fastmlp[app]", or choose --format joblib') from error


def save_model(model: Any, path: Path) -> None:
    """Save a model. The suffix of `path`, ``.skops`` or ``.joblib``, selects the format."""
    try:
        if path.suffix == ".skops":
            import skops.io

            skops.io.dump(model, path)
        else:
            joblib.dump(model, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error


def load_model(path: Path) -> Any:
    """Load a model that ``fit`` saved. The format is detected from the content of the file."""
    try:
        if not path.is_file():
            raise UserError(f"cannot read {path}: {'it is a folder' if path.is_dir() else 'no such file'}")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = _load_skops(path) if zipfile.is_zipfile(path) else joblib.load(path)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or first_line(error)}") from error
    except Exception as error:  # unpickling a file that is not a model can raise any exception
        raise UserError(f"{path} is not a model that fit saved ({first_line(error)})") from error
    versions = [str(warning.message) for warning in caught if hasattr(warning.message, "original_sklearn_version")]
    preparation = getattr(model, "named_steps", {}).get("prepare")
    if not hasattr(preparation, "new_categories"):
        raise UserError(f"{path} contains a {type(model).__name__}, not a model that fit saved")
    if versions:
        print(
            f"{path} was saved with another version of scikit-learn than {sklearn.__version__}; predictions may differ",
            file=sys.stderr,
        )
    return model


def _load_skops(path: Path) -> Any:
    try:
        import skops.io
    except ImportError as error:
        raise UserError(f'{path} needs skops: pip install "fastmlp[app]"') from error
    types = skops.io.get_untrusted_types(file=path)
    strange = [name for name in types if name not in TRUSTED and not name.startswith("fastmlp.")]
    if strange:
        raise UserError(f"{path} contains {strange[0]}, which models saved by fit do not contain; it was not loaded")
    return skops.io.load(path, trusted=types)


def save_metrics(results: dict[str, Any], folder: Path) -> None:
    """Write the results, from which the report is made, as JSON."""
    write_text(folder / METRICS, json.dumps(results, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def load_metrics(folder: Path) -> dict[str, Any]:
    """Read the results that `save_metrics` has written."""
    path = folder / METRICS
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; fit writes it") from error
    except ValueError as error:
        raise UserError(f"{path} is not a file that fit wrote ({first_line(error)})") from error
    if not isinstance(results, dict) or results.get("format") != 1:
        raise UserError(f"{path} was not written by fit of this version")
    return results


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
