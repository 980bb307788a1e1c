"""One training step: the gradient matches the reference for any team, and no access is out of bounds.

Kernels do not check pointers. Therefore these tests surround each array of an engine with guard bytes, which read as
NaN or -1, and check afterwards that they are unchanged.
"""

from typing import NamedTuple

import numpy as np
import pytest
import scipy.sparse
from fastmlp.kernels import layout, step
from fastmlp.kernels._link import vector_bytes
from fastmlp.kernels.layout import Hyper, Memory, share_weights
from fastmlp.kernels.tables import OPTIMIZERS, STORE

from fastmlp.reference import vectorized
from fastmlp.training import _engine, _predict, _workspace
from fastmlp.training._data import prepare_data
from fastmlp.training._engine import Engine
from fastmlp.training._network import Network
from fastmlp.training._predict import predict
from fastmlp.training._row_order import RowOrder
from fastmlp.training._state import TrainingState
from fastmlp.training._threads import Team
from fastmlp.training._workspace import addresses_of

DTYPES = [np.float32, np.float64]
ROWS = 37
BATCHES = [1, 2, 13, 14, 15, 16, 17, 37]  # with remainders of 0 to 11 rows
TEAMS = [1, 2, 3]
GUARD = 4096 + 8  # bytes; so that no array begins at a multiple of a vector


def test_memory_in_full_strips_has_room_for_padded_samples():
    assert layout.STRIP % step.SAMPLES == 0


class Case(NamedTuple):
    """A network with widths that are difficult for tiles and vectors."""

    units: tuple
    activations: tuple = ()
    output: tuple = ("softmax", "log_loss")
    options: dict = {}  # noqa: RUF012 -- a NamedTuple's default, never written
    weighted: bool = False
    penalty: str = "mean"


CASES = {
    "widths of one": Case((1, 1, 1), ("relu",), ("logistic", "log_loss")),
    "no hidden layer": Case((7, 3), weighted=True),
    "beside a vector": Case((15, 17, 31, 33, 2), ("tanh", "relu", "gelu"), ("identity", "squared_error")),
    "primes": Case((13, 29, 67, 5), ("elu", "silu"), ("logistic", "squared_error"), weighted=True),
    "bottleneck": Case((33, 1, 33, 3), ("softplus", "logistic"), penalty="sum"),
    "maxout": Case((9, 17, 4, 3), ("maxout", "maxout"), options={"maxout_pieces": 3}),
    "residual": Case(
        (16, 16, 16, 16, 3), ("tanh", "gelu", "maxout"), ("exp", "poisson"), {"residual": True}, weighted=True
    ),
    "batch norm": Case((11, 33, 9, 2), ("relu", "selu"), ("logistic", "log_loss"), {"batch_norm": True}),
    "everything": Case(
        (17, 17, 17, 5), ("maxout", "leaky_relu"), options={"residual": True, "batch_norm": True}, weighted=True
    ),
    "a wide layer": Case((29, 301, 3), ("identity",)),
}


def problem(case, dtype, csr, rows=ROWS):
    """Return data and weights, with the same numbers for dense and CSR."""
    rng = np.random.default_rng(0)
    link, loss = case.output
    network = Network(case.units, case.activations, link, loss, **case.options)
    X = rng.normal(size=(rows, case.units[0])) * (rng.random((rows, case.units[0])) < 0.4)
    K = case.units[-1]
    if link == "softmax":
        Y = rng.integers(0, K, rows)
    elif loss == "log_loss":
        Y = rng.integers(0, 2, (rows, K)).astype(float)
    elif loss == "poisson":
        Y = rng.poisson(2, (rows, K)).astype(float)
    else:
        Y = rng.normal(size=(rows, K))
    weight = rng.uniform(0.5, 2, rows) if case.weighted else None
    data = prepare_data(scipy.sparse.csr_array(X) if csr else X, Y, weight, dtype)
    w = rng.normal(scale=0.3, size=network.table()[1].w).astype(dtype)
    return network, data, w, X, Y, weight


