"""Sharing of the weights among threads: each row of every layer is taken once, and bits do not depend on by whom.

test_step.py checks the gradients and updates that the threads compute from their rows.
"""

import numpy as np
import pytest
from fastmlp.kernels import matmul, weights
from fastmlp.kernels._jit import OPTIONS
from fastmlp.kernels._link import vector_bytes
from fastmlp.kernels._memory import at
from fastmlp.kernels._records import record
from fastmlp.kernels.layout import (
    BLOCK_ROWS,
    CLAIMS,
    PANEL_ROWS,
    ROUND_ROWS,
    SIGNALS,
    Plan,
    layer_table,
    record_of,
    share_weights,
)
from numba import njit

NETWORKS = {
    "one layer": [7, 3],
    "smaller than a piece": [4, 10, 3],
    "unequal layers": [784, 256, 10],
    "panels": [300, 301, 120, 2],
}
LARGE = 20_000  # weights of a layer with panels


@njit(**OPTIONS)
def take(layers, plan, share, signals, rank, team, turn, piece):
    """Return the next piece of thread `rank`, see `weights.next_piece`."""
    return weights.next_piece(
        at(layers, 0), record(at(plan, 0), 0), at(share, 0), at(signals, 0), rank, team, turn, piece
    )


def table_of(units):
    return layer_table(units, ["relu"] * (len(units) - 2), large=LARGE)[0]


def pieces_of(units, team, parts, order):
    """Return the pieces (rank, layer, first row, end) that a team takes, if rank order(step) takes one in each step."""
    table = table_of(units)
    share = share_weights(table, team, vector_bytes() // 4)
    fields = dict.fromkeys(Plan._fields, 0) | {"last": len(units) - 1, "parts": parts}
    plan, signals = record_of(Plan(**fields)), np.zeros(SIGNALS + CLAIMS * team, np.int64)
    places, taken, step = [(0, -1)] * team, [], 0
    while any(turn < team for turn, _ in places):
        rank = order(step)
        step += 1
        if places[rank][0] < team:
            *place, l, first, end = take(table, plan, share, signals, rank, team, *places[rank])
            places[rank] = tuple(place)
            if l:
                taken.append((rank, l, first, end))
    return taken, share


def assert_each_row_once(taken, units):
    for l in range(1, len(units)):
        rows = [row for _, layer, first, end in taken if layer == l for row in range(first, end)]
        assert sorted(rows) == list(range(units[l - 1] + 1))  # the last one is the bias


ORDERS = {
    "in turns": lambda team: lambda step: step % team,
    "one after the other": lambda team: lambda step: min(step // 1000, team - 1),
    "last rank first": lambda team: lambda step: max(team - 1 - step // 1000, 0),
    "at random": lambda team: lambda step: np.random.default_rng(step).integers(team),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("team", [1, 2, 3, 8])
@pytest.mark.parametrize("parts", [1, 4], ids=["static", "claimed"])
@pytest.mark.parametrize("units", NETWORKS.values(), ids=NETWORKS)
def test_each_row_is_taken_once(units, parts, team, order):
    taken, _ = pieces_of(units, team, parts, ORDERS[order](team))
    assert_each_row_once(taken, units)
    # Blocks of the penalty's sum of squares are not divided.
    assert all(first % BLOCK_ROWS == 0 for _, l, first, _ in taken if first < units[l - 1])


@pytest.mark.parametrize("units", NETWORKS.values(), ids=NETWORKS)
def test_static_pieces_are_the_shares(units):
    """Without claiming, the share of a rank in a layer is one piece, whichever rank is faster."""
    for order in ORDERS.values():
        taken, share = pieces_of(units, 3, 1, order(3))
        expected = [
            (rank, l, share[l, rank], share[l, rank + 1])
            for rank in range(3)
            for l in range(1, len(units))
            if share[l, rank] < share[l, rank + 1]
        ]
        assert sorted(taken) == expected


@pytest.mark.parametrize("team", [2, 3, 8])
def test_fast_rank_takes_the_pieces_of_slow_ranks(team):
    """If the other ranks do not run, rank 0 takes every piece; in small pieces, so that it never waits for long."""
    units = NETWORKS["unequal layers"]
    taken, _ = pieces_of(units, team, 4, lambda step: min(step // 1000, team - 1))
    assert {rank for rank, *_ in taken} == {0}
    heights = {(l, end - first) for _, l, first, end in taken}
    table = table_of(units)
    assert max(height for l, height in heights if table["panels"][l]) == weights.HEIGHT
    assert max(height for l, height in heights if not table["panels"][l]) <= weights.ROUND


def test_rounds_fit_in_the_scratch():
    """The scratch has the size of the largest rounds of any CPU. Rounds consist of whole tiles and whole blocks."""
    assert weights.ROUND <= ROUND_ROWS
    assert weights.HEIGHT <= PANEL_ROWS
    for rows in (weights.ROUND, weights.HEIGHT):
        assert rows % BLOCK_ROWS == rows % matmul.ROWS[0] == 0
