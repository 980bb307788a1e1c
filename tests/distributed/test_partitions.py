"""What a worker does with its partition: sums over blocks of rows are the gradient over all rows."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastmlp import MLPClassifier, cost_and_gradient
from fastmlp.distributed import _partitions
from fastmlp.distributed._partitions import Architecture, Partition, Sum, add, encode, facts, gradient, pack

ARCHITECTURE = Architecture(((5, 4), (4, 3)), {"activation": ["tanh"], "output": "softmax", "loss": "log_loss"})


@pytest.fixture
def part(rng):
    X, y = rng.normal(size=(60, 5)), np.repeat(["a", "b", "c"], 20)
    return encode(Partition(X, y, None), np.array(["a", "b", "c"]))


@pytest.fixture
def w(rng):
    return rng.normal(size=5 * 4 + 4 + 4 * 3 + 3)


def test_pack_and_unpack_are_inverse(w):
    coefs, intercepts = ARCHITECTURE.unpack(w)
    assert [a.shape for a in (*coefs, *intercepts)] == [(5, 4), (4, 3), (4,), (3,)]
    assert all(np.shares_memory(a, w) for a in (*coefs, *intercepts))
    assert_array_equal(pack(coefs, intercepts), w)


@pytest.mark.parametrize("weighted", [False, True])
def test_blocks_add_up_to_the_whole(weighted, part, w, rng, monkeypatch):
    if weighted:
        part = part._replace(sample_weight=rng.uniform(0, 2, 60) * (np.arange(60) >= 7))  # a block without weight
    coefs, intercepts = ARCHITECTURE.unpack(w)
    Y = np.eye(3)[part.y]
    J, *grads = cost_and_gradient(
        coefs, intercepts, part.X, Y, sample_weight=part.sample_weight, **ARCHITECTURE.options
    )
    whole = gradient(part, w, None, ARCHITECTURE)
    assert whole.loss == J
    assert_array_equal(whole.g, pack(*grads))
    assert whole.weight == pytest.approx(60 if not weighted else part.sample_weight.sum(), rel=1e-15)
    monkeypatch.setattr(_partitions, "BLOCK_ROWS", 7)
    blocks = gradient(part, w, None, ARCHITECTURE)
    # Sums of 60 numbers, in another order.
    assert_allclose(blocks.loss, J, rtol=60 * np.finfo(float).eps)
    assert_allclose(blocks.g, whole.g, rtol=0, atol=60 * np.finfo(float).eps * np.abs(whole.g).max())


def test_rows_may_be_chosen_in_any_order(part, w, rng):
    rows = rng.permutation(60)[:31]
    chosen = gradient(part, w, rows, ARCHITECTURE)
    alone = gradient(part._replace(X=part.X[rows], y=part.y[rows]), w, None, ARCHITECTURE)
    assert chosen.loss == alone.loss
    assert_array_equal(chosen.g, alone.g)


def test_rows_without_weight_add_nothing(part, w):
    nothing = gradient(part._replace(sample_weight=np.zeros(60)), w, None, ARCHITECTURE)
    assert nothing.weight == 0
    one = gradient(part, w, None, ARCHITECTURE)
    assert add([nothing, nothing]).weight == 0
    for sums in ([one], [nothing, one], [one, nothing]):
        assert add(sums).weight == 60
        assert_array_equal(add(sums).g, one.g)
    assert_allclose(add([one, Sum(30.0, 1.0, np.zeros_like(w))]).g, one.g * 2 / 3, rtol=1e-15)


def test_targets_are_encoded_for_the_network(rng):
    X = rng.normal(size=(4, 5))
    two = encode(Partition(X, np.array([3, 1, 1, 3]), None), np.array([1, 3]))
    assert_array_equal(two.y, [[1], [0], [0], [1]])
    three = encode(Partition(X, np.array([3, 1, 1, 2]), None), np.array([1, 2, 3]))
    assert_array_equal(three.y, [2, 0, 0, 1])
    assert_array_equal(encode(Partition(X, np.arange(4.0), None), None).y, [[0], [1], [2], [3]])
    assert two.X is X


def test_facts(rng):
    part = Partition(rng.normal(size=(4, 5)), np.array(["b", "a", "b", "b"]), np.array([1.0, 0, 2, 0.5]))
    rows, columns, target_columns, classes, weight = facts(part, classify=True)
    assert (rows, columns, target_columns, weight) == (4, 5, 0, 3.5)
    assert_array_equal(classes, ["a", "b"])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_first_step_is_that_of_the_local_estimator(part):
    """The architecture of the kernels and that of `cost_and_gradient` are one."""
    clf = MLPClassifier(4, "tanh", solver="sgd", alpha=0, momentum=0, batch_size=60, max_iter=1, random_state=0)
    start = MLPClassifier(4, "tanh", solver="sgd", alpha=0, learning_rate_init=1e-300, max_iter=1, random_state=0)
    clf.fit(part.X, part.y)
    start.fit(part.X, part.y)
    w = pack(start.coefs_, start.intercepts_)
    g = gradient(part, w, None, ARCHITECTURE).g
    assert_array_equal(pack(clf.coefs_, clf.intercepts_), w - 0.001 * g)
