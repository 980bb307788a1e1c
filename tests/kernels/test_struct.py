"""Structs of kernels: every field comes back as it went in, whatever its kind and place."""

from typing import NamedTuple

import numpy as np
import pytest
from fastmlp.kernels._jit import OPTIONS
from fastmlp.kernels._memory import peek
from fastmlp.kernels._struct import WORDS, Struct, first_word, nth, words_of
from fastmlp.kernels.layout import BLOCK, UNITS, Layer, Options, W, layers_of
from fastmlp.kernels.layout import OPTIONS as KERNEL_OPTIONS
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit, types
from numba.core.errors import TypingError
from numba.extending import intrinsic


class Fields(NamedTuple):
    """One field of each kind, twice: not only the first of a kind must be found."""

    yes: bool
    count: int
    rate: float
    no: bool
    other_count: int
    other_rate: float


INNER = Struct("test.Inner", {"first": types.int64, "second": types.CPointer(types.float32)})
FIELDS = {name: WORDS[kind] for name, kind in Fields.__annotations__.items()}
OUTER = Struct("test.Outer", {**FIELDS, "inner": INNER})


@intrinsic
def outer_of(typingctx, words):
    return OUTER(words), first_word


@njit(**OPTIONS)
def read(words):
    fields = outer_of(words)
    return fields.yes, fields.count, fields.rate, fields.no, fields.other_count, fields.other_rate


@njit(**OPTIONS)
def read_inner(words):
    inner = outer_of(words).inner
    return inner.first, peek(inner.second, 1)


@njit(**OPTIONS)
def read_third(table):
    layer = nth(layers_of(table), 2)
    return layer.units, layer.w, layer.block


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
def test_fields_come_back(fields):
    back = read(np.append(words_of(fields), [0, 0]))
    np.testing.assert_array_equal(back, fields)  # NaN equals NaN
    assert [type(value) for value in back] == [type(value) for value in fields]


def test_a_struct_within_begins_where_it_stands():
    values = np.array([1.5, 2.5, 3.5], np.float32)
    words = np.append(words_of(Fields(True, 1, 1.0, False, 2, 2.0)), [77, values.ctypes.data])
    assert read_inner(words) == (77, 2.5)


def test_structs_follow_each_other():
    table = np.arange(4 * len(Layer._fields)).reshape(4, -1)
    assert read_third(table) == tuple(table[2, [UNITS, W, BLOCK]])


def test_words_cannot_be_changed():
    """Kernels read a field once: what changed later would be seen here and not there."""
    with pytest.raises(ValueError, match="read-only"):
        words_of(Fields(True, 1, 1.0, False, 2, 2.0))[1] = 3


def test_a_wrong_name_does_not_compile():
    @njit(**OPTIONS)
    def wrong(words):
        return outer_of(words).counts

    with pytest.raises(TypingError, match="Unknown attribute 'counts'"):
        wrong(np.zeros(8, np.int64))


def test_options_have_a_word_for_each_field():
    assert list(KERNEL_OPTIONS.fields) == list(Options._fields)
    assert len(words_of(Options(*[0] * len(Options._fields)))) == len(Options._fields)