def statistics(network, dtype):
    stats = np.zeros(network.table()[1].stats, dtype)
    for variance in network.running(stats)[1]:
        variance[...] = 1
    return stats


def build(case, dtype, *, csr=False, optimizer="adam", batch=ROWS, team=1, shuffle=True, rows=ROWS, limit=np.inf):
    """Return an engine as estimators create it, for a team of exactly this size (at most one rank per row)."""
    network, data, w, *_ = problem(case, dtype, csr, rows)
    storing = optimizer == "store"
    state = TrainingState.new(None if storing else optimizer, w.size, dtype, 0.01)
    code = STORE if storing else OPTIMIZERS[optimizer].code
    hyper = Hyper(optimizer=code, batch=batch, alpha=0.5, penalty_sum=case.penalty == "sum", max_grad_norm=limit)
    order = RowOrder(rows, batch, shuffle=shuffle, random=np.random.RandomState(0))
    engine = Engine(network, data, w, statistics(network, dtype), hyper, state, order, team)
    assert engine.threads == min(team, engine.workspace.plan.chunk)
    return engine


@pytest.fixture(autouse=True)
def _large_teams(monkeypatch):
    """Use the whole team even for small problems."""
    monkeypatch.setattr(_engine, "FLOPS_PER_THREAD", 1)
    monkeypatch.setattr(_predict, "FLOPS_PER_THREAD", 1)


# Arrays that a pass writes before it reads them. They are filled with NaN or -1, so that old values are not used.
SCRATCH = {
    *("A", "D", "d_panels", "H", "T", "units", "row_weight", "squares", "scratch", "loss", "unit_loss", "lanes"),
    *("cursor", "rows", "picks", "words", "g"),
}
INPUTS = {"X", "values", "Y", "sample_weight", "zeros", "ones", "indptr", "indices", "labels"}


def block_around(array, fill=False):
    """Return a copy of the array between guard bytes, and the block that contains both."""
    block = np.full(array.nbytes + 2 * GUARD, 0xFF, np.uint8)
    inner = block[GUARD : GUARD + array.nbytes].view(array.dtype).reshape(array.shape)
    if not fill:
        inner[...] = array
    return inner, block


def guard(engine):
    """Move all arrays of the engine between guard bytes, and return the blocks."""
    blocks, arrays, workspace = {}, {}, engine.workspace
    for name in Memory._fields:
        arrays[name], blocks[name] = block_around(getattr(workspace.memory, name), fill=name in SCRATCH)
    workspace.memory = workspace.memory._replace(**arrays)
    workspace.addresses = addresses_of(workspace.memory, workspace.linked, engine.w.dtype)
    engine.w, workspace.g, engine.stats = arrays["w"], arrays["g"], arrays["stats"]
    engine.state.m, engine.state.v = arrays["m"], arrays["v"]
    engine.order.order, engine.order.words = arrays["order"], arrays["random"]
    workspace.transpose_weights()
    return blocks


def assert_guards_stand(blocks):
    for name, block in blocks.items():
        assert (block[:GUARD] == 0xFF).all(), f"written before {name}"
        assert (block[-GUARD:] == 0xFF).all(), f"written after {name}"


def run(engine, epochs):
    with Team(engine.threads) as team:
        engine.run(team, epochs)


def results(engine):
    """Return all results of training."""
    return {
        "w": engine.w,
        "m": engine.state.m,
        "v": engine.state.v,
        "g": engine.g,
        "stats": engine.stats,
        "transposed": engine.workspace.memory.transposed,
        "history": np.array(engine.history),
        "random": engine.order.words,
    }


