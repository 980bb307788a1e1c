"""Training data in the format of the kernels."""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import DTypeLike

from ._network import Array

__all__ = ["Data", "csr_arrays", "prepare_data"]


class Data(NamedTuple):
    """Training data: X as a dense or CSR matrix (the other one is empty), targets and sample weights."""

    rows: int
    X: Array  # (m, d)
    indptr: Array  # (m + 1,) int64
    indices: Array  # (nnz,) int32, increasing within a row
    values: Array  # (nnz,)
    Y: Array  # (m, K), empty if there are labels
    labels: Array  # (m,) int32: exclusive classes 0..K-1
    sample_weight: Array  # (m,), empty if all weights are 1

    @property
    def sparse(self) -> bool:
        """Whether X is a CSR matrix."""
        return self.indptr.size > 0

    @property
    def weighted(self) -> bool:
        """Whether there are sample weights."""
        return self.sample_weight.size > 0


def csr_arrays(X: Any, dtype: DTypeLike) -> tuple[Array, Array, Array]:
    """Return (indptr, indices, values) of a sparse matrix with the dtypes of `Data`, sorted and without duplicates."""
    X = X.tocsr()
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return (
        np.ascontiguousarray(X.indptr, np.int64),
        np.ascontiguousarray(X.indices, np.int32),
        np.ascontiguousarray(X.data, dtype),
    )


def prepare_data(X: Any, Y: Array, sample_weight: Array | None, dtype: DTypeLike) -> Data:
    """Convert validated data to the format of the kernels, without copies of arrays that already have it.

    Parameters
    ----------
    X : {ndarray, sparse matrix} of shape (m, d)
    Y : ndarray of shape (m, K), or of shape (m,) and an integer dtype: classes 0..K-1
    sample_weight : ndarray of shape (m,) or None
    dtype : dtype
        Dtype of the computation.
    """
    dtype = np.dtype(dtype)
    empty = np.empty(0, dtype)
    indptr, indices, values = np.empty(0, np.int64), np.empty(0, np.int32), empty
    if scipy.sparse.issparse(X):
        indptr, indices, values = csr_arrays(X, dtype)
        dense = empty
    else:
        dense = np.ascontiguousarray(X, dtype)
    classes = Y.ndim == 1
    return Data(
        X.shape[0],
        dense,
        indptr,
        indices,
        values,
        empty if classes else np.ascontiguousarray(Y, dtype),
        np.ascontiguousarray(Y, np.int32) if classes else np.empty(0, np.int32),
        empty if sample_weight is None else np.ascontiguousarray(sample_weight, dtype),
    )
