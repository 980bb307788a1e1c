"""The digest of data: equal for equal numbers in any memory order, different after any change."""

import numpy as np
import pytest
import scipy.sparse

from fastmlp.training import _fingerprint
from fastmlp.training._fingerprint import fingerprint


def variants(rng):
    X, y = rng.normal(size=(50, 7)), rng.integers(0, 3, 50)
    changed = X.copy()
    changed[49, 6] = np.nextafter(changed[49, 6], 2)
    return {
        "the same": [X, y, None],
        "one number": [changed, y, None],
        "rows": [X[::-1], y, None],
        "dtype": [X.astype(np.float32), y, None],
        "shape": [X.reshape(25, 14), y, None],
        "weights": [X, y, np.ones(50)],
        "labels": [X, y + 1, None],
        "less": [X, y],
        "CSR": [scipy.sparse.csr_array(X), y, None],
        "CSC": [scipy.sparse.csc_array(X), y, None],
        "names": [X, y, np.array(["a", "b"])],
        "objects": [X, y, np.array(["a", 1], dtype=object)],
        "other objects": [X, y, np.array(["a", 2], dtype=object)],
        "no rows": [X[:0], y[:0], None],
    }


def test_every_change_is_seen(rng):
    digests = {name: fingerprint(arrays) for name, arrays in variants(rng).items()}
    assert len(set(digests.values())) == len(digests)


@pytest.mark.parametrize("block_bytes", [1, 100, 1 << 24])
def test_memory_order_does_not_matter(block_bytes, rng, monkeypatch):
    monkeypatch.setattr(_fingerprint, "BLOCK_BYTES", block_bytes)
    X, y, _ = variants(rng)["the same"]
    assert fingerprint([np.asfortranarray(X), y]) == fingerprint([X, y])
    assert fingerprint([np.repeat(X, 2, axis=0)[::2], y]) == fingerprint([X.copy(), y.copy()])
    assert fingerprint([y, X]) != fingerprint([X, y])
