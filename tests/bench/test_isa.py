"""A child process uses the requested instruction set; the parent process is not changed."""

import os
import platform
import subprocess
import sys

import pytest

from bench import isa

CODE = "from bench import isa; print(isa.current())"
X86 = platform.machine().lower() in ("x86_64", "amd64")


@pytest.mark.skipif(not X86, reason="AVX2 is for x86")
@pytest.mark.parametrize("name", ["avx2", "avx512"])
def test_a_child_compiles_for_the_instruction_set(name, tmp_path):
    """Nothing is compiled, so the processor need not have it; only NumPy's features depend on it."""
    before = dict(os.environ)
    variables = isa.environment(name, tmp_path)
    run = subprocess.run(
        [sys.executable, "-c", CODE], env=os.environ | variables, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == [name]
    assert dict(os.environ) == before


def test_native_changes_nothing(tmp_path):
    assert isa.environment("native", tmp_path) == {}


@pytest.mark.skipif(not X86, reason="AVX2 is for x86")
def test_instruction_sets_have_caches_of_their_own(tmp_path):
    folders = {isa.environment(name, tmp_path)["NUMBA_CACHE_DIR"] for name in ("avx2", "avx512")}
    assert len(folders) == 2
    assert str(tmp_path) not in folders


def test_another_instruction_set_is_refused():
    """A run that states AVX2 must have used AVX2."""
    wrong = "avx512" if isa.current() == "avx2" else "avx2"
    command = [sys.executable, "-m", "pytest", "bench", "--benchmark-disable", f"--isa={wrong}", "--collect-only", "-q"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"not {wrong}" in run.stderr
