"""Cached kernels are not used after a change of any kernel file, and a missing cache is not an error."""

import ast
import contextlib
import io
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import fastmlp.kernels
import numpy as np
import pytest
from fastmlp.kernels import _compile
from fastmlp.kernels._jit import OPTIONS
from fastmlp.kernels._signatures import SIGNATURES
from fastmlp.kernels._sources import SOURCES, digest
from numba import cfunc
from sklearn.datasets import load_digits

KERNELS = Path(fastmlp.kernels.__file__).parent

# A linked kernel that compiles within a second. It replaces `link`.
PROBE = """
import numpy as np
from fastmlp.kernels._jit import linked_kernel
from fastmlp.kernels._memory import view
from fastmlp.kernels._signatures import prototype
from fastmlp.kernels.activations import leaky_relu_forward
from numba import types

@linked_kernel(types.float64)
def link(z, work, K, n):
    leaky_relu_forward(view(z, 0, 1))

b = np.full(1, -1.0)
prototype("link")(link.address)(b.ctypes.data, 0, 1, 1)
print(b[0], link.compiled.cache_hits)
"""


@pytest.fixture
def package(tmp_path):
    """A copy of the package, and a function that runs code with it in a new process."""
    ignore = shutil.ignore_patterns("__pycache__")
    copy = tmp_path / "copy" / "fastmlp"
    shutil.copytree(Path(fastmlp.__file__).parent, copy, ignore=ignore)
    shutil.copytree(KERNELS, copy / "kernels", ignore=ignore, dirs_exist_ok=True)

    def run(code, *options, **environment):
        (tmp_path / "copy" / "script.py").write_text(code)
        times = (0, 0)
        os.utime(tmp_path / "copy" / "script.py", times)
        environment = {"PYTHONPATH": str(copy.parent), "NUMBA_CACHE_DIR": str(tmp_path / "cache")} | environment
        # -B: Python's bytecode cache depends on file times, too.
        command = [sys.executable, "-B", *options, str(tmp_path / "copy" / "script.py")]
        result = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=1200)
        assert result.returncode == 0, result.stderr
        return result

    run.folder = copy
    return run


def test_edited_kernel_is_recompiled(package):
    """This also holds if the size and time of the file stay the same. Restoring the file restores the cached code."""
    (package.folder / "__init__.py").write_text("")  # the kernels need nothing of the package
    activations = package.folder / "kernels" / "activations.py"
    text, times = activations.read_text(), activations.stat()
    assert text.count("LEAKY_SLOPE = 0.01 ") == 1

    def edit(slope):
        activations.write_text(text.replace("LEAKY_SLOPE = 0.01 ", f"LEAKY_SLOPE = {slope} "))
        os.utime(activations, ns=(times.st_atime_ns, times.st_mtime_ns))
        return package(PROBE).stdout.split()

    assert edit("0.01") == ["-0.01", "0"]
    assert edit("0.01") == ["-0.01", "1"]
    assert edit("0.07") == ["-0.07", "0"]
    assert edit("0.01") == ["-0.01", "1"]


def captured(function):
    """Return the values of the closure variables of a function."""
    return [cell.cell_contents for cell in function.__closure__]


@pytest.mark.parametrize("output", [None, 0])
def test_kernels_close_over_digest_of_sources(output):
    kernels = _compile.declared("float64", output)
    assert kernels
    for name, kernel in kernels.items():
        assert name in SIGNATURES
        assert SOURCES in captured(kernel.function)


def test_every_declared_signature_has_a_kernel():
    assert {*_compile.declared("float64"), *_compile.declared("float64", 0)} == set(SIGNATURES)


def test_digest_depends_on_names_and_contents(tmp_path):
    digests = set()
    for name, text in (("a.py", "1"), ("a.py", "2"), ("b.py", "2"), ("a.py", "12")):
        folder = tmp_path / f"{name}{text}"
        folder.mkdir()
        (folder / name).write_text(text)
        digests.add(digest(folder))
    assert len(digests) == 4
    assert digest(KERNELS) == SOURCES


FIT = """
import numpy as np
from fastmlp import MLPClassifier
from sklearn.datasets import load_digits
X, y = load_digits(return_X_y=True)
X = X[:300].astype(np.float32) / 16
model = MLPClassifier(20, max_iter=2, batch_size=300, n_iter_no_change=1000, random_state=0)
for _ in range(2):
    model.partial_fit(X, y[:300], classes=range(10))
print(repr(model.predict_proba(X[:20]).tobytes()))
"""

PREDICT = """
import pickle
from pathlib import Path
model, X = pickle.loads(Path(FILE).read_bytes())
print(repr(model.predict_proba(X).tobytes()))
"""


# A prediction needs a third of the kernels.
@pytest.mark.parametrize("code", [PREDICT, pytest.param(FIT, marks=pytest.mark.slow)], ids=["predict", "fit"])
def test_missing_cache_folder_warns_once(code, package, tmp_path):
    """Every folder that Numba tries is below a regular file, so that even root cannot create it."""
    X, y = load_digits(return_X_y=True)
    X = X[:300].astype(np.float32) / 16
    model = fastmlp.MLPClassifier(20, random_state=0).partial_fit(X, y[:300], classes=range(10))
    (tmp_path / "model").write_bytes(pickle.dumps((model, X[:20])))
    code = code.replace("FILE", repr(str(tmp_path / "model")))
    for folder in (package.folder, package.folder / "kernels"):
        (folder / "__pycache__").write_text("not a folder")
    nowhere = str(tmp_path / "file" / "below")
    (tmp_path / "file").write_text("not a folder")
    places = {
        "NUMBA_CACHE_DIR": nowhere,
        "HOME": nowhere,
        "XDG_CACHE_HOME": nowhere,
        "LOCALAPPDATA": nowhere,
        "FASTMLP_JIT": "1",
    }
    without = package(code, **places)
    warnings = [line for line in without.stderr.splitlines() if "Warning" in line]
    assert len(warnings) == 1, without.stderr
    assert "RuntimeWarning: fastmlp cannot write its compiled kernels to disk" in warnings[0]
    assert "Set the environment variable NUMBA_CACHE_DIR to a writable folder" in warnings[0]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(code, {})
    assert without.stdout == said.getvalue()


def test_no_option_changes_rounding():
    """No fast-math flags, and no division that may raise, because LLVM would not vectorise it."""
    assert OPTIONS == {"nogil": True, "error_model": "numpy"}
    # Compile here, because code from the cache cannot be inspected.
    for dtype in ("float32", "float64"):
        kernel = _compile.declared(dtype)["gemm"]
        code = cfunc(kernel.signature, error_model=OPTIONS["error_model"])(kernel.function).inspect_llvm()
        assert "fmul" in code or "llvm.fma" in code
        for flag in ("fast ", "reassoc", "contract"):
            assert f" {flag}" not in code.split("!llvm")[0], flag


def numba_imports(path):
    """Return the names that a file imports from Numba."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "numba":
            yield from (name.name for name in node.names)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "numba":
            yield node.attr


def test_only_one_module_imports_decorators():
    """Therefore the options above apply to every kernel."""
    decorators = {"njit", "jit", "cfunc", "vectorize", "guvectorize", "prange", "stencil"}
    files = [*KERNELS.glob("*.py"), *Path(fastmlp.__file__).parent.rglob("*.py")]
    for path in {path.resolve() for path in files}:
        if path.name != "_jit.py":
            assert not decorators & set(numba_imports(path)), path.name
