"""Checkpoints: files from which an interrupted training continues to the same bits.

A checkpoint is a zip archive of arrays, as `numpy.savez` writes it. One of the arrays contains a text in JSON. There
are no pickled objects, so reading a checkpoint from an untrusted source does not run code. Each array has a checksum in
the archive. The contents are compared with the requirements of the fit, because kernels do not check shapes of arrays.
"""

import json
import os
import threading
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ._network import Array

__all__ = [
    "FORMAT",
    "Snapshot",
    "generator_state",
    "read_checkpoint",
    "remove_leftovers",
    "restore_generator",
    "write_checkpoint",
]

FORMAT = 1  # of the file; a reader refuses any other
HEADER = "header"
BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
NUMBERS = "biuf"  # kinds of arrays that are allowed, besides records of them


class Snapshot(NamedTuple):
    """A training in progress.

    Attributes
    ----------
    header : dict
        Everything but the arrays: numbers, texts, lists and dictionaries.
    arrays : dict of str to ndarray
        They are written at once, not kept: later epochs change them.
    """

    header: dict[str, Any]
    arrays: dict[str, Array]


def write_checkpoint(path: Path, snapshot: Snapshot) -> None:
    """Write a checkpoint. At any moment, `path` is either the complete old file or the complete new file.

    The file is written under another name in the same folder and then renamed. Both the file and the folder are
    written to the disk before the function returns.

    Raises
    ------
    OSError
        If the disk is full, or if files cannot be written to the folder. The old file is kept.
    """
    header = np.frombuffer(json.dumps(snapshot.header).encode(), np.uint8)
    name = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        with open(name, "wb") as file:
            contents: dict[str, Any] = {HEADER: header, **snapshot.arrays}  # none is named as a parameter of `savez`
            np.savez(file, **contents)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        name.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # Windows cannot open folders; its renaming is written with the file system's journal
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def remove_leftovers(path: Path) -> None:
    """Remove unfinished files of processes that were killed while they wrote a checkpoint to `path`."""
    for file in path.parent.iterdir():
        rest = file.name.removeprefix(f"{path.name}.")
        process = rest.partition("-")[0]
        if rest != file.name and rest.endswith(".tmp") and process.isdecimal() and not _is_running(int(process)):
            file.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    """Whether another process with this number exists; True if this is unknown."""
    if process == os.getpid():  # the number was used before, as is common in containers
        return False
    if os.name != "posix":  # where signal 0 would end the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def read_checkpoint(path: Path) -> Snapshot:
    """Read a checkpoint.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is damaged or is not a checkpoint.
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(arrays.pop(HEADER).tobytes())
        if not isinstance(header, dict) or not all(_is_numeric(array.dtype) for array in arrays.values()):
            raise ValueError("it has other contents")
    except FileNotFoundError:
        raise FileNotFoundError(f"resume_from={str(path)!r}: there is no such file.") from None
    except (IsADirectoryError, PermissionError):
        raise
    except Exception as error:  # what zipfile, zlib, struct, json and NumPy raise for damaged files is not documented
        raise ValueError(f"resume_from={str(path)!r} is damaged or not a checkpoint of fastmlp: {error}") from error
    return Snapshot(header, arrays)


def _is_numeric(dtype: np.dtype[Any]) -> bool:
    return all(part.kind in NUMBERS for part, *_ in (dtype.fields or {"": (dtype, 0)}).values())


def generator_state(random: np.random.RandomState) -> dict[str, Any]:
    """Return the state of a generator in a form that JSON supports."""
    plain: dict[str, Any] = _without_arrays(random.get_state(legacy=False))
    return plain


def _without_arrays(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_arrays(part) for name, part in value.items()}
    if isinstance(value, np.ndarray):
        return {"dtype": value.dtype.str, "numbers": value.tolist()}
    return value.item() if isinstance(value, np.generic) else value


def restore_generator(state: Any, random: np.random.RandomState | None = None) -> np.random.RandomState:
    """Set `random`, or a new generator, to a state that `generator_state` has returned, and return it.

    Raises
    ------
    ValueError
        If the state is invalid, or belongs to another kind of generator than `random`.
    """
    try:
        name = state["bit_generator"]
        if name not in BIT_GENERATORS:
            raise ValueError(f"unknown bit generator {name!r}")
        restored = _with_arrays(state)
        # The kernels read words of the Mersenne Twister from this place on.
        if name == "MT19937" and not 0 <= restored["state"]["pos"] <= 624:
            raise ValueError("a position outside of the state")
        if random is None:
            random = np.random.RandomState(getattr(np.random, name)())
        random.set_state(restored)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"The checkpoint holds no valid state of the random generator: {error}") from error
    return random


def _with_arrays(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if set(value) == {"dtype", "numbers"}:
        return np.array(value["numbers"], value["dtype"])
    return {name: _with_arrays(part) for name, part in value.items()}
