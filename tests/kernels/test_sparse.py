"""The first layer for CSR input gives the same bits as for dense input."""

import numpy as np
import pytest
import scipy.sparse
from fastmlp.kernels._link import entry

import fastmlp
from fastmlp.training import _engine, _predict
from fastmlp.training._data import csr_arrays

DTYPES = [np.float32, np.float64]


def run(name, dtype, *args):
    """Call a kernel with the addresses of arrays."""
    values = [a.ctypes.data if isinstance(a, np.ndarray) else a for a in args]
    entry(name, np.dtype(dtype).name)(*values)


def draw(rng, shape, density, dtype):
    """Return a matrix with empty rows and columns, and its CSR arrays with the dtypes of the kernels."""
    x = rng.normal(size=shape).astype(dtype) * (rng.random(shape) < density)
    x[:: max(2, shape[0] // 2)] = 0
    x[:, -1:] = 0
    return x, csr_arrays(scipy.sparse.csr_array(x), dtype)


SHAPES = [(1, 1, 1), (4, 7, 3), (17, 33, 16), (33, 100, 17), (20, 5, 40)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("density", [0.0, 0.1, 1.0])
def test_affine_matches_dense_bits(density, shape, dtype, rng):
    m, d, q = shape
    x, (indptr, indices, values) = draw(rng, (m, d), density, dtype)
    w, b = rng.normal(size=(d, q)).astype(dtype), rng.normal(size=q).astype(dtype)
    rows = rng.integers(0, m, 2 * m)
    batch = x[rows]
    z, dense = np.full((2, 2 * m, q), np.nan, dtype)
    run("csr_affine", dtype, values, indices, indptr, rows, 2 * m, w, b, z, q)
    run("gemm", dtype, batch, d, 1, w, q, dense, q, 2 * m, d, q, b, 0)
    np.testing.assert_array_equal(z, dense)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_rows_are_added_in_place(shape, dtype, rng):
    m, d, _ = shape
    x, (indptr, indices, values) = draw(rng, (m, d), 0.3, dtype)
    rows = rng.integers(0, m, 2 * m)
    a = rng.normal(size=(2 * m, d)).astype(dtype)
    expected = a + x[rows]
    run("csr_add", dtype, values, indices, indptr, rows, 2 * m, a, d)
    np.testing.assert_array_equal(a, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("height", [1, 28, 1000])
def test_gradient_matches_dense_bits(height, shape, dtype, rng):
    """Compute the gradient in rounds of `height` rows of W, like a thread of a team."""
    m, d, q = shape
    x, (indptr, indices, values) = draw(rng, (m, d), 0.2, dtype)
    rows = rng.permutation(m)
    batch, delta = x[rows], rng.normal(size=(m, q)).astype(dtype)
    g, dense = np.zeros((d, q), dtype), np.full((d, q), np.nan, dtype)
    first = d // 3
    cursor = np.full(m, -1, np.int64)
    run("csr_seek", dtype, indices, indptr, rows, m, cursor, first)
    for lo in range(first, d, height):
        hi = min(lo + height, d)
        run("csr_gradient", dtype, values, indices, indptr, rows, m, cursor, lo, hi, delta, g[lo:], q)
    run("gemm", dtype, batch, 1, d, delta, q, dense, q, d, m, q, np.zeros(q, dtype), 0)
    np.testing.assert_array_equal(g[first:], dense[first:])
    np.testing.assert_array_equal(g[:first], 0)
    np.testing.assert_array_equal(cursor, indptr[rows + 1])


def test_seek_finds_first_column(rng):
    _, (indptr, indices, _) = draw(rng, (30, 50), 0.3, np.float64)
    rows = rng.permutation(30)
    for column in (0, 1, 17, 49, 50, 1000):
        cursor = np.full(30, -1, np.int64)
        run("csr_seek", np.float64, indices, indptr, rows, 30, cursor, column)
        expected = [indptr[r] + np.searchsorted(indices[indptr[r] : indptr[r + 1]], column) for r in rows]
        np.testing.assert_array_equal(cursor, expected)


def unsorted(x):
    """Return the same matrix with reversed rows, one value in two parts, and a stored zero."""
    x = scipy.sparse.csr_array(x)
    rows = [slice(*x.indptr[i : i + 2]) for i in range(x.shape[0])]
    backwards = np.concatenate([np.arange(r.start, r.stop)[::-1] for r in rows]).astype(int)
    x = scipy.sparse.csr_array((x.data[backwards], x.indices[backwards], x.indptr), x.shape)
    x.data[-1] /= 2
    twice = scipy.sparse.csr_array(
        (
            np.append(x.data, [x.data[-1], 0]),
            np.append(x.indices, [x.indices[-1], x.indices[-1]]),
            np.append(x.indptr[:-1], x.indptr[-1] + 2),
        ),
        x.shape,
    )
    return twice


FORMATS = {
    "csr_array": scipy.sparse.csr_array,
    "csr_matrix": scipy.sparse.csr_matrix,
    "csc_array": scipy.sparse.csc_array,
    "unsorted, duplicates": unsorted,
}
NETWORKS = {
    "plain": {},
    "no hidden layer": {"hidden_layer_sizes": ()},
    "batch norm": {"batch_norm": True},
    "maxout": {"activation": "maxout"},
    "residual": {"hidden_layer_sizes": (64, 64), "residual": True},
    "full batch": {"batch_size": 290},
    "lbfgs": {"solver": "lbfgs"},
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("network", NETWORKS)
def test_sparse_fits_equal_dense_fits(network, dtype, problems, monkeypatch):
    """Half of the numbers in digits are zeros. Adding a zero product does not change a sum, so all bits agree."""
    monkeypatch.setattr(_engine, "FLOPS_PER_THREAD", 1)
    monkeypatch.setattr(_predict, "FLOPS_PER_THREAD", 1)
    X, y = problems["multiclass"].X.astype(dtype), problems["multiclass"].y
    params = {"hidden_layer_sizes": (17,), "max_iter": 3, "batch_size": 37, "random_state": 0} | NETWORKS[network]
    dense = fastmlp.MLPClassifier(**params, n_jobs=1).fit(X, y)
    for n_jobs in (1, 3):
        sparse = fastmlp.MLPClassifier(**params, n_jobs=n_jobs).fit(scipy.sparse.csr_array(X), y)
        for ours, other in zip(sparse.coefs_ + sparse.intercepts_, dense.coefs_ + dense.intercepts_, strict=True):
            np.testing.assert_array_equal(ours, other)
        np.testing.assert_array_equal(sparse.predict_proba(scipy.sparse.csr_array(X)), dense.predict_proba(X))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_accepted_and_not_modified(form, problems):
    X, y = problems["multiclass"].X, problems["multiclass"].y
    sparse = FORMATS[form](X)
    before = sparse.copy()
    dense = fastmlp.MLPClassifier(20, max_iter=2, random_state=0).fit(X, y)
    ours = fastmlp.MLPClassifier(20, max_iter=2, random_state=0).fit(sparse, y)
    np.testing.assert_array_equal(ours.coefs_[0], dense.coefs_[0])
    np.testing.assert_array_equal(ours.predict_proba(sparse), dense.predict_proba(X))
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(sparse, name), getattr(before, name))
