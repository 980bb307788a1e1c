"""The training loop, which each thread of the team runs.

A call runs a number of passes (a pass is one chunk of one mini-batch) and returns. Its progress is stored in `State`,
so that the next call continues from there. Every thread computes all control values itself from the same numbers.
Operations that need a single writer are performed by rank 0, between two barriers.
"""

import math
from typing import Any

import numpy as np

from ._call import call
from ._jit import LinkedKernel, inlined, kernel, linked_kernel
from ._memory import fill, view
from ._records import record
from ._simd import smaller
from .averaging import average_statistics
from .dropout import mix
from .layout import (
    ABORTED,
    CLAIMED_ROWS,
    CLAIMED_WEIGHTS,
    CLAIMS,
    DIVERGED,
    EACH_EPOCH,
    EACH_STEP,
    KEEP_ORDER,
    LANES,
    RUNNING,
    SHUFFLE,
    SIGNALS,
)
from .reductions import square_sum, total
from .stopping import observe
from .tables import ADAM
from .team import aborted, atomic_add, barrier
from .weights import ROUND

__all__ = ["linked"]


@inlined
def sum_squares(memory, blocks):
    """Return the sum of squares of all W: over the blocks in each lane, then over the lanes."""
    lanes = view(memory.lanes, 0, LANES)
    fill(lanes, 0.0)
    for block in range(blocks):
        squares = view(memory.squares, block * LANES, LANES)
        for lane in range(LANES):
            lanes[lane] += float(squares[lane])
    return total(lanes)


@inlined
def key_of_step(seed, step):
    """Return the key of the dropout of a mini-batch."""
    return np.int64(mix(np.uint32(np.uint32(seed) + mix(np.uint32(step)))))


@kernel
def next_rows(plan, signals, rows, rank, team, turn, part):
    """Return the next rows of the chunk for thread `rank`: (turn, part, first row, number of rows).

    The thread takes its own share of the rows. If the shares have parts, it claims them one by one, and then those
    parts of the other shares that nobody has claimed. `turn` is the number of shares that it has been through and
    `part` the last part that it took of the present one; `turn` = team means that no rows are left.
    """
    claiming = plan.parts > 1
    while turn < (team if claiming else 1):
        owner = (rank + turn) % team
        part = atomic_add(signals, SIGNALS + CLAIMS * owner + CLAIMED_ROWS, 1) if claiming else part + 1
        if part < plan.parts:
            lo = rows * owner // team
            size = rows * (owner + 1) // team - lo
            # The share is cut between tiles of the products.
            begin = size * part // plan.parts // ROUND * ROUND
            end = size if part + 1 == plan.parts else size * (part + 1) // plan.parts // ROUND * ROUND
            if end > begin or not claiming:
                return turn, part, lo + begin, end - begin
        else:
            turn, part = turn + 1, np.int64(-1)
    return np.int64(team), part, np.int64(0), np.int64(0)


