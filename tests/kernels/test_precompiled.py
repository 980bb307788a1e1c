"""Precompiled kernels give the same bits as JIT-compiled ones, and are used only for the same sources and CPU."""

import json
import os
import shutil
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from fastmlp.kernels import _precompiled, _targets
from fastmlp.kernels._precompiled import FOLDER, MANIFEST, load
from fastmlp.kernels._signatures import SIGNATURES
from fastmlp.kernels._sources import SOURCES
from fastmlp.kernels._targets import LEVELS, best_level, levels_of_this_machine
from fastmlp.kernels.build import build
from fastmlp.kernels.tables import OUTPUTS

import fastmlp

KERNELS = Path(fastmlp.kernels.__file__).parent
SHT_RELA, R_X86_64_64, R_X86_64_PC64 = 4, 1, 24  # of the ELF format
HASWELL = "+avx2,+fma,+avx,+sse4.2,+bmi,+bmi2,+popcnt"

# Prints what compiled the kernels, whether Numba was imported, and a hash of all weights.
HASH_FOR_DTYPES = """
import hashlib, sys, warnings
import numpy as np
from sklearn.datasets import load_digits, load_diabetes
from fastmlp import MLPAutoencoder, MLPClassifier, MLPRegressor
from fastmlp.kernels import _link
warnings.simplefilter("ignore")
X, y = load_digits(return_X_y=True)
X, y = X[:300] / 16, y[:300]
D, t = load_diabetes(return_X_y=True)
digest = hashlib.sha256()
for dtype in DTYPES:
    fits = [
        MLPClassifier((33, 20), ["tanh", "maxout"], max_iter=3, random_state=0, n_jobs=2).fit(X.astype(dtype), y),
        MLPClassifier((33, 33), "gelu", solver="sgd", batch_norm=True, residual=True, max_iter=3, random_state=0,
                      out_activation="logistic").fit(X.astype(dtype), y),
        MLPRegressor(hidden_layer_sizes=9, solver="lbfgs", max_iter=5, random_state=0).fit(D.astype(dtype), t),
        MLPRegressor("poisson", 9, early_stopping=True, max_iter=4, random_state=0).fit(D.astype(dtype), t),
        MLPAutoencoder((9,), tied_weights=True, max_iter=3, random_state=0).fit(X.astype(dtype)),
    ]
    for fit in fits:
        for array in (*fit.coefs_, *fit.intercepts_):
            digest.update(array.tobytes())
    digest.update(fits[0].predict_proba(X.astype(dtype)).tobytes())
precompiled = _link.load()
print(precompiled.level if precompiled else "JIT", "numba" in sys.modules, digest.hexdigest())
"""
HASH = HASH_FOR_DTYPES.replace("DTYPES", '("float32", "float64")')


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with object code of the current sources, from the installation or built here."""
    if (FOLDER / MANIFEST).exists() and json.loads((FOLDER / MANIFEST).read_text())["sources"] == SOURCES:
        return FOLDER
    folder = tmp_path_factory.mktemp("precompiled")
    build(folder)
    return folder


def copy_of_package(folder, root):
    """Copy the package with precompiled kernels and return a function that runs code with it in a new process."""
    ignore = shutil.ignore_patterns("__pycache__", "precompiled", "kernels")
    copy = root / "copy" / "fastmlp"
    shutil.copytree(Path(fastmlp.__file__).parent, copy, ignore=ignore)
    shutil.copytree(KERNELS, copy / "kernels", ignore=ignore)
    shutil.copytree(folder, copy / "kernels" / "precompiled")

    def run(code, **environment):
        environment = {"PYTHONPATH": str(copy.parent), "NUMBA_CACHE_DIR": str(root / "cache")} | environment
        command = [sys.executable, "-B", "-c", code]
        done = subprocess.run(
            command, env=os.environ | environment, cwd=root, capture_output=True, text=True, timeout=1200
        )
        assert done.returncode == 0, done.stderr
        return done

    run.folder = copy
    return run


@pytest.fixture
def package(folder, tmp_path):
    """A copy of the package for tests that change its sources."""
    return copy_of_package(folder, tmp_path)


@pytest.fixture(scope="module")
def shared(folder, tmp_path_factory):
    return copy_of_package(folder, tmp_path_factory.mktemp("shared"))


@pytest.fixture
def package_with_cache(folder, shared):
    """A copy of the package whose cache holds the kernels that earlier tests have compiled; compiling takes 20 s."""
    yield shared
    shutil.copytree(folder, shared.folder / "kernels" / "precompiled", dirs_exist_ok=True)


# Compiling takes 15 s for each dtype. test_jit.py compares the bits of predictions in float32.
@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=pytest.mark.slow), "float64"])
def test_bits_do_not_depend_on_compilation(dtype, package_with_cache):
    code = HASH_FOR_DTYPES.replace("DTYPES", f"[{dtype!r}]")
    environments = [
        {},
        {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": HASWELL},
        {"FASTMLP_JIT": "1"},
        {"FASTMLP_JIT": "1"},  # from the cache
    ]
    results = [package_with_cache(code, **environment).stdout.split() for environment in environments]
    best = best_level()
    assert results[0][:2] == [best.name, "False"] if best else ["JIT", "True"]
    if "x86-64-v3" in {level.name for level in levels_of_this_machine()}:
        assert results[1][:2] == ["x86-64-v3", "False"]
    assert [result[:2] for result in results[2:]] == [["JIT", "True"]] * 2
    assert len({result[2] for result in results}) == 1


def test_unsupported_cpu_compiles_just_in_time(package_with_cache):
    done = package_with_cache(
        "from fastmlp.kernels import _link; print(_link.load())",
        NUMBA_CPU_NAME="generic",
        NUMBA_CPU_FEATURES="+fma,+avx",
    )
    assert done.stdout == "None\n"


def test_outdated_object_code_is_not_used(package):
    path = package.folder / "kernels" / "activations.py"
    assert package("from fastmlp.kernels import _link; print(_link.load() is None)").stdout == "False\n"
    path.write_text(path.read_text().replace("LEAKY_SLOPE = 0.01 ", "LEAKY_SLOPE = 0.02 "))
    done = package("from fastmlp.kernels import _link; print(_link.load() is None)")
    assert (done.stdout, done.stderr) == ("True\n", "")


FIT = """
from sklearn.datasets import load_iris
from fastmlp import MLPClassifier
from fastmlp.kernels import _link
X, y = load_iris(return_X_y=True)
for _ in range(2):
    MLPClassifier(5, solver="lbfgs", max_iter=200, alpha=1, random_state=0).fit(X, y).predict(X)
