"""Phase B of a training step: gradient and update of the weights.

Each thread processes a part of the rows of the weight matrices: it computes their gradient over the whole batch,
updates them while they are in its cache, and writes the copies of them that the products of the next step read. There
is no reduction over threads, so the results do not depend on the size of the team. Letters as in `step`.
"""

from typing import Any

import numpy as np

from ._call import call
from ._jit import LinkedKernel, inlined, kernel, linked_kernel
from ._memory import copy, fill, offset, view
from ._records import record
from ._simd import VECTOR_BYTES, smaller
from .layout import BLOCK_ROWS, CLAIMED_WEIGHTS, CLAIMS, LANES, ROUND_ROWS, SIGNALS
from .matmul import ROWS
from .panels import HEIGHT, PREFETCHING
from .reductions import add_squares
from .step import layer_rows
from .tables import STORE
from .team import atomic_add

__all__ = ["ROUND", "linked"]

# Rows of W in a round of the gradient pass: whole tiles of the matrix product (of 14, 6 or 8 rows) and whole blocks of
# the penalty's sum of squares.
ROUND = {64: ROUND_ROWS, 32: 24, 16: 24}[VECTOR_BYTES]


@inlined
def decay_weights(w, factor):
    """w <- w factor."""
    for i in range(w.size):
        w[i] = w[i] * factor


@inlined
def finish_gradient(g, w, penalty, scale):
    """g <- (g + penalty w) scale."""
    for i in range(g.size):
        g[i] = (g[i] + penalty * w[i]) * scale


@inlined
def scale_gradient(g, scale):
    """g <- g scale."""
    for i in range(g.size):
        g[i] = g[i] * scale


@kernel
def update_slice(memory, hyper, start, g, n, rate, gain):
    """Optimizer step on the weights start..start + n, given their finished gradient g."""
    w, m, v = offset(memory.w, start), offset(memory.m, start), offset(memory.v, start)
    call(memory.linked.update, hyper, w, g, m, v, n, rate)
    if gain != 0.0:
        call(memory.linked.average, offset(memory.average, start), w, n, gain)


@kernel
def copy_rows(l, layers, memory, i, count):
    """Copy `count` rows of W_l, from row i, to the copies that products read.

    They are the panels of W_l, if it has any, and the transposed copy for the delta recurrence (l >= 2).
    """
    layer, fan_in = record(layers, l), record(layers, l - 1).units
    row, q = offset(memory.w, layer.w + i * layer.pre), layer.pre
    if layer.panels:
        call(memory.linked.pack, row, q, offset(memory.w_panels, layer.w_panels), fan_in, i, count, q)
        if l > 1:
            call(memory.linked.pack_transposed, row, q, offset(memory.transposed, layer.t), q, i, count, q)
    elif l > 1:
        call(memory.linked.transpose, row, q, offset(memory.transposed, layer.t + i), fan_in, count, q)


@kernel
def piece_of(layers, plan, share, owner, team, piece):
    """Return piece number `piece` of the share of rank `owner`: (l, first row, end); l = 0 if it does not exist.

    If pieces are not claimed, the share in a layer is one piece.
    """
    for l in range(1, plan.last + 1):
        first, end = share[l * (team + 1) + owner], share[l * (team + 1) + owner + 1]
        if end > first:
            height = end - first
            if plan.parts > 1:
                height = np.int64(HEIGHT if record(layers, l).panels else ROUND)
            pieces = (end - first + height - 1) // height
            if piece < pieces:
                first += piece * height
                return np.int64(l), first, smaller(first + height, end)
            piece -= pieces
    return np.int64(0), np.int64(0), np.int64(0)


@kernel
def next_piece(layers, plan, share, signals, rank, team, turn, piece):
    """Return the next piece of the weights for thread `rank`: (turn, piece, l, first row, end).

    The thread takes the pieces of its own share. If pieces are claimed, it continues with those pieces of the other
    shares that nobody has claimed. `turn` is the number of shares that it has been through and `piece` the last one
    that it took of the present share; `turn` = team means that no piece is left.
    """
    claiming = plan.parts > 1
    while turn < (team if claiming else 1):
        owner = (rank + turn) % team
        piece = atomic_add(signals, SIGNALS + CLAIMS * owner + CLAIMED_WEIGHTS, 1) if claiming else piece + 1
        l, first, end = piece_of(layers, plan, share, owner, team, piece)
        if l > 0:
            return turn, piece, l, first, end
        turn, piece = turn + 1, np.int64(-1)
    return np.int64(team), piece, np.int64(0), np.int64(0), np.int64(0)


