"""Row orders match NumPy's `RandomState.shuffle`, and the user's generator ends in the same state."""

import numpy as np
import pytest
import sklearn.neural_network
from fastmlp.kernels._link import entry
from fastmlp.kernels.layout import KEYS

import fastmlp

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def shuffle(order, picks, words, state, reorder=True):
    kernel = entry("shuffle", "float32")
    kernel(order.ctypes.data, picks.ctypes.data, picks.size, state.ctypes.data, words.ctypes.data, reorder)


def state_of(random):
    _, keys, position, *_ = random.get_state()
    return np.append(keys, np.uint32(position))


SIZES = [0, 1, 2, 3, 4, 5, 15, 16, 17, 31, 32, 33, 255, 256, 257, 623, 624, 625, 5000]


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
@pytest.mark.parametrize("drawn", [0, 1, 300, 623, 624])
def test_shuffle_matches_numpy(drawn, seed):
    """Start from any position in the state, and shuffle repeatedly."""
    random = np.random.RandomState(seed)
    for _ in range(drawn):
        random.randint(2**32, dtype=np.uint32)
    state, words = state_of(random), np.empty(KEYS, np.uint32)
    for n in SIZES:
        order, expected, picks = np.arange(n, dtype=np.int32), np.arange(n), np.empty(n, np.int32)
        shuffle(order, picks, words, state)
        random.shuffle(expected)
        np.testing.assert_array_equal(order, expected)
        np.testing.assert_array_equal(state, state_of(random))


def test_each_epoch_shuffles_previous_order():
    """scikit-learn shuffles the order of the previous epoch, so permutations are composed."""
    random, n = np.random.RandomState(3), 100
    state, words = state_of(random), np.empty(KEYS, np.uint32)
    order, expected, picks = np.arange(n, dtype=np.int32), np.arange(n), np.empty(n, np.int32)
    for _ in range(5):
        shuffle(order, picks, words, state)
        permutation = np.arange(n)
        random.shuffle(permutation)
        expected = expected[permutation]
        np.testing.assert_array_equal(order, expected)


def test_draws_without_reordering_advance_generator():
    random = np.random.RandomState(4)
    state, words = state_of(random), np.empty(KEYS, np.uint32)
    for n in SIZES:
        shuffle(np.empty(0, np.int32), np.empty(n, np.int32), words, state, reorder=False)
        random.shuffle(np.arange(n))
        np.testing.assert_array_equal(state, state_of(random))


BIT_GENERATORS = {"MT19937": np.random.MT19937, "PCG64": np.random.PCG64, "Philox": np.random.Philox}
# A row order is drawn by the kernel; drawn, but not needed; not drawn; drawn after a validation split.
RUNS = {
    "mini-batches": {"batch_size": 41},
    "full batch": {"batch_size": 10_000},
    "no shuffle": {"shuffle": False},
    "early stopping": {"early_stopping": True, "batch_size": 50},
    "stopped": {"tol": 1e9, "n_iter_no_change": 2, "batch_size": 100},
}


def same_state(a, b):
    a, b = (random.get_state(legacy=False) for random in (a, b))
    np.testing.assert_equal(a, b)


@pytest.mark.filterwarnings("ignore:Got `batch_size` less than 1 or larger")
@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name", BIT_GENERATORS)
def test_fits_match_scikit_learn_draws(name, run, problems):
    """Weights and the final state of the generator match scikit-learn for any bit generator."""
    _, _, X, y, _ = problems["regression"]
    ours, theirs = (np.random.RandomState(BIT_GENERATORS[name](7)) for _ in range(2))
    params = {"hidden_layer_sizes": (5,), "max_iter": 4} | RUNS[run]
    fit = fastmlp.MLPRegressor(**params, random_state=ours).fit(X, y)
    expected = sklearn.neural_network.MLPRegressor(**params, random_state=theirs).fit(X, y)
    assert fit.n_iter_ == expected.n_iter_
    for a, b in zip(fit.coefs_, expected.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    same_state(ours, theirs)


@pytest.mark.parametrize("name", BIT_GENERATORS)
def test_partial_fits_share_generator(name, problems):
    _, _, X, y, _ = problems["regression"]
    ours, theirs = (np.random.RandomState(BIT_GENERATORS[name](7)) for _ in range(2))
    params = {"hidden_layer_sizes": (5,), "batch_size": 41}
    fit = fastmlp.MLPRegressor(**params, random_state=ours)
    expected = sklearn.neural_network.MLPRegressor(**params, random_state=theirs)
    for _ in range(3):
        fit.partial_fit(X, y)
        expected.partial_fit(X, y)
        same_state(ours, theirs)
    np.testing.assert_allclose(fit.coefs_[0], expected.coefs_[0], rtol=1e-9, atol=1e-12)


def test_global_generator_is_default(problems):
    _, _, X, y, _ = problems["regression"]
    before = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(5)  # noqa: NPY002
        fit = fastmlp.MLPRegressor(hidden_layer_sizes=5, max_iter=2).fit(X, y)
        ours = np.random.get_state()  # noqa: NPY002
        np.random.seed(5)  # noqa: NPY002
        expected = sklearn.neural_network.MLPRegressor(hidden_layer_sizes=5, max_iter=2).fit(X, y)
        np.testing.assert_equal(ours, np.random.get_state())  # noqa: NPY002
    finally:
        np.random.set_state(before)  # noqa: NPY002
    np.testing.assert_allclose(fit.coefs_[0], expected.coefs_[0], rtol=1e-9, atol=1e-12)


def test_seed_does_not_change_global_generator(problems):
    _, _, X, y, _ = problems["regression"]
    before = np.random.get_state()  # noqa: NPY002
    fastmlp.MLPRegressor(hidden_layer_sizes=5, max_iter=2, random_state=0).fit(X, y)
    np.testing.assert_equal(before, np.random.get_state())  # noqa: NPY002