def linked(number: Any) -> list[LinkedKernel]:
    """Declare the kernel for networks of `number`."""

    @linked_kernel(number)
    def train(
        rank, team, passes, layers, plan, memory, hyper, share, signals, state, losses, epochs, schedule, changing
    ):
        """Run up to `passes` passes, or until `epochs` epochs are done, as thread `rank` of `team`.

        Writes arrays of `Memory`, the state, and the loss of each epoch to `losses` (epochs,). `schedule` holds the
        learning rate after each epoch (epochs,) if `changing` is EACH_EPOCH; it holds the learning rate and the factors
        of weight decay and dropout of each mini-batch (steps, 3) if it is EACH_STEP. Otherwise the rate is constant or
        adaptive. Only rank 0 writes the state, whose status tells how the call ended.
        """
        options, settings, progress = record(plan, 0), record(hyper, 0), record(state, 0)
        linked = memory.linked
        kind = view(memory.zeros, 0, 0).dtype.type
        row, chunk_row, status = progress.row, progress.chunk_row, RUNNING
        batch_loss, batch_weight, epoch_loss = progress.batch_loss, progress.weight, progress.loss
        beta_1_t, beta_2_t, epoch = progress.beta_1_t, progress.beta_2_t, progress.epoch
        average_t = progress.average_t
        steps, limited = progress.step, settings.max_grad_norm < math.inf
        rate, decay_factor, dropout = progress.rate, 1.0, 1.0
        left = passes
        while left > 0 and epoch < epochs and status == RUNNING:
            left -= 1
            if row == 0 and chunk_row == 0 and settings.shuffle != KEEP_ORDER:
                if rank == 0:
                    reorder = settings.shuffle == SHUFFLE
                    call(linked.shuffle, memory.order, memory.picks, options.rows, memory.random, memory.words, reorder)
                if not barrier(signals, team):
                    status = ABORTED
                    break
            batch = smaller(settings.batch, options.rows - row)
            rows = smaller(options.chunk, batch - chunk_row)
            start = row + chunk_row
            continued, final = chunk_row > 0, chunk_row + rows == batch
            if changing == EACH_STEP:
                place = 3 * (epoch * ((options.rows + settings.batch - 1) // settings.batch) + row // settings.batch)
                rate, decay_factor, dropout = schedule[place], schedule[place + 1], schedule[place + 2]
            else:
                rate = progress.rate
            key = key_of_step(progress.seed, steps)
            # No thread claims weights in this phase, and no thread claims rows after the barrier: reset the counters.
            signals[SIGNALS + CLAIMS * rank + CLAIMED_WEIGHTS] = 0
            turn, part = np.int64(0), np.int64(-1)
            while status == RUNNING:
                turn, part, lo, n = next_rows(options, signals, rows, rank, team, turn, part)
                if turn == team:
                    break
                call(
                    linked.forward_rows,
                    layers,
                    plan,
                    memory,
                    start,
                    rows,
                    lo,
                    n,
                    chunk_row,
                    key,
                    dropout,
                    rank,
                    team,
                    signals,
                )
                if not aborted(signals):
                    call(
                        linked.backward_rows,
                        layers,
                        plan,
                        memory,
                        hyper,
                        rows,
                        lo,
                        n,
                        chunk_row,
                        key,
                        dropout,
                        rank,
                        team,
                        signals,
                    )
                if aborted(signals):
                    status = ABORTED
            if status == ABORTED or not barrier(signals, team):
                status = ABORTED
                break
            signals[SIGNALS + CLAIMS * rank + CLAIMED_ROWS] = 0

            batch_loss += total(view(memory.loss, 0, rows))
            batch_weight += float(total(view(memory.row_weight, 0, rows)) if options.weighted else kind(rows))
            if not math.isfinite(float(kind(batch_loss))):
                # All threads compute the same sum, so all of them leave the loop here.
                status = DIVERGED
                break
            # A batch whose sample weights are all zero has no gradient and no loss. scikit-learn divides by zero.
            scale = 1.0 / batch_weight if batch_weight != 0.0 else 0.0
            if scale != 0.0 or not final:
                step_rate = rate
                if final and settings.optimizer == ADAM:
                    beta_1_t *= settings.beta_1
                    beta_2_t *= settings.beta_2
                    step_rate = rate * math.sqrt(1.0 - beta_2_t) / (1.0 - beta_1_t)
                gain = 0.0
                if final and settings.average > 0.0:
                    average_t *= settings.average
                    gain = (1.0 - settings.average) / (1.0 - average_t)
                decay = rate * settings.weight_decay * decay_factor
                penalty = settings.alpha * batch_weight if settings.penalty_sum else settings.alpha
                call(
                    linked.gradient_of_rows,
                    layers,
                    plan,
                    memory,
                    hyper,
                    share,
                    start,
                    rows,
                    continued,
                    final,
                    limited,
                    penalty,
                    scale,
                    decay,
                    step_rate,
                    gain,
                    rank,
                    team,
                    signals,
                )
                if limited and final:
                    if not barrier(signals, team):
                        status = ABORTED
                        break
                    if rank == 0:
                        g = view(memory.g, 0, record(layers, options.last).b + record(layers, options.last).pre)
                        progress.grad_norm = math.sqrt(square_sum(g, view(memory.lanes, 0, LANES)))
                    if not barrier(signals, team):
                        status = ABORTED
                        break
                    norm = progress.grad_norm
                    factor = settings.max_grad_norm / norm if norm > settings.max_grad_norm else 1.0
                    call(
                        linked.update_rows,
                        layers,
                        plan,
                        memory,
                        hyper,
                        share,
                        factor,
                        decay,
                        step_rate,
                        gain,
                        rank,
                        team,
                    )
                if gain != 0.0 and rank == 0:
                    average_statistics(layers, options.last, memory, gain)
            if not barrier(signals, team):
                status = ABORTED
                break

            chunk_row += rows
            if not final:
                continue
            if rank == 0 and scale != 0.0:
                mean = batch_loss * scale * settings.loss_scale
                if settings.alpha > 0.0:
                    by = 0.5 if settings.penalty_sum else 0.5 * scale
                    mean += by * settings.alpha * sum_squares(memory, options.blocks)
                epoch_loss += mean * batch
            row, chunk_row = row + batch, np.int64(0)
            steps += 1
            batch_loss, batch_weight = 0.0, 0.0
            if row < options.rows:
                continue
            row = np.int64(0)
            if rank == 0:
                losses[epoch] = epoch_loss / options.rows
                if changing == EACH_EPOCH:
                    progress.rate = schedule[epoch]
                if settings.watch_loss:
                    observe(settings, progress, losses[epoch])
                epoch_loss = 0.0
            epoch += 1
            if not barrier(signals, team):
                status = ABORTED
                break
            status = progress.status
        if rank == 0:
            progress.epoch, progress.row, progress.chunk_row = epoch, row, chunk_row
            progress.status, progress.passes = status, passes - left
            progress.batch_loss, progress.weight, progress.loss = batch_loss, batch_weight, epoch_loss
            progress.beta_1_t, progress.beta_2_t, progress.step = beta_1_t, beta_2_t, steps
            progress.average_t = average_t
            if changing == EACH_STEP:
                progress.rate = rate

    return [train]
