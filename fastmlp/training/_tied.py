"""Training of an autoencoder whose decoder has the transposed matrices of its encoder."""

import math

import numpy as np

from fastmlp.kernels.layout import DIVERGED, KEEP_ORDER, RUNNING
from fastmlp.kernels.tables import STORE

from ._blockwise import sum_of_squares
from ._engine import Engine
from ._network import Array, tie_gradient, tie_weights
from ._optimizer import take_step
from ._state import TrainingState
from ._threads import Team

__all__ = ["TiedEngine"]


class TiedEngine(Engine):
    """An engine that keeps the decoder's matrices the transposes of the encoder's.

    The kernels compute a gradient for each use of a matrix. For each mini-batch, this class adds both gradients and
    then calls the kernel of the optimizer.
    """

    def __post_init__(self) -> None:
        tie_weights(self.network, self.w)
        super().__post_init__()
        m, batch = self.data.rows, self.hyper.batch
        self._row_order = np.arange(m)
        if self.hyper.optimizer != STORE:
            sizes = {min(batch, m), m % batch or batch}
            self._batches = {rows: self._gradient_engine(rows) for rows in sizes}

    def _gradient_engine(self, rows: int) -> Engine:
        """Return an engine for the gradient of one mini-batch; it shares the weights and the running statistics."""
        dtype = self.w.dtype
        X = np.empty((rows, self.data.X.shape[1]), dtype)
        weight = np.empty(rows if self.data.weighted else 0, dtype)
        # The input is its own target.
        data = self.data._replace(rows=rows, X=X, Y=X, sample_weight=weight)
        hyper = self.hyper._replace(optimizer=STORE, batch=rows, max_grad_norm=math.inf)
        state = TrainingState.new(None, self.w.size, dtype)
        return Engine(self.network, data, self.w, self.stats, hyper, state, threads=self.threads)

    @property
    def row_order(self) -> Array:
        """The order of the rows in the last epoch."""
        return self._row_order

    def run(self, team: Team, epochs: int, schedule: Array | None = None) -> int:
        """Train, or evaluate, as `Engine.run` does."""
        if self.hyper.optimizer == STORE:
            status = super().run(team, epochs, schedule)
            # L-BFGS treats both uses of a matrix as separate variables. With half the sum of both gradients for each of
            # them, the gradient is that of J as a function of tied weights. The iterates remain tied, because the
            # initial weights are.
            tie_gradient(self.network, self.g, 0.5)
            return status
        state = self.state
        for epoch in range(epochs):
            self._remember()
            if self.hyper.shuffle != KEEP_ORDER or (self.order and self.order.in_python):
                assert self.order is not None
                assert self.order.random is not None
                picks = np.arange(self.data.rows, dtype=np.int32)
                self.order.random.shuffle(picks)
                self._row_order[:] = self._row_order[picks]
            loss = self._train_epoch(team)
            self._keep_finite(state["status"])
            if state["status"] != RUNNING:
                break
            if schedule is not None:
                state["rate"] = schedule[epoch]
            if self.hyper.watch_loss:
                self.observe(loss)
            self.history.append(loss)
            if state["status"] != RUNNING:
                break
        return int(state["status"])

    def _train_epoch(self, team: Team) -> float:
        """Pass over the rows once; return the loss of the epoch."""
        m, total = self.data.rows, 0.0
        for start in range(0, m, self.hyper.batch):
            rows = self._row_order[start : start + self.hyper.batch]
            engine = self._batches[len(rows)]
            np.take(self.data.X, rows, axis=0, out=engine.data.X)
            if self.data.weighted:
                np.take(self.data.sample_weight, rows, out=engine.data.sample_weight)
                if not engine.data.sample_weight.any():
                    continue
            # A short last batch may be too small for the whole team.
            loss = engine.evaluate(team if team.size <= engine.threads else Team(1))
            if not np.isfinite(loss):
                self.state["row"], self.state["status"] = start, DIVERGED
                return math.nan
            total += loss * len(rows)
            tie_gradient(self.network, engine.g)
            if self.hyper.max_grad_norm < np.inf:  # tied weights have no limit, but a history may request the norm
                self.state["grad_norm"] = math.sqrt(sum_of_squares(engine.g))
            take_step(self._hyper, self.state, self.w, engine.g)
        return total / m
