"""The instruction set for which the kernels are compiled, and the environment of a child process that uses another one.

Numba reads its target from environment variables when it is imported, so another instruction set needs a new process.
The variables are set for this process only. They include settings of the other libraries, so that all implementations
use the same instructions.
"""

import platform
from pathlib import Path

import numpy as np
from fastmlp.kernels._simd import VECTOR_BYTES

__all__ = ["CHOICES", "current", "environment", "file_name"]

AVX2 = "+avx2,+fma,+avx,+sse4.2,+bmi,+bmi2,+popcnt"
AVX512 = f"+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl,{AVX2},-prefer-256-bit"
NUMBA = {"avx2": ("haswell", AVX2), "avx512": ("skylake-avx512", AVX512)}
CHOICES = ("native", *NUMBA)
OTHERS = {
    "avx2": {
        "OPENBLAS_CORETYPE": "Haswell",
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
    },
    "avx512": {},
}
# By bytes of a vector. Only x86 has more than 16.
NAMES = {64: "avx512", 32: "avx2", 16: "sse"}


def current() -> str:
    """Return the instruction set that this process compiles for."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return NAMES[VECTOR_BYTES] if x86 else f"{platform.machine().lower()}, {8 * VECTOR_BYTES}-bit vectors"


def file_name(isa: str) -> str:
    """Return the name of the file that stores the full run of an instruction set."""
    return f"{''.join(c if c.isalnum() else '-' for c in isa)}.jsonl"


def environment(isa: str, cache: Path) -> dict[str, str]:
    """Return the environment variables that make a process use `isa`.

    Parameters
    ----------
    isa : {"native", "avx2", "avx512"}
    cache : Path
        Folder for the compiled kernels; every instruction set gets a folder in it.
    """
    if isa == "native":
        return {}
    name, features = NUMBA[isa]
    variables = {
        "NUMBA_CPU_NAME": name,
        "NUMBA_CPU_FEATURES": features,
        "NUMBA_CACHE_DIR": str(cache / isa),
        # Precompiled kernels are those of the processor.
        "FASTMLP_JIT": "1",
        **OTHERS[isa],
    }
    if isa == "avx2":
        found = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
        variables["NPY_DISABLE_CPU_FEATURES"] = " ".join(x for x in found if x.startswith(("AVX512", "X86_V4")))
    return {name: value for name, value in variables.items() if value}
