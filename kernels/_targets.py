"""Instruction-set levels that kernels are compiled for in advance, and which of them a CPU has."""

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
        Also the name of the file with the object code.
    machine : tuple of str
        What `platform.machine()` may say where it can run.
    cpu : str
        LLVM's name of the CPU that code is generated for.
    features : tuple of str
        LLVM's names of the features that the code may use; all of them are looked for before it is run.
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
    """Return the levels whose architecture is that of this machine, whether its CPU has their features or not."""
    return [level for level in LEVELS if platform.machine() in level.machine]


def available_features() -> set[str]:
    """Return the CPU features that code may use: those of this machine, or those that Numba is told to use.

    `NUMBA_CPU_NAME` and `NUMBA_CPU_FEATURES` restrict Numba to another CPU; precompiled code keeps to them as well.
    """
    if "NUMBA_CPU_NAME" in os.environ:
        named = os.environ.get("NUMBA_CPU_FEATURES", "").split(",")
        return {feature[1:] for feature in named if feature.startswith("+")} | (
            {"neon", "fp-armv8"} if platform.machine() in LEVELS[-1].machine else set()
        )
    return {name for name, present in llvm.get_host_cpu_features().items() if present}


def best_level() -> Level | None:
    """Return the best level that this machine, or the CPU named by `NUMBA_CPU_NAME`, has; None if there is none."""
    features = available_features()
    # Numba's usual list for AVX2 names neither the features that come with it nor those that the code does not need.
    implied = {"avx2": {"f16c", "lzcnt", "movbe", "xsave", "avx", "popcnt", "sse4.2"}}
    if "NUMBA_CPU_NAME" in os.environ:
        for feature, others in implied.items():
            if feature in features:
                features |= others
    for level in levels_of_this_machine():
        if set(level.features) <= features:
            return level
    return None
