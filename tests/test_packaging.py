"""The list of packages in pyproject.toml matches the folders."""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(not (ROOT / "fastmlp").is_dir(), reason="needs a checkout")
def test_every_folder_of_the_package_is_installed():
    """A package that is not listed is missing from the wheel. No other test in the checkout would fail."""
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in ROOT.glob("fastmlp/**/__init__.py")}
    assert set(setuptools["packages"]) == folders | {"fastmlp.kernels"}
