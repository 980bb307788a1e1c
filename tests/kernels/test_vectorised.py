"""Loops over weights, units and samples run in vectors: where LLVM cannot see that they may, it says nothing.

Once every pointer of `update` was taken from one of two places, inside the loop over strips, all its values stayed
right, and SGD took nine times as long.
"""

import re

import pytest
from fastmlp.kernels import activations, normalisation, optimizers, outputs, sparse, step
from fastmlp.kernels._jit import OPTIONS
from fastmlp.kernels.activations import ACTIVATIONS, IDENTITY, MAXOUT
from fastmlp.kernels.optimizers import OPTIMIZERS
from fastmlp.kernels.outputs import OUTPUTS
from numba import cfunc, types

# Elementwise, and with something to do.
ELEMENTWISE = [row for row in ACTIVATIONS.values() if row.code not in (IDENTITY, MAXOUT)]
# Loops over samples.
ERRORS = {"identity": 1, "exp": 1, "logistic": 1, "softmax": 4}
LINKS = {"identity": 0, "exp": 1, "logistic": 1, "softmax": 4}


def vector_loops(monkeypatch, module, group, *arguments):
    """Number of loops over vectors in each kernel of `group`, compiled here: what the cache holds has no text."""
    monkeypatch.setattr(module, "linked_kernel", lambda signature: cfunc(signature, error_model=OPTIONS["error_model"]))
    kernels = group("not cached", *arguments)
    return {
        name: len(re.findall(r"^vector\.body\d*:", kernel.inspect_llvm(), re.MULTILINE))
        for name, kernel in kernels.items()
    }


@pytest.mark.parametrize("number", [types.float32, types.float64], ids=str)
class TestLoops:
    def test_optimizers(self, number, monkeypatch):
        loops = vector_loops(monkeypatch, optimizers, optimizers.linked, number)
        assert loops["update"] >= len(OPTIMIZERS)

    def test_activations(self, number, monkeypatch):
        loops = vector_loops(monkeypatch, activations, activations.linked, number)
        assert loops["forward"] >= len(ELEMENTWISE)
        assert loops["backward"] >= len(ELEMENTWISE)

    @pytest.mark.parametrize("output", OUTPUTS)
    def test_outputs(self, output, number, monkeypatch):
        code, link, _ = OUTPUTS[output]
        loops = vector_loops(monkeypatch, outputs, outputs.linked_error, number, code)
        loops |= vector_loops(monkeypatch, outputs, outputs.linked_link, number, code)
        assert loops["output_error"] >= ERRORS[link]
        assert loops["link"] >= LINKS[link]

    def test_normalisation(self, number, monkeypatch):
        loops = vector_loops(monkeypatch, normalisation, normalisation.linked, number)
        assert loops["normalise_rows"] >= 4
        assert loops["normalise_running"] >= 1
        assert loops["normalise_backward_rows"] >= 2

    def test_sparse(self, number, monkeypatch):
        loops = vector_loops(monkeypatch, sparse, sparse.linked, number)
        assert loops["csr_affine"] >= 1
        assert loops["csr_gradient"] >= 1

    def test_gradients(self, number, monkeypatch):
        """Those with the penalty, and those without."""
        loops = vector_loops(monkeypatch, step, step.linked_training, number)
        assert loops["gradient_of_rows"] >= 2