def assert_same(a, b, names=None):
    for name in names or a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.mark.parametrize("csr", [False, True], ids=["dense", "CSR"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_steps_stay_within_arrays(case, dtype, csr):
    for batch in BATCHES:
        shuffle = batch != 16  # without shuffling, rows of X are read in place
        plain = build(case, dtype, csr=csr, batch=batch, shuffle=shuffle)
        run(plain, 2)
        assert np.isfinite(plain.w).all()
        for team in TEAMS:
            guarded = build(case, dtype, csr=csr, batch=batch, team=team, shuffle=shuffle)
            inputs = {name: getattr(guarded.workspace.memory, name).copy() for name in INPUTS}
            blocks = guard(guarded)
            run(guarded, 2)
            assert_guards_stand(blocks)
            assert_same(results(guarded), results(plain), {"w", "m", "v", "stats", "transposed", "history"})
            assert_same({name: getattr(guarded.workspace.memory, name) for name in INPUTS}, inputs)


@pytest.mark.parametrize("csr", [False, True], ids=["dense", "CSR"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["beside a vector", "residual", "everything", "a wide layer"])
def test_panels_do_not_change_the_step(name, dtype, csr, monkeypatch):
    """Products of large layers read panels: the same bits, for whole batches, for and for chunks."""
    case = CASES[name]
    for optimizer, batch, chunk_rows in (("adam", 30, 256), ("nesterov", ROWS, 8), ("store", ROWS, 8)):
        monkeypatch.setattr(_workspace, "CHUNK_BYTES", 1)
        monkeypatch.setattr(_workspace, "CHUNK_ROWS", chunk_rows)
        plain = build(case, dtype, csr=csr, optimizer=optimizer, batch=batch)
        assert not plain.workspace.table["panels"].any()
        run(plain, 2)
        with monkeypatch.context() as patch:
            patch.setattr(_workspace, "LARGE_BYTES", 1)
            for team in TEAMS:
                guarded = build(case, dtype, csr=csr, optimizer=optimizer, batch=batch, team=team)
                assert guarded.workspace.table["panels"][1 + csr :].all()
                blocks = guard(guarded)
                run(guarded, 2)
                assert_guards_stand(blocks)
                assert_same(results(guarded), results(plain), {"w", "m", "v", "g", "stats", "history"})


@pytest.mark.parametrize("csr", [False, True], ids=["dense", "CSR"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_padding_does_not_change_the_step(case, dtype, csr, monkeypatch):
    """Rows of A and D with a gap behind each of them give the same bits, in training and in predictions."""

    def forget():
        Network.table.cache_clear()
        _predict._prepare.cache_clear()
        _predict._scratch.call = None

    def train_and_predict(guarded, team, shuffle, large):
        with monkeypatch.context() as patch:
            patch.setattr(_workspace, "LARGE_BYTES", large)
            engine = build(case, dtype, csr=csr, batch=14, team=team, shuffle=shuffle)
        blocks = guard(engine) if guarded else {}
        run(engine, 2)
        assert_guards_stand(blocks)
        X = problem(case, dtype, csr)[3].astype(dtype)
        X = scipy.sparse.csr_array(X) if csr else X
        outputs = predict(engine.network, engine.w, engine.stats, X, lambda: team)
        return results(engine) | {"outputs": outputs}, engine.workspace.table

    try:
        for shuffle, large in ((True, 1 << 40), (False, 1 << 40), (True, 1)):
            forget()
            plain, _ = train_and_predict(False, 1, shuffle, large)
            with monkeypatch.context() as patch:
                patch.setattr(layout, "padded", lambda units, line: units + line)
                forget()
                for team in TEAMS:
                    wide, table = train_and_predict(True, team, shuffle, large)
                    assert_same(wide, plain, {"w", "m", "v", "stats", "history", "outputs"})
            if not case.options:
                plainly = (
                    (table["keep"] == 0) & (np.arange(len(table)) > csr) & (np.arange(len(table)) < len(table) - 1)
                )
                assert (table["a_row"] > table["units"])[plainly].all()
    finally:
        forget()


@pytest.mark.parametrize("csr", [False, True], ids=["dense", "CSR"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.options.get("batch_norm")])
def test_claimed_work_does_not_change_the_step(name, dtype, csr, monkeypatch):
    """Threads that claim parts of the rows and pieces of the weights get the same bits as one thread."""
    case, rows = CASES[name], 300  # several parts of 28 or 24 rows in each share
    claimed = set()
    for optimizer, batch, chunk_rows, limit in (
        ("adam", 300, 512, np.inf),
        ("nesterov", 200, 512, 0.1),
        ("store", 300, 128, np.inf),
    ):
        monkeypatch.setattr(_workspace, "CHUNK_BYTES", 1)
        monkeypatch.setattr(_workspace, "CHUNK_ROWS", chunk_rows)
        options = {"csr": csr, "optimizer": optimizer, "batch": batch, "rows": rows, "limit": limit}
        plain = build(case, dtype, **options)
        run(plain, 2)
        for team, large in ((2, 1 << 40), (3, 1), (8, 1)):
            with monkeypatch.context() as patch:
                patch.setattr(_workspace, "CLAIMED_FLOPS", 1)
                patch.setattr(_workspace, "PART_ROWS", 1)
                patch.setattr(_workspace, "LARGE_BYTES", large)
                guarded = build(case, dtype, team=team, **options)
            claimed.add(guarded.workspace.plan.parts)
            blocks = guard(guarded)
            run(guarded, 2)
            assert_guards_stand(blocks)
            assert_same(results(guarded), results(plain), {"w", "m", "v", "g", "stats", "history"})
    assert claimed == {_workspace.MOST_PARTS}


@pytest.mark.parametrize("optimizer", ["store", *OPTIMIZERS])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["primes", "residual", "everything", "a wide layer"])
def test_batches_in_chunks_stay_within_arrays(name, dtype, optimizer, monkeypatch):
    """A batch that is larger than the cache is processed in chunks, whose gradients are summed."""
    monkeypatch.setattr(_workspace, "CHUNK_BYTES", 1)
    monkeypatch.setattr(_workspace, "CHUNK_ROWS", 8)
    for csr in (False, True):
        plain = build(CASES[name], dtype, csr=csr, optimizer=optimizer, batch=30)
        chunked = plain.workspace.plan.chunk < 30
        assert chunked == (not CASES[name].options.get("batch_norm"))
        run(plain, 2)
        for team in TEAMS:
            guarded = build(CASES[name], dtype, csr=csr, optimizer=optimizer, batch=30, team=team)
            blocks = guard(guarded)
            run(guarded, 2)
            assert_guards_stand(blocks)
            assert_same(results(guarded), results(plain))


@pytest.mark.parametrize("csr", [False, True], ids=["dense", "CSR"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_predictions_stay_within_arrays(case, dtype, csr, monkeypatch):
    network, _, w, X, *_ = problem(case, dtype, csr)
    stats = statistics(network, dtype)
    X = X.astype(dtype)
    for rows in (1, 2, 13, 37):
        x = scipy.sparse.csr_array(X[:rows]) if csr else X[:rows]
        expected = predict(network, w, stats, x, lambda: 1)
        for team in TEAMS:
            with monkeypatch.context() as patch:
                blocks = guard_predictions(patch)
                inside = {"w": block_around(w), "X": block_around(X[:rows])}
                x = scipy.sparse.csr_array(X[:rows]) if csr else inside["X"][0]
                h = predict(network, inside["w"][0], stats, x, lambda team=team: team)
            np.testing.assert_array_equal(h, expected)
            assert_guards_stand({name: block for name, (_, block) in inside.items()})
            assert blocks
            for block, inner in blocks:
                outside = np.ones(block.size, bool)
                for start, stop in inner:
                    outside[start:stop] = False
                assert (block[outside] == 0xFF).all()


def guard_predictions(patch):
    """Place guard bytes around and between the buffers of predictions; return (block, inner parts)."""
    blocks, parts = [], []
    prepare, address_of = _predict._prepare, _predict.address

    def spread(*args):
        prepared = prepare(*args)
        places = np.flatnonzero(prepared.in_work)
        starts = prepared.addresses[places]
        order = np.argsort(starts, kind="stable")
        shift = np.empty_like(starts)
        shift[order] = GUARD * np.arange(1, len(starts) + 1)
        ends = np.append(np.sort(starts)[1:], prepared.work_bytes)
        parts.extend(zip(np.sort(starts) + np.sort(shift), ends + np.sort(shift), strict=True))
        addresses = prepared.addresses.copy()
        addresses[places] = starts + shift
        return prepared._replace(addresses=addresses, work_bytes=prepared.work_bytes + GUARD * (len(starts) + 1))

    def address(array):
        if array.dtype != np.uint8:
            return address_of(array)
        block = np.full(array.nbytes, 0xFF, np.uint8)
        blocks.append((block, list(parts)))
        return address_of(block)

    patch.setattr(_predict, "_prepare", spread)
    patch.setattr(_predict, "address", address)
    patch.setattr(_predict, "_scratch", _predict._Scratch())  # without the buffers of an earlier prediction
    return blocks


def parts_of(network, vector):
    """Return the arrays of a vector in the order of w, as the reference returns them."""
    coefs, intercepts, gammas, betas = network.parts(vector)
    return [*coefs, *intercepts, *gammas, *betas]


@pytest.mark.parametrize("csr", [False, True], ids=["dense", "CSR"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_cost_and_gradient_match_reference(case, dtype, csr, rounding_error):
    network, _, w, X, Y, weight = problem(case, dtype, csr)
    coefs, intercepts, gammas, betas = ([a.astype(np.float64) for a in arrays] for arrays in network.parts(w))

    def reference_cost(coefs, intercepts, gammas, betas):
        return vectorized.cost_and_gradient(
            coefs,
            intercepts,
            X.astype(dtype).astype(np.float64),
            np.eye(case.units[-1])[Y] if Y.ndim == 1 else Y.astype(dtype).astype(np.float64),
            activation=case.activations or "relu",
            output=case.output[0],
            loss=case.output[1],
            alpha=0.5,
            penalty=case.penalty,
            sample_weight=None if weight is None else weight.astype(dtype).astype(np.float64),
            residual=network.residual,
            batch_norm=list(zip(gammas, betas, strict=True)) if network.batch_norm else None,
            maxout_pieces=network.maxout_pieces,
        )

    start = (coefs, intercepts, gammas, betas)
    cost, *gradients = reference_cost(*start)
    expected = [*gradients[0], *gradients[1]]
    if network.batch_norm:
        expected += [g for g, _ in gradients[2]] + [b for _, b in gradients[2]]
    tolerance = rounding_error(reference_cost, start, dtype)
    for team in TEAMS:
        engine = build(case, dtype, csr=csr, optimizer="store", team=team)
        run(engine, 1)
        assert engine.history[0] == pytest.approx(cost, rel=tolerance, abs=tolerance)
        for ours, other in zip(parts_of(network, engine.g), expected, strict=True):
            np.testing.assert_allclose(ours, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("csr", [False, True], ids=["dense", "CSR"])
def test_each_bias_is_updated_once(csr, dtype):
    """Regression test: a rank whose share of a layer is empty and begins after the bias also updated the bias."""
    case = Case((64, 64, 64, 10), ("relu", "relu"), options={"residual": True})
    network, *_ = problem(case, dtype, csr)
    one, two = (build(case, dtype, csr=csr, team=team) for team in (1, 2))
    assert share_weights(two.workspace.table, 2, vector_bytes() // two.w.itemsize)[1].tolist() == [0, 65, 65]
    for engine in (one, two):
        run(engine, 3)
    for ours, other in zip(parts_of(network, two.w), parts_of(network, one.w), strict=True):
        np.testing.assert_array_equal(ours, other)


def test_step_does_not_depend_on_shares(monkeypatch):
    """Boundaries before, between and after the blocks of W, and before and after the bias, give the same step."""
    case = Case((8, 6, 2), ("tanh",), options={"batch_norm": True})
    expected = build(case, np.float64)
    run(expected, 2)
    for first in (0, 4, 8, 9):
        for second in (0, 4, 6, 7):
            engine = build(case, np.float64, team=2)
            share = np.array([[0, 0, 0], [0, first, 9], [0, second, 7]])
            monkeypatch.setattr(_engine, "share_weights", lambda *args, share=share: share)
            run(engine, 2)
            np.testing.assert_array_equal(engine.w, expected.w)
            np.testing.assert_array_equal(engine.history, expected.history)
