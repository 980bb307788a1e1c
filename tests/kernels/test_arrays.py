"""The addresses of arrays are those that NumPy states, and the dtypes of networks have their names."""

import numpy as np
import pytest
from fastmlp.kernels._arrays import DTYPES, NAMES, address
from fastmlp.kernels.layout import HYPER


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


FORMS = {
    "plain": np.arange(12.0),
    "matrix": np.arange(12, dtype=np.float32).reshape(3, 4),
    "part": np.arange(12.0)[5:],
    "read-only": read_only(np.arange(12.0)),
    "strided": np.arange(12.0)[1::2],
    "backwards": np.arange(12.0)[::-1],
    "Fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "empty": np.empty((0, 3)),
    "one": np.ones(1, np.int32),
    "record": np.zeros(1, HYPER),
}


@pytest.mark.parametrize("form", FORMS)
def test_addresses_match_numpy(form):
    array = FORMS[form]
    assert address(array) == array.__array_interface__["data"][0]


def test_address_releases_buffer():
    """While its buffer is exported, an array cannot be resized."""
    array = np.zeros(4)
    address(array)
    array.resize(1000, refcheck=False)
    assert array.size == 1000


def test_every_dtype_of_networks_has_its_name():
    assert [NAMES[np.dtype(name)] for name in DTYPES] == list(DTYPES)
    assert {dtype.name: dtype for dtype in NAMES} == {name: np.dtype(name) for name in ("float32", "float64")}
