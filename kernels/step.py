"""Phase A of a training step: gather, forward pass, output error and delta recurrence.

Each thread processes a part of the rows of the batch. Phase B, the gradient and the update of the weights, is in
`weights`. There is no reduction over threads, so the results do not depend on the size of the team.

Letters as in the literature: A_0 = X, Z_l = A_{l-1} W_l + b_l, A_l = f(Z_l), D_l = dJ/dZ_l. The share of a
thread in a chunk of `rows` rows is rows lo..lo + n of the buffers; the chunk begins at row `start` of the epoch.
"""

from typing import Any

import numpy as np

from ._call import call
from ._jit import LinkedKernel, inlined, kernel, linked_kernel
from ._memory import copy, fill, move, offset, view
from ._records import record
from ._simd import HAS_MASKS, VECTOR_BYTES, copy_part, copy_vector, lanes, prefetch
from .activations import maxout, maxout_backward
from .dropout import mix
from .layout import KEEP_ACTIVATED
from .tables import MAXOUT
from .team import aborted

__all__ = ["layer_rows", "linked_backward", "linked_forward"]

# Values of X that are prefetched ahead of the copy: 64 cache lines of float32.
VALUES_AHEAD = 1024
LINE_VECTORS = 64 // VECTOR_BYTES  # in a cache line
# Unit-major buffers have a multiple of this many samples: four vectors of float32, which is a strip (see
# `layout.STRIP`) with the vectors of this CPU.
SAMPLES = VECTOR_BYTES


@kernel
def row_of(plan, memory, i):
    """Return the index of row i in the order of the epoch."""
    if plan.ordered:
        return np.int64(memory.order[i])
    return np.int64(i)


@kernel
def unit_major(layers, plan, memory, n, rank):
    """Return the thread's unit-major buffers for n samples: Z, targets Y (K, ld), work (2, ld), losses (ld), and ld.

    ld is n rounded up to a multiple of SAMPLES; samples from n on are computed, but not used.
    """
    K = record(layers, plan.last).units
    ld = (n + SAMPLES - 1) // SAMPLES * SAMPLES
    Z = offset(memory.units, rank * (2 * K + 2) * plan.strips)
    Y = offset(Z, K * ld)
    return Z, Y, offset(Y, K * ld), offset(memory.unit_loss, rank * plan.strips), ld


@inlined
def copy_row(source, target, n):
    """target[i] <- source[i] for i < n.   For a short row, calling the C library takes longer than the copy."""
    lane = lanes(source)
    if HAS_MASKS:
        for j in range(0, n, lane):
            copy_part(offset(source, j), offset(target, j), n - j)
    elif n < lane:
        move(source, target, n)
    else:
        for j in range(0, n - lane, lane):
            copy_vector(offset(source, j), offset(target, j))
        # The last vector repeats some values of the one before.
        copy_vector(offset(source, n - lane), offset(target, n - lane))


@inlined
def prefetch_row(source, n):
    """Prefetch the cache lines of a row of n values, because the CPU cannot predict rows in random order."""
    for j in range(0, n, LINE_VECTORS * lanes(source)):
        prefetch(offset(source, j))


@inlined
def gather_rows(layers, plan, memory, start, rows, lo, n, rank):
    """Copy this thread's share of the batch: rows of X, targets (unit-major), sample weights.

    Writes A_0 (dense X in a new order only), the targets of `unit_major`, and `row_weight`.
    """
    d, K = record(layers, 0).units, record(layers, plan.last).units
    a_row = record(layers, 0).a_row
    copied, ahead = plan.ordered and not plan.sparse, 1 + VALUES_AHEAD // d
    _, Y, _, _, ld = unit_major(layers, plan, memory, n, rank)
    y = view(Y, 0, K * ld)
    if plan.labelled:
        fill(y, 0)
    for i in range(n):
        row = row_of(plan, memory, start + lo + i)
        if copied:
            later = start + lo + i + ahead
            if later < plan.rows:
                prefetch_row(offset(memory.X, row_of(plan, memory, later) * d), d)
            copy_row(offset(memory.X, row * d), offset(memory.A, (lo + i) * a_row), d)
        if plan.labelled:
            y[memory.labels[row] * ld + i] = 1
        else:
            for k in range(K):
                y[k * ld + i] = memory.Y[row * K + k]
        if plan.weighted:
            memory.row_weight[lo + i] = memory.sample_weight[row]


@kernel
def layer_rows(l, layers, plan, memory, start, lo):
    """Return a pointer to row `lo` of A_l; A_0 is X itself if the rows keep their order."""
    if l == 0 and not plan.ordered:
        return offset(memory.X, (start + lo) * record(layers, 0).units)
    layer = record(layers, l)
    return offset(memory.A, layer.a + lo * layer.a_row)


