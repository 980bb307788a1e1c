"""Signatures of the kernels that are called by address.

This table determines the types that a kernel is compiled with, the type check of its calls from other kernels and the
prototype of its calls from Python. `call` raises an error if the number or the kinds of the arguments differ from it,
and `linked_kernel` if the names of the parameters do. This module needs neither Numba nor LLVM.
"""

import ctypes
from typing import Any, NamedTuple

__all__ = ["SIGNATURES", "Parameter", "prototype"]


class Parameter(NamedTuple):
    """Name and kind of a parameter.

    Kinds are 'int' (int64), 'float' (float64), 'number*' (pointer to values of the dtype of the network), 'int*',
    'float*', 'int32*' and 'uint32*' (pointers to int64, float64, int32 and uint32), and pointers to the
    records of `layout`: 'layers*', 'plan*', 'hyper*', 'state*' and 'memory*'.
    """

    name: str
    kind: str


def _parse(text: str) -> tuple[Parameter, ...]:
    """Read 'kind name, kind name, ...'."""
    return tuple(Parameter(name, kind) for kind, name in (part.split() for part in text.split(",")))


_CSR = "number* values, int32* indices, int* indptr, int* rows, int n"
_PASS = "layers* layers, plan* plan, memory* memory"

SIGNATURES = {
    name: _parse(text)
    for name, text in {
        # Arithmetic.
        "gemm": "number* a, int a_row, int a_col, number* b, int ldb, number* c, int ldc, int m, int k, int n, "
        "number* start, int start_row",
        "panel_product": "number* a, int a_row, int a_col, int a_group, number* b, int height, number* c, int ldc, "
        "int m, int k, int n, number* start, int start_row, int ahead, number* x, number* y, number* z",
        "pack": "number* src, int ld_src, number* dst, int height, int first, int rows, int cols",
        "pack_transposed": "number* src, int ld_src, number* dst, int height, int first, int rows, int cols",
        "pack_columns": "number* src, int ld_src, number* dst, int rows, int cols",
        "transpose": "number* src, int ld_src, number* dst, int ld_dst, int rows, int cols",
        "forward": "int code, number* a, int n",
        "backward": "int code, number* k, number* d, int n",
        "output_error": "number* z, number* y, float* loss, number* work, int K, int n, float cap, "
        "float label_smoothing, number* loss_parameters",
        "link": "number* z, number* work, int K, int n",
        "drop": "number* a, int rows, int units, int first, int key, float rate",
        "update": "hyper* hyper, number* w, number* g, number* m, number* v, int n, float rate",
        "average": "number* a, number* w, int n, float gain",
        "shuffle": "int32* order, int32* picks, int n, uint32* state, uint32* drawn, int reorder",
        "normalise_rows": "number* z, number* h, int lo, int n, int rows, int q, number* gamma, number* running, "
        "int rank, int team, int* signals",
        "normalise_running": "number* z, number* gamma, number* running, int rows, int q",
        "normalise_backward_rows": "number* d, number* h, int lo, int n, int rows, int q, number* gamma, int rank, "
        "int team, int* signals",
        "csr_affine": f"{_CSR}, number* W, number* b, number* Z, int q",
        "csr_add": f"{_CSR}, number* A, int q",
        "csr_gradient": f"{_CSR}, int* cursor, int lo, int hi, number* D, number* G, int q",
        "csr_seek": "int32* indices, int* indptr, int* rows, int n, int* cursor, int column",
        # The passes of a step.
        "forward_rows": f"{_PASS}, int start, int rows, int lo, int n, int place, int key, float dropout, "
        "int rank, int team, int* signals",
        "backward_rows": f"{_PASS}, hyper* hyper, int rows, int lo, int n, int place, int key, "
        "float dropout, int rank, int team, int* signals",
        "gradient_of_rows": f"{_PASS}, hyper* hyper, int* share, int start, int rows, int continued, int final, "
        "int deferred, float penalty, float scale, float decay, float rate, float gain, int rank, int team, "
        "int* signals",
        "update_rows": f"{_PASS}, hyper* hyper, int* share, float factor, float decay, float rate, float gain, "
        "int rank, int team",
        # Entry points for Python.
        "copy_weights": "layers* layers, plan* plan, memory* memory",
        "watch": "hyper* hyper, state* state, float value",
        "train": f"int rank, int team, int passes, {_PASS}, hyper* hyper, int* share, int* signals, state* state, "
        "float* losses, int epochs, float* schedule, int changing",
        "predict": f"int rank, int team, {_PASS}, int* signals",
    }.items()
}

_C_TYPES = {"int": ctypes.c_int64, "float": ctypes.c_double}


def prototype(name: str) -> Any:
    """Return the `ctypes` prototype of the kernel `name`; pointers are passed as integers. A call releases the GIL."""
    kinds: list[Any] = [_C_TYPES.get(kind, ctypes.c_void_p) for _, kind in SIGNATURES[name]]
    return ctypes.CFUNCTYPE(None, *kinds)
