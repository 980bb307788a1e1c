"""The memory layout has no gaps and no overlaps, and the shares of a team cover every weight once."""

import numpy as np
import pytest
from fastmlp.kernels import layout
from fastmlp.kernels.layout import BIAS_COST, BLOCK_ROWS, MEMORY, Memory, layer_table, share_weights
from hypothesis import given
from hypothesis import strategies as st

from fastmlp.training._workspace import addresses_of

widths = st.integers(1, 70)
names = st.sampled_from(["identity", "relu", "tanh", "gelu", "silu", "softplus", "maxout"])


@st.composite
def networks(draw):
    """Draw arguments of `layer_table`."""
    units = draw(st.lists(st.one_of(st.just(16), widths), min_size=2, max_size=6))
    activations = draw(st.lists(names, min_size=len(units) - 2, max_size=len(units) - 2))
    options = {
        "pieces": draw(st.integers(2, 4)),
        "residual": draw(st.booleans()),
        "batch_norm": draw(st.booleans()),
        "rows": draw(st.integers(1, 40)),
        "gather": draw(st.booleans()),
        "large": draw(st.sampled_from([1, 200, 1000, float("inf")])),
        "sparse": draw(st.booleans()),
        "line": draw(st.sampled_from([0, 1, 2, 16])),
    }
    return units, activations, options


def assert_tiles(parts, size):
    """Check that the parts (start, length) fill 0..size without gaps and overlaps."""
    end = 0
    for start, length in sorted(part for part in parts if part[1]):
        assert start == end
        end += length
    assert end == size


