"""Every public name has an example that runs, and a page in the API reference."""

import doctest
import importlib
import inspect
import pkgutil
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

import fastmlp

API = Path(__file__).parents[2] / "docs" / "api"
INTERNAL = {"app", "estimators", "kernels", "training"}
EXTRAS = {"fastmlp.distributed": ("dask", "distributed"), "fastmlp.export": ("onnx", "skl2onnx")}
MISSING = {name for name, needed in EXTRAS.items() if not all(map(find_spec, needed))}
PACKAGES = [
    "fastmlp",
    *(f"fastmlp.{p.name}" for p in pkgutil.iter_modules(fastmlp.__path__) if p.ispkg and p.name not in INTERNAL),
    "fastmlp.reference.loops",
    "fastmlp.reference.vectorized",
]
PUBLIC = [
    (package, name)
    for package in PACKAGES
    if package not in MISSING
    for name in importlib.import_module(package).__all__
]
# Methods that scikit-learn or another library calls.
CALLED_BY_OTHERS = {
    *("onnx_converter", "new_target_encoder"),
    *("setup", "teardown", "on_fit_task_begin", "on_fit_task_end", "after_epoch"),
}
# Override an inherited method to refuse it.
NOT_SUPPORTED = {("fastmlp.distributed", name) for name in ("partial_fit", "set_callbacks")}
parser = doctest.DocTestParser()


def examples(*documented):
    """Return the source of all examples in some docstrings."""
    docstrings = [inspect.getdoc(one) or "" for one in documented]
    return "".join(example.source for text in docstrings for example in parser.get_examples(text))


@pytest.mark.parametrize(("package", "name"), PUBLIC)
def test_public_name_has_an_example(package, name):
    found = getattr(importlib.import_module(package), name)
    if inspect.isclass(found) or inspect.isfunction(found):
        assert re.search(rf"\b{name}\b", examples(found)), "no example, or one that does not use the name"
        # The number of blank lines and indentation matter for the help in a terminal, so look at the sections only.
        assert "Examples\n--------\n" in inspect.getdoc(found)
    else:
        assert isinstance(found, (str, dict)) or inspect.ismodule(found)


@pytest.mark.parametrize("package", sorted({package for package, _ in PUBLIC}))
def test_package_has_a_docstring(package):
    assert inspect.getdoc(importlib.import_module(package))


CLASSES = [
    (package, name) for package, name in PUBLIC if inspect.isclass(getattr(importlib.import_module(package), name))
]


@pytest.mark.parametrize(("package", "name"), CLASSES)
def test_methods_are_used_in_an_example(package, name):
    """An example of the class or of the method calls every method that is written here."""
    found = getattr(importlib.import_module(package), name)
    methods = {
        key: value
        for key, value in inspect.getmembers(found, callable)
        if not key.startswith("_")
        and key not in CALLED_BY_OTHERS
        and (package, key) not in NOT_SUPPORTED
        and (getattr(inspect.unwrap(value), "__module__", None) or "").startswith("fastmlp")
    }
    called = set(re.findall(r"\.(\w+)\(", examples(found, *methods.values())))
    assert not methods.keys() - called
    assert all(inspect.getdoc(method) for method in methods.values())


# `make_cost` and `make_fit` return functions with examples, which run with the modules that export these functions.
RUN_ELSEWHERE = {"fastmlp._problem", "fastmlp.reference._training"}


def modules_with_examples():
    """Yield the modules of the package that contain an example anywhere, found without importing them."""
    for info in pkgutil.walk_packages(fastmlp.__path__, "fastmlp."):
        path = Path(info.module_finder.path, info.name.rpartition(".")[2])
        source = path / "__init__.py" if info.ispkg else path.with_suffix(".py")
        wanted = not info.name.startswith("fastmlp.kernels") and info.name not in RUN_ELSEWHERE
        if wanted and ">>> " in source.read_text(encoding="utf-8"):
            yield info.name


@pytest.mark.parametrize("module", list(modules_with_examples()))
def test_examples_run(module, tmp_path, monkeypatch):
    """Warnings are errors here, so that no reader of an example meets one."""
    monkeypatch.chdir(tmp_path)
    if module.startswith(tuple(MISSING)):
        pytest.skip("an extra is not installed")
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted
    assert not result.failed


def test_api_reference_is_complete():
    pages = {path.stem: path.read_text(encoding="utf-8") for path in API.glob("*.rst")}
    shown = set()
    for text in pages.values():
        module = None
        for line in text.splitlines():
            if line.startswith(".. currentmodule:: "):
                module = line.split()[-1]
            elif re.fullmatch(r"   \w+", line):
                shown.add((module, line.strip()))
            elif line.startswith("The tables "):
                shown |= {(module, name) for name in re.findall(r"``(\w+)``", line)}
    shown -= {(module, name) for module, name in shown if module in MISSING}
    public = set(PUBLIC) - {("fastmlp", "__version__")}
    public -= {("fastmlp.reference", name) for name in ("loops", "vectorized")}  # packages with sections of their own
    # What `fastmlp` re-exports has its page there.
    again = {(package, name) for package, name in public if package != "fastmlp" and ("fastmlp", name) in public}
    assert shown == {pair for pair in public if not (pair in again and pair[0] == "fastmlp.inspection")}
