"""Instruction-set levels of the precompiled kernels, and which of them a CPU supports."""

import os
import platform
from typing import NamedTuple

import llvmlite.binding as llvm

__all__ = ["LEVELS", "Level", "available_features", "best_level", "levels_of_this_machine"]


class Level(NamedTuple):
    """One instruction-set level.

    Attributes
    ----------
    name : str
        Name of the level, and of the file with its object code.
    machine : tuple of str
        Values of `platform.machine()` on machines of this architecture.
    cpu : str
        LLVM's name of the CPU to generate code for.
    features : tuple of str
        LLVM's names of the features that the code may use. The code runs only if the CPU has all of them.
    """

    name: str
    machine: tuple[str, ...]
    cpu: str
    features: tuple[str, ...]


_V3 = ("avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe", "popcnt", "sse4.2", "xsave")
_V4 = (*_V3, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
_X86 = ("x86_64", "AMD64")

# Best first. The two x86-64 levels are those of the System V ABI.
LEVELS = (
    Level("x86-64-v4", _X86, "x86-64-v4", _V4),
    Level("x86-64-v3", _X86, "x86-64-v3", _V3),
    Level("armv8-a", ("aarch64", "arm64"), "generic", ("neon", "fp-armv8")),
)


def levels_of_this_machine() -> list[Level]:
    """Return the levels for the architecture of this machine, including those that its CPU does not support."""
    return [level for level in LEVELS if platform.machine() in level.machine]


def available_features() -> set[str]:
    """Return the CPU features that code may use.

    These are the features of this machine, or those that `NUMBA_CPU_NAME` and `NUMBA_CPU_FEATURES` select for Numba.
    Precompiled code respects these variables, too.
    """
    if "NUMBA_CPU_NAME" in os.environ:
        named = os.environ.get("NUMBA_CPU_FEATURES", "").split(",")
        return {feature[1:] for feature in named if feature.startswith("+")} | (
            {"neon", "fp-armv8"} if platform.machine() in LEVELS[-1].machine else set()
        )
    return {name for name, present in llvm.get_host_cpu_features().items() if present}


def best_level() -> Level | None:
    """Return the best level that this machine, or the CPU named by `NUMBA_CPU_NAME`, supports, or None."""
    features = available_features()
    # Typical values of NUMBA_CPU_FEATURES for AVX2 omit the features that AVX2 implies, and those that the code does
    # not need.
    implied = {"avx2": {"f16c", "lzcnt", "movbe", "xsave", "avx", "popcnt", "sse4.2"}}
    if "NUMBA_CPU_NAME" in os.environ:
        for feature, others in implied.items():
            if feature in features:
                features |= others
    for level in levels_of_this_machine():
        if set(level.features) <= features:
            return level
    return None
