"""Ahead-of-time compilation of all kernels to object code for each instruction-set level.

`python -m fastmlp.kernels build` runs it, and so does the installation of the package. A separate process compiles for
each level, because Numba reads the target CPU from environment variables when it is imported.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from ._arrays import DTYPES
from ._precompiled import FOLDER, MANIFEST, symbol
from ._signatures import SIGNATURES
from ._sources import SOURCES
from ._targets import LEVELS, Level, levels_of_this_machine
from .tables import OUTPUTS

__all__ = ["build", "main"]


def _wrapper(symbol_name: str, kernel: str, dtype: str, function: str) -> str:
    """Return LLVM assembly of a C function that calls a function compiled by Numba.

    The first two parameters of Numba's functions are pointers to the result and to an exception, and they return a
    status. Kernels raise no exceptions, so the wrapper ignores all three.
    """
    number = {"float32": "float", "float64": "double"}[dtype]
    kinds = {"int": "i64", "float": "double", "number*": f"{number}*"}
    types = [kinds.get(kind, "ptr") for _, kind in SIGNATURES[kernel]]
    types = ["ptr" if kind.endswith("*") else kind for kind in types]
    taken = ", ".join(f"{kind} %a{i}" for i, kind in enumerate(types))
    declared = ", ".join(["ptr", "ptr", *types])
    return f"""
declare i32 @{function}({declared})
define void @{symbol_name}({taken}) {{
  %result = alloca ptr
  %exception = alloca ptr
  %status = call i32 @{function}(ptr %result, ptr %exception{", " if types else ""}{taken})
  ret void
}}
"""


def _compile_here(path: Path) -> None:
    """Compile every kernel for the CPU of this process and write the object code to `path`."""
    import llvmlite.binding as llvm
    from numba import config
    from numba.core.codegen import get_host_cpu_features

    from ._compile import declared

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    everything = llvm.parse_assembly("")
    exported = []
    for dtype in DTYPES:
        groups: list[tuple[int | None, Any]] = [(None, declared(dtype))]
        groups += [(row.code, declared(dtype, row.code)) for row in OUTPUTS.values()]
        for output, kernels in groups:
            for name, kernel in kernels.items():
                text, function = kernel.assembly()
                exported.append(symbol(name, dtype, output))
                everything.link_in(llvm.parse_assembly(text))
                quoted = function if re.fullmatch(r"[\w.$]+", function) else f'"{function}"'
                everything.link_in(llvm.parse_assembly(_wrapper(exported[-1], name, dtype, quoted)))
    for function in everything.functions:
        if not function.is_declaration and function.name not in exported:
            function.linkage = "internal"
    for variable in everything.global_variables:
        if not variable.is_declaration:
            variable.linkage = "internal"
    cpu = config.CPU_NAME or llvm.get_host_cpu_name()
    features = get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
    # The loader may place sections more than 2 GB apart, where 32-bit relocations abort the process: the code model has
    # 64-bit ones, as Numba's own JIT has.
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(
        cpu=cpu, features=features, opt=3, reloc="static", codemodel="jitdefault"
    )
    # The functions are already optimised. It remains to inline them into their wrappers and to remove unused ones.
    options = llvm.create_pipeline_tuning_options(speed_level=1)
    builder = llvm.create_pass_builder(machine, options)
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(everything, builder)
    everything.verify()
    unknown = [f.name for f in everything.functions if f.is_declaration and f.name.startswith(("NRT_", "Py", "numba"))]
    if unknown:
        # Their addresses are known to Numba only. A program that loads the object code would crash.
        raise RuntimeError(f"kernels call functions of Numba or Python: {', '.join(unknown)}")
    path.write_bytes(machine.emit_object(everything))


def build(folder: Path | None = None, levels: tuple[Level, ...] | None = None) -> list[Path]:
    """Compile all kernels for the instruction-set levels of this machine's architecture.

    Parameters
    ----------
    folder : Path, default=None
        Folder for the object code and its manifest. None means the folder that the package loads them from.
    levels : tuple of Level, default=None
        None means all levels of this architecture, including those that this CPU does not support.

    Returns
    -------
    list of Path
        The manifest and the object files.

    Raises
    ------
    subprocess.CalledProcessError
        If the compilation of a level fails; its output shows the reason.
    """
    import llvmlite.binding as llvm

    folder = FOLDER if folder is None else folder
    levels = tuple(levels_of_this_machine()) if levels is None else levels
    manifest = folder / MANIFEST
    content = {"sources": SOURCES, "triple": llvm.get_process_triple(), "objects": {}}
    paths = [folder / f"{level.name}.o" for level in levels]
    if _is_up_to_date(manifest, paths, content):
        return [manifest, *paths]
    folder.mkdir(parents=True, exist_ok=True)
    manifest.unlink(missing_ok=True)  # first, because without a manifest no file in the folder is used
    running = []
    for level, path in zip(levels, paths, strict=True):
        features = ",".join([*(f"+{name}" for name in level.features), *EXTRA.get(level.name, ())])
        environment = os.environ | {"NUMBA_CPU_NAME": level.cpu, "NUMBA_CPU_FEATURES": features, "FASTMLP_JIT": "1"}
        command = [sys.executable, "-m", __package__, "compile", str(path)]
        running.append(subprocess.Popen(command, env=environment))
    for process in running:
        if process.wait() != 0:
            raise subprocess.CalledProcessError(process.returncode, process.args)
    content["objects"] = {path.stem: _checksum(path) for path in paths}
    temporary = manifest.with_suffix(".tmp")
    temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    temporary.replace(manifest)
    return [manifest, *paths]


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_up_to_date(manifest: Path, paths: list[Path], content: dict[str, Any]) -> bool:
    """Whether the files were compiled from the present sources."""
    try:
        return bool(json.loads(manifest.read_text()) == content | {"objects": {p.stem: _checksum(p) for p in paths}})
    except (OSError, ValueError):
        return False


# LLVM's generic AVX-512 target avoids 512-bit vectors, because they reduce the clock rate of early AVX-512 CPUs.
EXTRA = {"x86-64-v4": ("-prefer-256-bit",)}


def main(arguments: list[str] | None = None) -> int:
    """Run `python -m fastmlp.kernels`."""
    parser = argparse.ArgumentParser(prog="python -m fastmlp.kernels", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="compile all kernels in advance, for each instruction-set level")
    building.add_argument("--folder", type=Path, default=FOLDER, help="folder for the object code")
    building.add_argument("--level", action="append", choices=[level.name for level in LEVELS], help="only this level")
    compiling = commands.add_parser("compile", help="compile for the CPU of this process (used by build)")
    compiling.add_argument("path", type=Path)
    given = parser.parse_args(arguments)
    if given.command == "compile":
        _compile_here(given.path)
        return 0
    levels = tuple(level for level in LEVELS if level.name in given.level) if given.level else None
    for path in build(given.folder, levels):
        sys.stdout.write(f"{path} ({path.stat().st_size / 1024:.0f} KiB)\n")
    return 0