@given(networks())
def test_vectors_have_no_gaps_or_overlaps(network):
    units, activations, options = network
    table, sizes = layer_table(units, activations, **options)
    rows, last = options["rows"], len(units) - 1
    weights, transposed, A, D, H, stats, blocks = [], [], [], [], [], [], []
    w_panels, d_panels = [], []
    A.append((0, layout.aligned(rows * int(table["a_row"][0])) if options["gather"] else 0))
    for l in range(1, last + 1):
        row, fan_in = table[l], units[l - 1]
        hidden = l < last
        q = units[l] * (options["pieces"] if hidden and activations[l - 1] == "maxout" else 1)
        assert row["units"] == units[l]
        assert row["pre"] == q
        weights += [(row["w"], fan_in * q), (row["b"], q)]
        large = fan_in * q >= options["large"] and not (options["sparse"] and l == 1)
        assert row["panels"] == large
        if large:
            assert layout.in_panels(q) % layout.PANEL == 0
            w_panels.append((row["w_panels"], fan_in * layout.in_panels(q)))
            d_panels.append((row["d_panels"], rows * layout.in_panels(q)))
            transposed.append((row["t"], layout.in_panels(fan_in) * q if l > 1 else 0))
        else:
            transposed.append((row["t"], layout.aligned(fan_in * q) if l > 1 else 0))
        assert row["a_row"] in (units[l], layout.padded(units[l], options["line"]))
        assert row["d_row"] in (q, layout.padded(q, options["line"]))
        A.append((row["a"], layout.aligned(rows * int(row["a_row"]))))
        D.append((row["d"], layout.aligned(rows * int(row["d_row"]))))
        blocks.append((row["block"], -(-fan_in // BLOCK_ROWS)))
        assert row["norm"] == (hidden and options["batch_norm"])
        assert row["residual"] == (hidden and options["residual"] and units[l] == fan_in)
        if row["norm"]:
            weights.append((row["gamma"], 2 * q))
            H.append((row["h"], (rows + 4) * q))
            stats.append((row["stats"], 2 * q))
    for parts, size in (
        (weights, sizes.w),
        (transposed, sizes.transposed),
        (w_panels, sizes.w_panels),
        (d_panels, sizes.d_panels),
        (A, sizes.A),
        (D, sizes.D),
        (H, sizes.H),
        (stats, sizes.stats),
        (blocks, sizes.blocks),
    ):
        assert_tiles(parts, size)


def test_rows_that_share_few_sets_of_a_cache_are_padded():
    """Rows of 512 numbers lie one cache line of 8 numbers further apart, unless a kernel needs them without gaps."""
    units, options = [512, 512, 512, 100, 512], {"rows": 16, "line": 8}
    table, sizes = layer_table(units, ["relu", "tanh", "relu"], **options)
    np.testing.assert_array_equal(table["a_row"], [520, 520, 520, 100, 512])
    np.testing.assert_array_equal(table["d_row"], [512, 520, 520, 100, 512])
    assert (sizes.A, sizes.D) == (16 * (3 * 520 + 100 + 512), 16 * (2 * 520 + 100 + 512))
    assert layer_table(units, ["relu", "maxout", "gelu"], **options)[0]["a_row"].tolist() == [520, 520, 512, 100, 512]
    for changed in ({"line": 0}, {"batch_norm": True}, {"residual": True}):
        table, _ = layer_table(units, ["relu", "tanh", "relu"], **options | changed)
        np.testing.assert_array_equal(table["a_row"], units)
    table, _ = layer_table(units, ["relu", "tanh", "relu"], **options, gather=False, sparse=True)
    np.testing.assert_array_equal(table["a_row"], [512, 512, 520, 100, 512])


@given(networks(), st.integers(1, 9))
def test_each_row_of_weights_belongs_to_one_rank(network, team):
    units, activations, options = network
    table, _ = layer_table(units, activations, **options)
    share = share_weights(table, team, 16)
    assert share.shape == (len(units), team + 1)
    for l in range(1, len(units)):
        fan_in = units[l - 1]
        assert share[l, 0] == 0
        assert share[l, team] == fan_in + 1
        assert (np.diff(share[l]) >= 0).all()
        # The penalty is summed in blocks of rows, so each block must belong to one rank.
        cuts = share[l][share[l] < fan_in]
        np.testing.assert_array_equal(cuts % BLOCK_ROWS, 0)


@given(networks(), st.integers(2, 9), st.sampled_from([2, 4, 8, 16]))
def test_shares_are_balanced(network, team, lanes):
    """The work is the number of vectors of the gradient. A partial vector at the end of a row counts as one."""
    units, activations, options = network
    table, _ = layer_table(units, activations, **options)
    share = share_weights(table, team, lanes)
    fan_in, vectors = table["units"][:-1], -(-table["pre"][1:] // lanes)
    # Work before a boundary: rows of W, then the bias.
    before = (np.minimum(share[1:].T, fan_in) + BIAS_COST * (fan_in < share[1:].T)) * vectors
    load = np.diff(before.sum(axis=1))
    # Each of the two boundaries may be off by half a block, or by the bias after a partial block.
    slack = 2 * (BLOCK_ROWS + BIAS_COST) * vectors.max()
    assert load.max() <= load.sum() / team + slack


def memory(dtype, **changed):
    """Return a `Memory` of arrays with one number each."""
    return Memory(**({name: np.zeros(1, kind or dtype) for name, kind in MEMORY.items()} | changed))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_addresses_follow_field_order(dtype):
    m = memory(dtype)
    expected = [array.ctypes.data for array in m] + [1, 2]
    np.testing.assert_array_equal(addresses_of(m, (1, 2), np.dtype(dtype)), expected)


@pytest.mark.parametrize("name", Memory._fields)
def test_wrong_arrays_raise(name):
    """Kernels do not check pointers, so wrong arrays must be detected here."""
    array = getattr(memory(np.float32), name)
    other = np.float32 if array.dtype == np.float64 else np.float64
    strided = np.zeros((4, 4), array.dtype)[:, :2]
    for wrong in (array.astype(other), strided):
        with pytest.raises(TypeError, match=f"{name} must be a C-contiguous array of {array.dtype}"):
            addresses_of(memory(np.float32, **{name: wrong}), (), np.dtype(np.float32))