@inlined
def affine_rows(l, layers, plan, memory, start, lo, n, Z, z_row):
    """Z <- A_{l-1} W_l + b_l for this thread's rows.   Z points to (n, q_l) values, rows `z_row` apart, written."""
    layer = record(layers, l)
    fan_in, a_row, q = record(layers, l - 1).units, record(layers, l - 1).a_row, layer.pre
    if l == 1 and plan.sparse:
        mine = offset(memory.rows, lo)
        for i in range(n):
            mine[i] = row_of(plan, memory, start + lo + i)
        call(
            memory.linked.csr_affine,
            memory.values,
            memory.indices,
            memory.indptr,
            mine,
            n,
            offset(memory.w, layer.w),
            offset(memory.w, layer.b),
            Z,
            q,
        )
        return
    before = layer_rows(l - 1, layers, plan, memory, start, lo)
    if layer.panels:
        call(
            memory.linked.panel_product,
            before,
            a_row,
            1,
            0,
            offset(memory.w_panels, layer.w_panels),
            fan_in,
            Z,
            z_row,
            n,
            fan_in,
            q,
            offset(memory.w, layer.b),
            0,
            False,
            Z,
            Z,
            Z,
        )
        return
    call(
        memory.linked.gemm,
        before,
        a_row,
        1,
        offset(memory.w, layer.w),
        q,
        Z,
        z_row,
        n,
        fan_in,
        q,
        offset(memory.w, layer.b),
        0,
    )


@inlined
def add_input(x, a):
    """A_l <- A_l + A_{l-1}, for some rows of a residual layer."""
    for i in range(a.size):
        a[i] += x[i]


@inlined
def output_rows(layers, plan, memory, hyper, lo, n, rank):
    """Output error of this thread's rows: Z_L in D_L becomes D_L, times the sample weights; `loss` is written."""
    output = record(layers, plan.last)
    K = output.units
    d = offset(memory.D, output.d + lo * K)
    Z, Y, work, loss, ld = unit_major(layers, plan, memory, n, rank)
    call(memory.linked.transpose, d, K, Z, ld, n, K)
    cap, smoothing, parameters = hyper.cap, hyper.label_smoothing, memory.loss_parameters
    call(memory.linked.output_error, Z, Y, loss, work, K, ld, cap, smoothing, parameters)
    if plan.weighted:
        weight, losses = view(memory.row_weight, lo, n), view(loss, 0, n)
        for k in range(K):
            z = view(Z, k * ld, n)
            for i in range(n):
                z[i] = z[i] * weight[i]
        for i in range(n):
            losses[i] = losses[i] * float(weight[i])
    move(loss, offset(memory.loss, lo), n)
    call(memory.linked.transpose, Z, ld, d, K, K, n)


@inlined
def predict_rows(layers, plan, memory, start, lo, n, rank):
    """Outputs of this thread's rows: Z_L in D_L becomes `outputs` from row start + lo on."""
    output = record(layers, plan.last)
    K = output.units
    Z, _, work, _, ld = unit_major(layers, plan, memory, n, rank)
    call(memory.linked.transpose, offset(memory.D, output.d + lo * K), K, Z, ld, n, K)
    call(memory.linked.link, Z, work, K, ld)
    call(memory.linked.transpose, Z, ld, offset(memory.outputs, (start + lo) * K), K, K, n)


@inlined
def key_of(key, l):
    """Return the key of the dropout of layer l in a mini-batch with key `key`."""
    return np.int64(mix(np.uint32(np.uint32(key) + mix(np.uint32(l)))))


def linked_forward(number: Any) -> list[LinkedKernel]:
    """Declare the forward pass for networks of `number`."""

    @linked_kernel(number)
    def forward_rows(layers, plan, memory, start, rows, lo, n, place, key, dropout, rank, team, signals):
        """Gather and forward pass of this thread's rows, or their predictions: Z_l = A_{l-1} W_l + b_l, A_l = f(Z_l).

        Row 0 of the chunk is row `place` of its mini-batch, whose dropout has the key `key`. The rates of dropout are
        multiplied by `dropout`. Writes the arrays of `gather_rows`, A_l of the hidden layers and Z_L (row-major) in
        D_L. If `predicting`, it gathers nothing and writes rows of `outputs`. If the derivative needs more than A_l
        (`Layer.keep`), D_l holds Z_l, or f(Z_l) before dropout and a residual sum. Returns early if the team aborts.
        """
        plan = record(plan, 0)
        if not plan.predicting:
            gather_rows(layers, plan, memory, start, rows, lo, n, rank)
            rate = dropout * record(layers, 0).dropout
            if rate > 0.0:
                d = record(layers, 0).units
                call(memory.linked.drop, offset(memory.A, lo * d), n, d, place + lo, key_of(key, 0), rate)
        for l in range(1, plan.last + 1):
            layer = record(layers, l)
            units, q, code = layer.units, layer.pre, layer.activation
            a_row, d_row = layer.a_row, layer.d_row
            a = view(memory.A, layer.a + lo * a_row, n * a_row)
            d = view(memory.D, layer.d + lo * d_row, n * d_row)
            keep, output = layer.keep != 0, l == plan.last
            in_d = keep or output
            z = offset(memory.D, layer.d + lo * d_row) if in_d else offset(memory.A, layer.a + lo * a_row)
            affine_rows(l, layers, plan, memory, start, lo, n, z, d_row if in_d else a_row)
            if output:
                break
            if layer.norm:
                gamma, running = offset(memory.w, layer.gamma), offset(memory.stats, layer.stats)
                if plan.predicting:
                    call(memory.linked.normalise_running, z, gamma, running, n, q)
                else:
                    h = offset(memory.H, layer.h)
                    call(memory.linked.normalise_rows, z, h, lo, n, rows, q, gamma, running, rank, team, signals)
                    if aborted(signals):
                        return
            if keep and code == MAXOUT:
                maxout(d, a, n, units, layer.pieces)
            else:
                if keep:
                    copy(d, a)
                call(memory.linked.forward, code, offset(memory.A, layer.a + lo * a_row), n * a_row)
            if layer.keep == KEEP_ACTIVATED:
                copy(a, d)
            rate = dropout * layer.dropout
            if rate > 0.0 and not plan.predicting:
                call(
                    memory.linked.drop,
                    offset(memory.A, layer.a + lo * units),
                    n,
                    units,
                    place + lo,
                    key_of(key, l),
                    rate,
                )
            if layer.residual:
                if l == 1 and plan.sparse:
                    call(
                        memory.linked.csr_add,
                        memory.values,
                        memory.indices,
                        memory.indptr,
                        offset(memory.rows, lo),
                        n,
                        offset(memory.A, layer.a + lo * units),
                        units,
                    )
                else:
                    add_input(view(layer_rows(l - 1, layers, plan, memory, start, lo), 0, n * units), a)
        if plan.predicting:
            predict_rows(layers, plan, memory, start, lo, n, rank)

    return [forward_rows]