def linked(number: Any) -> list[LinkedKernel]:
    """Declare the kernels for networks of `number`."""

    @linked_kernel(number)
    def gradient_of_rows(
        layers,
        plan,
        memory,
        hyper,
        share,
        start,
        rows,
        continued,
        final,
        deferred,
        penalty,
        scale,
        decay,
        rate,
        gain,
        rank,
        team,
        signals,
    ):
        """Phase B: gradient of this thread's rows of every W_l and b_l over the chunk, and the update.

        G_l = (A_{l-1}^T D_l + penalty W_l) scale; biases without the penalty. `share` points to the result of
        `share_weights`, (L + 1, team + 1). A batch may have several chunks: `continued` means that g holds the sum of
        the previous ones, `final` that this is the last one. With the optimizer STORE, or if the update is deferred
        to `update_rows`, the gradient stays in g. W_l is multiplied by 1 - `decay` before its update. If `gain` is
        not zero, the averaged weights follow, see `averaging.follow`. Writes w, m, v and the average (or g), the
        transposed copies and `squares`.

        A single thread whose scratch has room for the gradient of all weights updates them in one call, because a small
        network has many slices that are not full strips.
        """
        plan = record(plan, 0)
        scratch = offset(memory.scratch, rank * plan.scratch)
        cursor = offset(memory.cursor, rank * plan.chunk)
        storing = record(hyper, 0).optimizer == STORE
        storing = storing or deferred != 0
        stored = storing or continued or not final
        number = view(scratch, 0, 0).dtype.type
        penalty, scale = number(penalty), number(scale)
        last = plan.last
        n_weights = record(layers, last).b + record(layers, last).pre
        at_once = team == 1 and not stored and n_weights <= plan.scratch and plan.uniform
        for l in range(1, last + 1):
            at_once = at_once and record(layers, l).panels == 0  # their columns of A need the scratch
        turn, piece, sought = np.int64(0), np.int64(-1), np.int64(-1)
        while True:
            turn, piece, l, i, end = next_piece(layers, plan, share, signals, rank, team, turn, piece)
            if turn == team:
                break
            layer = record(layers, l)
            fan_in, q = record(layers, l - 1).units, layer.pre
            # The scratch holds a round of the widest layer.
            height = np.int64(HEIGHT) if layer.panels else plan.scratch // (q * ROUND) * ROUND
            d = offset(memory.D, layer.d)
            if l == 1 and plan.sparse:
                if i != sought:
                    call(memory.linked.csr_seek, memory.indices, memory.indptr, memory.rows, rows, cursor, i)
                sought = end  # the gradient of the piece advances the cursors to its end
            while i < end:
                # The rows of W are followed by b, which is row fan_in, and by gamma and beta.
                bias = i == fan_in
                count = np.int64(1) if bias else smaller(height, smaller(end, fan_in) - i)
                n = 3 * q if bias and layer.norm else count * q
                begin = layer.w + i * q
                target = offset(memory.g, begin) if stored else offset(scratch, begin if at_once else 0)
                g, w = view(target, 0, n), view(memory.w, begin, n)
                if l == 1 and plan.sparse and not bias:
                    if not continued:
                        fill(g, 0)
                    call(
                        memory.linked.csr_gradient,
                        memory.values,
                        memory.indices,
                        memory.indptr,
                        memory.rows,
                        rows,
                        cursor,
                        i,
                        i + count,
                        d,
                        target,
                        q,
                    )
                else:
                    a, a_row, a_col = offset(memory.ones, 0), np.int64(0), np.int64(0)
                    if not bias:
                        before = layer_rows(l - 1, layers, plan, memory, start, np.int64(0))
                        a, a_row, a_col = offset(before, i), np.int64(1), record(layers, l - 1).a_row
                    first, first_row = (target, q) if continued else (offset(memory.zeros, 0), np.int64(0))
                    if layer.panels and not bias:
                        # Values that a tile reads one after the other are far apart in A_{l-1}, so they are copied.
                        columns = offset(scratch, HEIGHT * q)
                        call(memory.linked.pack_columns, a, a_col, columns, rows, count)
                        call(
                            memory.linked.panel_product,
                            columns,
                            1,
                            ROWS[0],
                            ROWS[0] * rows,
                            offset(memory.d_panels, layer.d_panels),
                            plan.chunk,
                            target,
                            q,
                            count,
                            rows,
                            q,
                            first,
                            first_row,
                            PREFETCHING and final and not storing,
                            offset(memory.w, begin),
                            offset(memory.m, begin),
                            offset(memory.v, begin),
                        )
                    else:
                        call(
                            memory.linked.gemm,
                            a,
                            a_row,
                            a_col,
                            d,
                            layer.d_row,
                            target,
                            q,
                            count,
                            rows,
                            q,
                            first,
                            first_row,
                        )
                if bias and layer.norm:
                    # The backward pass has stored the sums over the batch after H.
                    copy(view(memory.H, layer.h + (rows + 2) * q, 2 * q), view(target, q, 2 * q))
                if final:
                    if penalty != 0 and not bias:
                        for r in range(0, count, BLOCK_ROWS):
                            squares = view(memory.squares, (layer.block + (i + r) // BLOCK_ROWS) * LANES, LANES)
                            add_squares(view(w, r * q, smaller(BLOCK_ROWS, count - r) * q), squares)
                        finish_gradient(g, w, penalty, scale)
                    else:
                        scale_gradient(g, scale)
                    if decay != 0 and not bias and not storing:
                        decay_weights(w, number(1.0 - decay * layer.rate_w))
                    if not storing and not at_once:
                        layer_rate = rate * (layer.rate_b if bias else layer.rate_w)
                        update_slice(memory, hyper, begin, target, n, layer_rate, gain)
                        if not bias:
                            copy_rows(l, layers, memory, i, count)
                i += count
        if at_once:
            update_slice(memory, hyper, np.int64(0), scratch, n_weights, rate, gain)
            for l in range(1, last + 1):
                copy_rows(l, layers, memory, np.int64(0), record(layers, l - 1).units)

    @linked_kernel(number)
    def update_rows(layers, plan, memory, hyper, share, factor, decay, rate, gain, rank, team):
        """Second part of phase B if the update was deferred: g <- g factor, and the update of this thread's rows.

        Writes w, m, v, the average (if `gain` is not zero), g and the transposed copies.
        """
        last = record(plan, 0).last
        number = view(memory.g, 0, 0).dtype.type
        scale = number(factor)
        for l in range(1, last + 1):
            layer, fan_in = record(layers, l), record(layers, l - 1).units
            q = layer.pre
            i, end = share[l * (team + 1) + rank], share[l * (team + 1) + rank + 1]
            rows = smaller(end, fan_in) - i
            if rows > 0:
                begin, n = layer.w + i * q, rows * q
                if factor != 1.0:
                    scale_gradient(view(memory.g, begin, n), scale)
                if decay != 0:
                    decay_weights(view(memory.w, begin, n), number(1.0 - decay * layer.rate_w))
                update_slice(memory, hyper, begin, offset(memory.g, begin), n, rate * layer.rate_w, gain)
                copy_rows(l, layers, memory, i, rows)
            if i <= fan_in and end > fan_in:
                n = 3 * q if layer.norm else q
                if factor != 1.0:
                    scale_gradient(view(memory.g, layer.b, n), scale)
                update_slice(memory, hyper, layer.b, offset(memory.g, layer.b), n, rate * layer.rate_b, gain)

    @linked_kernel(number)
    def copy_weights(layers, plan, memory):
        """Write the copies of all weights that products read, after w was changed from outside of the kernels."""
        for l in range(1, record(plan, 0).last + 1):
            copy_rows(l, layers, memory, np.int64(0), record(layers, l - 1).units)

    return [gradient_of_rows, update_rows, copy_weights]
