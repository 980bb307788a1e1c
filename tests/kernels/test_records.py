"""Records and tables of pointers: kernels access exactly the fields that Python declares."""

import ctypes
from typing import NamedTuple

import numpy as np
import pytest
from fastmlp.kernels import layout
from fastmlp.kernels._jit import OPTIONS
from fastmlp.kernels._memory import at
from fastmlp.kernels._records import Pointers, memory_pointers, record, types_of
from fastmlp.kernels._signatures import SIGNATURES
from fastmlp.kernels.layout import LAYER, Hyper, Layer, Plan, State, record_dtype, record_of
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import cfunc, from_dtype, njit, types
from numba.core.errors import TypingError


class Fields(NamedTuple):
    """Two fields of each kind, in an order that requires padding."""

    yes: bool
    count: int
    rate: float
    no: bool
    other_count: int
    other_rate: float


FIELDS = record_dtype(Fields)
POINTER = types.CPointer(from_dtype(FIELDS))


@cfunc(types.void(POINTER, POINTER), error_model="numpy")
def copy_record(source, target):
    read, written = record(source, 1), record(target, 2)
    written.yes, written.count, written.rate = read.yes, read.count, read.rate
    written.no, written.other_count, written.other_rate = read.no, read.other_count, read.other_rate


@settings(deadline=None)  # the first example compiles
@given(
    st.builds(
        Fields,
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(),
    )
)
def test_fields_are_read_and_written(fields):
    source, target = np.zeros(3, FIELDS), np.zeros(4, FIELDS)
    source[1] = tuple(fields)
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (source, target)]
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(copy_record.address)(*pointers)
    np.testing.assert_array_equal(target[2].item(), fields)  # NaN equals NaN
    np.testing.assert_array_equal(target[[0, 1, 3]], np.zeros(3, FIELDS))


@pytest.mark.parametrize("fields", [Layer, Plan, Hyper, State], ids=lambda fields: fields.__name__)
def test_record_has_fields_of_class(fields):
    values = fields(*(kind(place) for place, kind in enumerate(fields.__annotations__.values(), start=1)))
    record = record_of(values)
    assert record.dtype == getattr(layout, fields.__name__.upper())
    assert fields(*record[0].item()) == values


def test_unknown_field_raises():
    with pytest.raises(KeyError, match="units_"):

        @cfunc(types.void(types.CPointer(from_dtype(LAYER))), error_model="numpy")
        def wrong(layers):
            record(layers, 0).units_ = 1


def test_memory_has_declared_pointers():
    pointers = memory_pointers(types.float32)
    *arrays, linked = pointers.fields.items()
    assert [name for name, _ in arrays] == list(layout.Memory._fields)
    assert dict(arrays)["X"] == types.CPointer(types.float32)
    assert dict(arrays)["labels"] == types.CPointer(types.int32)
    assert linked[0] == "linked"
    assert list(linked[1].fields) == list(layout.LINKED)


def test_pointers_are_read_by_name():
    number = types.float64

    @cfunc(types.void(memory_pointers(number)), error_model="numpy")
    def move(memory):
        memory.w[1] = memory.X[0] + memory.labels[2]

    X, w, labels = np.array([1.5]), np.zeros(2), np.array([1, 2, 3], np.int32)
    addresses = np.zeros(len(layout.Memory._fields) + len(layout.LINKED), np.int64)
    for name, array in {"X": X, "w": w, "labels": labels}.items():
        addresses[layout.Memory._fields.index(name)] = array.ctypes.data
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(move.address)(addresses.ctypes.data)
    assert w.tolist() == [0.0, 4.5]


def test_unknown_pointer_raises():
    with pytest.raises(TypingError, match="Unknown attribute 'x'"):

        @cfunc(types.void(memory_pointers(types.float64)), error_model="numpy")
        def wrong(memory):
            memory.x[0] = 1


def test_record_of_something_else_raises():
    @njit(**OPTIONS)
    def wrong(x):
        return record(at(x, 0), 0)

    with pytest.raises(TypingError):
        wrong(np.zeros(2))


@pytest.mark.parametrize("name", SIGNATURES)
@pytest.mark.parametrize("number", [types.float32, types.float64], ids=str)
def test_every_kind_of_parameter_has_a_type(name, number):
    kinds = types_of(name, number)
    assert len(kinds) == len(SIGNATURES[name])
    for (_, kind), numba_type in zip(SIGNATURES[name], kinds, strict=True):
        assert isinstance(numba_type, types.CPointer | Pointers) == kind.endswith("*")