print(_link.load())
"""


@pytest.mark.parametrize("damage", ["cut short", "one byte", "gone"])
def test_damaged_object_code_warns_once_and_recompiles(damage, package_with_cache):
    for path in (package_with_cache.folder / "kernels" / "precompiled").glob("*.o"):
        code = bytearray(path.read_bytes())
        code[len(code) // 2] ^= 1
        path.write_bytes(code[:1000] if damage == "cut short" else code)
        if damage == "gone":
            path.unlink()
    done = package_with_cache(FIT)
    assert done.stdout == "None\n"
    assert done.stderr.count("RuntimeWarning") == 1
    assert "are missing or damaged" in done.stderr
    assert "python -m fastmlp.kernels build" in done.stderr


@pytest.mark.parametrize("text", ["", "{", "null", '{"sources": "0"}'])
def test_invalid_manifest_is_ignored(text, tmp_path):
    (tmp_path / MANIFEST).write_text(text)
    assert load(tmp_path) is None


def test_read_only_installation_without_cache_compiles_nothing(package):
    nowhere = str(package.folder / "__init__.py" / "below")  # below a file, so not even root can create it
    places = dict.fromkeys(("NUMBA_CACHE_DIR", "HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"), nowhere)
    for path in [package.folder, *package.folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    done = package(HASH, **places)
    if best_level():
        assert done.stdout.split()[:2] == [best_level().name, "False"]
    assert done.stderr == ""


def test_object_code_contains_all_kernels(folder):
    kernels = load(folder)
    if kernels is None:
        pytest.skip("this CPU has no level that is compiled in advance")
    of_outputs = {"output_error", "link"}
    for dtype in ("float32", "float64"):
        for name in SIGNATURES:
            outputs = [row.code for row in OUTPUTS.values()] if name in of_outputs else [None]
            assert all(kernels.address(name, dtype, output) for output in outputs)


def test_object_code_calls_no_function_of_numba(folder):
    """Regression test: a kernel counted references to an array, so the first call of any kernel crashed."""
    for path in folder.glob("*.o"):
        assert b"NRT_" not in path.read_bytes()


def test_level_matches_cpu_features(monkeypatch):
    monkeypatch.delenv("NUMBA_CPU_NAME", raising=False)
    for present, machine, expected in (
        (LEVELS[0].features, "x86_64", "x86-64-v4"),
        (LEVELS[0].features[:-1], "x86_64", "x86-64-v3"),
        (LEVELS[1].features, "AMD64", "x86-64-v3"),
        (LEVELS[1].features[:-1], "x86_64", None),
        (LEVELS[2].features, "arm64", "armv8-a"),
        (LEVELS[2].features, "riscv64", None),
    ):
        features = dict.fromkeys(present, True) | {"sse4a": False}
        monkeypatch.setattr(_targets.llvm, "get_host_cpu_features", lambda features=features: features)
        monkeypatch.setattr(_targets.platform, "machine", lambda machine=machine: machine)
        level = best_level()
        assert (level.name if level else None) == expected


def test_environment_variable_forces_jit(monkeypatch):
    monkeypatch.setenv("FASTMLP_JIT", "1")
    assert _precompiled.load.__wrapped__() is None


def test_second_build_compiles_nothing(folder, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        paths = build(folder)
    assert {path.name for path in paths} == {MANIFEST, *(f"{level.name}.o" for level in levels_of_this_machine())}


def test_concurrent_processes_compile_nothing(package_with_cache):
    code = HASH.replace("precompiled = ", "assert 'numba' not in sys.modules\nprecompiled = ")
    if best_level() is None:
        pytest.skip("this CPU has no level that is compiled in advance")
    environment = os.environ | {"PYTHONPATH": str(package_with_cache.folder.parent)}
    both = [
        subprocess.Popen([sys.executable, "-B", "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=1200)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert outputs[0] == outputs[1]
    assert np.all([line.split()[1] == "False" for line in outputs])


@pytest.mark.skipif(sys.platform != "linux" or os.uname().machine != "x86_64", reason="reads ELF files of x86-64")
def test_sections_may_be_far_apart(folder):
    """In workers of Ray, whose object store is mapped between two sections, 32-bit relocations aborted the process."""
    for path in folder.glob("*.o"):
        data = path.read_bytes()
        (table,) = struct.unpack_from("<Q", data, 40)
        size, count = struct.unpack_from("<HH", data, 58)
        kinds = set()
        for header in range(table, table + size * count, size):
            kind, offset, length = struct.unpack_from("<4xI16xQQ", data, header)
            if kind == SHT_RELA:
                kinds |= {
                    info & 0xFFFFFFFF for _, info, _ in struct.iter_unpack("<QQq", data[offset : offset + length])
                }
        assert kinds
        assert kinds <= {R_X86_64_64, R_X86_64_PC64}
