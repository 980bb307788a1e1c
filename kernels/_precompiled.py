"""Loading of precompiled kernels, without Numba.

The package contains object code for each instruction-set level, and a manifest with the digest of the kernel sources
and a checksum of each file. The object code is used only if the digest matches the present sources, the checksum is
right and the CPU has every feature of the level. In all other cases, and with the environment variable
`FASTMLP_JIT=1`, kernels are compiled just in time.
"""

import functools
import hashlib
import json
import os
import warnings
from pathlib import Path
from typing import Any

from ._sources import SOURCES

__all__ = ["FOLDER", "MANIFEST", "Precompiled", "load", "symbol"]

FOLDER = Path(__file__).parent / "precompiled"
MANIFEST = "manifest.json"


def symbol(name: str, dtype: str, output: int | None = None) -> str:
    """Return the name of a kernel in the object code."""
    return f"fastmlp_{name}_{dtype}" + ("" if output is None else f"_{output}")


class Precompiled:
    """Object code of all kernels for one instruction-set level.

    Attributes
    ----------
    level : str
        Name of the level.
    """

    def __init__(self, level: str, code: bytes) -> None:
        import llvmlite.binding as llvm

        self.level = level
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine()
        self._engine: Any = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        self._engine.add_object_file(llvm.object_file.ObjectFileRef.from_data(code))
        self._engine.finalize_object()

    def address(self, name: str, dtype: str, output: int | None = None) -> int:
        """Return the address of a kernel."""
        return int(self._engine.get_function_address(symbol(name, dtype, output)))


@functools.cache
def load(folder: Path = FOLDER) -> Precompiled | None:
    """Return the precompiled kernels for this CPU, or None if there are none or they must not be used.

    Warns
    -----
    RuntimeWarning
        If a file is missing or damaged.
    """
    if os.environ.get("FASTMLP_JIT", "0") not in ("", "0"):
        return None
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(manifest, dict) or manifest.get("sources") != SOURCES:
        return None
    import llvmlite.binding as llvm

    from ._targets import best_level

    level = best_level()
    if level is None or level.name not in manifest["objects"] or manifest["triple"] != llvm.get_process_triple():
        return None
    path = folder / f"{level.name}.o"
    try:
        code = path.read_bytes()
    except OSError:
        code = b""
    if hashlib.sha256(code).hexdigest() != manifest["objects"][level.name]:
        warnings.warn(
            f"The precompiled kernels in {path} are missing or damaged, so fastmlp compiles its kernels just in time "
            "(some seconds). Reinstall fastmlp, or run `python -m fastmlp.kernels build`.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return Precompiled(level.name, code)