def linked_backward(number: Any) -> list[LinkedKernel]:
    """Declare the other kernels of a training step for networks of `number`."""

    @linked_kernel(number)
    def backward_rows(layers, plan, memory, hyper, rows, lo, n, place, key, dropout, rank, team, signals):
        """Output error and delta recurrence of this thread's rows: D_l = (D_{l+1} W_{l+1}^T) * f'(Z_l) for l = L-1..1.

        Writes `loss` and D_l of these rows, and T. A residual layer also passes its dJ/dA on to the layer below: `kept`
        holds it between two layers. Returns early if the team aborts.
        """
        plan = record(plan, 0)
        output_rows(layers, plan, memory, record(hyper, 0), lo, n, rank)
        arrived, kept = lo * plan.widest, (rows + lo) * plan.widest
        for l in range(plan.last - 1, 0, -1):
            layer, above = record(layers, l), record(layers, l + 1)
            units, q, d_row = layer.units, layer.pre, layer.d_row
            d = view(memory.D, layer.d + lo * d_row, n * d_row)
            keep, dropped = layer.keep != 0, dropout * layer.dropout
            held, t_at = offset(memory.D, layer.d + lo * d_row), offset(memory.T, arrived)
            target, target_row = (t_at, units) if keep else (held, d_row)
            first, first_row = offset(memory.zeros, 0), np.int64(0)
            if above.residual:
                first, first_row = offset(memory.T, kept), units
            errors = offset(memory.D, above.d + lo * above.d_row)
            copy_of_w = offset(memory.transposed, above.t)
            if above.panels:
                call(
                    memory.linked.panel_product,
                    errors,
                    above.d_row,
                    1,
                    0,
                    copy_of_w,
                    above.pre,
                    target,
                    target_row,
                    n,
                    above.pre,
                    units,
                    first,
                    first_row,
                    False,
                    target,
                    target,
                    target,
                )
            else:
                call(
                    memory.linked.gemm,
                    errors,
                    above.d_row,
                    1,
                    copy_of_w,
                    units,
                    target,
                    target_row,
                    n,
                    above.pre,
                    units,
                    first,
                    first_row,
                )
            if keep:
                t = view(memory.T, arrived, n * units)
                if layer.residual:
                    copy(t, view(memory.T, kept, n * units))
                if dropped > 0.0:
                    call(memory.linked.drop, t_at, n, units, place + lo, key_of(key, l), dropped)
                if layer.activation == MAXOUT:
                    maxout_backward(d, t, n, units, layer.pieces)
                else:
                    call(memory.linked.backward, layer.activation, held, t_at, n * units)
                    copy(t, d)
            else:
                if dropped > 0.0:
                    call(memory.linked.drop, held, n, units, place + lo, key_of(key, l), dropped)
                a = offset(memory.A, layer.a + lo * layer.a_row)
                call(memory.linked.backward, layer.activation, a, held, n * d_row)
            if layer.norm:
                whole, h = offset(memory.D, layer.d), offset(memory.H, layer.h)
                gamma = offset(memory.w, layer.gamma)
                call(memory.linked.normalise_backward_rows, whole, h, lo, n, rows, q, gamma, rank, team, signals)
                if aborted(signals):
                    return
        for l in range(1, plan.last + 1):
            layer = record(layers, l)
            if layer.panels:
                q = layer.pre
                errors = offset(memory.D, layer.d + lo * layer.d_row)
                call(
                    memory.linked.pack,
                    errors,
                    layer.d_row,
                    offset(memory.d_panels, layer.d_panels),
                    plan.chunk,
                    lo,
                    n,
                    q,
                )

    return [backward_rows]
