"""The training loop as one thread of the team sees it, and its entry point.

A call runs a number of passes (a pass is one chunk of one mini-batch) and returns; where it stands is kept in
`ints` and `floats`, so the next call goes on as if there had been no pause. Every thread computes all control
values itself from the same numbers; only what needs one writer is done by rank 0 between two barriers.
"""

import math

import numpy as np

from ._call import call
from ._jit import SOURCES, entry_point, inlined
from ._memory import at, fill, view
from ._simd import smaller
from .layout import (
    ABORTED,
    BATCH_LOSS,
    BEST_LOSS,
    BETA_1_T,
    BETA_2_T,
    CHUNK_ROW,
    DIVERGED,
    EPOCH,
    KEEP_ORDER,
    LOSS,
    NO_CHANGE,
    PASSES,
    RATE,
    ROW,
    RUNNING,
    SHUFFLE,
    STATUS,
    STOPPED,
    WEIGHT,
    layers_of,
    memory_of,
    options_of,
)
from .optimizers import ADAM
from .reductions import LANES, total
from .team import aborted, barrier

__all__ = ["train"]

SMALLEST_RATE = 1e-6  # scikit-learn's adaptive schedule stops here


@inlined
def sum_squares(memory, blocks):
    """Sum of squares of all W: over the blocks lane by lane, then over the lanes."""
    lanes = view(memory.lanes, 0, LANES)
    fill(lanes, 0.0)
    for block in range(blocks):
        squares = view(memory.squares, block * LANES, LANES)
        for lane in range(LANES):
            lanes[lane] += float(squares[lane])
    return total(lanes)


@inlined
def end_epoch(options, ints, floats, epoch, loss, losses, rates):
    """What happens when an epoch is over, with its loss: scikit-learn's stopping rule and rate schedules."""
    losses[epoch] = loss
    if rates.size > 0:
        floats[RATE] = rates[epoch]
    if not options.watch_loss:
        return
    ints[NO_CHANGE] = ints[NO_CHANGE] + 1 if loss > floats[BEST_LOSS] - options.tol else 0
    if loss < floats[BEST_LOSS]:
        floats[BEST_LOSS] = loss
    if ints[NO_CHANGE] <= options.patience:
        return
    if options.adaptive and floats[RATE] > SMALLEST_RATE:
        floats[RATE] /= 5.0
        ints[NO_CHANGE] = 0
    else:
        ints[STATUS] = STOPPED


def _build(sources):
    def train(rank, team, passes, like, addresses, table, share, words, signals, ints, floats, losses, rates):
        """Run up to `passes` passes, or until epoch `losses.size`, as thread `rank` of `team`; return the status.

        `addresses`, `table` and `words` are read as `Memory`, `Layer` and `Options` (see layout), `like` has the dtype.
        Writes what `Memory` says, `losses` (one number for each epoch), `ints` and `floats`. `rates` holds the
        learning rate after each epoch (empty: constant or adaptive).
        """
        _ = sources  # captured, hence part of the key of the on-disk cache
        memory, layers, options = memory_of(addresses, like), layers_of(table), options_of(words)
        linked, number = memory.linked, like.dtype.type
        row, chunk_row, status = ints[ROW], ints[CHUNK_ROW], RUNNING
        batch_loss, batch_weight, epoch_loss = floats[BATCH_LOSS], floats[WEIGHT], floats[LOSS]
        beta_1_t, beta_2_t, epoch = floats[BETA_1_T], floats[BETA_2_T], ints[EPOCH]
        left = passes
        while left > 0 and epoch < losses.size and status == RUNNING:
            left -= 1
            if row == 0 and chunk_row == 0 and options.shuffle != KEEP_ORDER:
                if rank == 0:
                    reorder = options.shuffle == SHUFFLE
                    call(
                        linked.shuffle,
                        memory.order,
                        memory.picks,
                        options.rows,
                        memory.random,
                        memory.words,
                        reorder,
                    )
                if not barrier(signals, team):
                    return ABORTED
            batch = smaller(options.batch, options.rows - row)
            rows = smaller(options.chunk, batch - chunk_row)
            start = row + chunk_row
            continued, final = chunk_row > 0, chunk_row + rows == batch

            if options.predicting:
                # No barrier parts the chunks, so a thread keeps to its part of the buffers, also in a shorter one.
                share_rows = options.chunk // team
                lo = smaller(rank * share_rows, rows)
                n = (smaller(lo + share_rows, rows) if rank + 1 < team else rows) - lo
            else:
                lo = rows * rank // team
                n = rows * (rank + 1) // team - lo
            told = at(signals, 0)
            call(linked.forward_rows, layers, options, memory, start, rows, lo, n, rank, team, told)
            if options.predicting:
                chunk_row += rows
                if final:
                    epoch, row, chunk_row = epoch + 1, np.int64(0), np.int64(0)
                continue
            if aborted(signals):
                return ABORTED
            call(linked.backward_rows, layers, options, memory, rows, lo, n, rank, team, told)
            if aborted(signals) or not barrier(signals, team):
                return ABORTED

            batch_loss += total(view(memory.loss, 0, rows))
            batch_weight += float(total(view(memory.row_weight, 0, rows)) if options.weighted else number(rows))
            if not math.isfinite(float(number(batch_loss))):
                # Every thread sees the same sum, so every thread leaves here.
                status = DIVERGED
                break
            # A batch without weight has no gradient and no loss; scikit-learn divides by zero.
            scale = 1.0 / batch_weight if batch_weight != 0.0 else 0.0
            if scale != 0.0 or not final:
                rate = floats[RATE]
                if final and options.optimizer == ADAM:
                    beta_1_t *= options.beta_1
                    beta_2_t *= options.beta_2
                    rate = rate * math.sqrt(1.0 - beta_2_t) / (1.0 - beta_1_t)
                penalty = options.alpha * batch_weight if options.penalty_sum else options.alpha
                call(
                    linked.gradient_of_rows,
                    layers,
                    options,
                    memory,
                    at(share, 0),
                    start,
                    rows,
                    continued,
                    final,
                    penalty,
                    scale,
                    rate,
                    rank,
                    team,
                )
            if not barrier(signals, team):
                return ABORTED

            chunk_row += rows
            if not final:
                continue
            if rank == 0 and scale != 0.0:
                mean = batch_loss * scale * options.loss_scale
                if options.alpha > 0.0:
                    by = 0.5 if options.penalty_sum else 0.5 * scale
                    mean += by * options.alpha * sum_squares(memory, layers.block)
                epoch_loss += mean * batch
            row, chunk_row = row + batch, np.int64(0)
            batch_loss, batch_weight = 0.0, 0.0
            if row < options.rows:
                continue
            row = np.int64(0)
            if rank == 0:
                end_epoch(options, ints, floats, epoch, epoch_loss / options.rows, losses, rates)
                epoch_loss = 0.0
            epoch += 1
            if not barrier(signals, team):
                return ABORTED
            status = ints[STATUS]
        # Predictions have no barrier: what rank 0 wrote here, a thread that begins later would read as its start.
        if rank == 0 and not options.predicting:
            ints[EPOCH], ints[ROW], ints[CHUNK_ROW] = epoch, row, chunk_row
            ints[STATUS], ints[PASSES] = status, passes - left
            floats[BATCH_LOSS], floats[WEIGHT], floats[LOSS] = batch_loss, batch_weight, epoch_loss
            floats[BETA_1_T], floats[BETA_2_T] = beta_1_t, beta_2_t
        return status

    return entry_point(train)


train = _build(SOURCES)
