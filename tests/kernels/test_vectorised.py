"""Loops over weights, units and samples are vectorised. LLVM does not report loops that it cannot vectorise.

In an earlier version, `update` selected each pointer within the loop over strips. Its results were right, but SGD took
nine times as long.
"""

import re

import pytest
from fastmlp.kernels import activations, normalisation, optimizers, outputs, sparse, weights
from fastmlp.kernels._jit import OPTIONS
from fastmlp.kernels.tables import ACTIVATIONS, IDENTITY, MAXOUT, OPTIMIZERS, OUTPUTS
from numba import cfunc, types

# Elementwise activations, except identity.
ELEMENTWISE = [row for row in ACTIVATIONS.values() if row.code not in (IDENTITY, MAXOUT)]
# Loops over samples.
ERRORS = {"identity": 1, "exp": 1, "logistic": 2, "softmax": 5, "ordered": 4}  # smoothing is one of them
LINKS = {"identity": 0, "exp": 1, "logistic": 1, "softmax": 4, "ordered": 1}

# An instruction of AVX2 that stores the lanes that a mask selects. Those that load have the memory as first operand.
MASKED_STORE = re.compile(r"^\s*vp?maskmov\w+\s+%[xy]mm\d+, %[xy]mm\d+, .*\(", re.MULTILINE)


def vector_loops(group, *arguments):
    """Return the number of vectorised loops in each kernel of `group`. Cached code has no text, so compile it here.

    No loop may use masked stores of AVX2, to which LLVM compiles `a[i] = x if condition else a[i]`. With them, ReLU
    took eight times as long on a Zen 3 CPU.
    """
    loops = {}
    for kernel in group(*arguments):
        code = cfunc(kernel.signature, error_model=OPTIONS["error_model"])(kernel.function)
        loops[kernel.name] = len(re.findall(r"^vector\.body\d*:", code.inspect_llvm(), re.MULTILINE))
        assert not MASKED_STORE.findall(code._library.get_asm_str()), kernel.name
    return loops


@pytest.mark.parametrize("number", [types.float32, pytest.param(types.float64, marks=pytest.mark.slow)], ids=str)
class TestLoops:
    def test_optimizers(self, number):
        loops = vector_loops(optimizers.linked, number)
        assert loops["update"] >= len(OPTIMIZERS)

    def test_activations(self, number):
        loops = vector_loops(activations.linked, number)
        assert loops["forward"] >= len(ELEMENTWISE)
        assert loops["backward"] >= len(ELEMENTWISE)

    @pytest.mark.parametrize("output", OUTPUTS)
    def test_outputs(self, output, number):
        code, link, *_ = OUTPUTS[output]
        loops = vector_loops(outputs.linked_error, number, code)
        loops |= vector_loops(outputs.linked_link, number, code)
        assert loops["output_error"] >= ERRORS[link]
        assert loops["link"] >= LINKS[link]

    def test_normalisation(self, number):
        loops = vector_loops(normalisation.linked, number)
        assert loops["normalise_rows"] >= 4
        assert loops["normalise_running"] >= 1
        assert loops["normalise_backward_rows"] >= 2

    def test_sparse(self, number):
        loops = vector_loops(sparse.linked, number)
        assert loops["csr_affine"] >= 1
        assert loops["csr_gradient"] >= 1

    def test_gradients(self, number):
        """Loops with and without the penalty."""
        loops = vector_loops(weights.linked, number)
        assert loops["gradient_of_rows"] >= 2
