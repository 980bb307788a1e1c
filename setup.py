"""Build steps that pyproject.toml cannot express: ahead-of-time compilation of the kernels.

The compilation runs in separate processes, which import the folder kernels/ as the package `kernels`, because the build
environment has Numba and NumPy, but not the other dependencies of fastmlp.
"""

import subprocess
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


class BuildKernels(build_py):
    """Copy the Python files, then compile the kernels into the package."""

    def run(self) -> None:
        super().run()
        package = ROOT / "kernels" if self.editable_mode else Path(self.build_lib) / "fastmlp" / "kernels"
        command = [sys.executable, "-m", "kernels", "build", "--folder", str((package / "precompiled").resolve())]
        if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
            self.warn("the kernels could not be compiled in advance; they will be compiled just in time, at first use")


class PlatformWheel(bdist_wheel):
    """A wheel for one platform: object code depends on the machine, but not on the version of Python."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self) -> tuple[str, str, str]:
        _, _, platform = super().get_tag()
        # The object code calls memcpy, memset, sqrt, sched_yield and syscall of the C library, all older than 2.17.
        return "py3", "none", platform.replace("linux_", "manylinux_2_17_", 1)


setup(cmdclass={"build_py": BuildKernels, "bdist_wheel": PlatformWheel})
