"""Trainers of the other libraries, each in the fastest configuration that its documentation offers.

Each returns functions by configuration; one call trains from the common initial weights, with the common row orders,
and returns (coefs, intercepts). Drawing the row orders is not timed here, but it is for fastmlp and
scikit-learn.
No data loader: the rows of an epoch are gathered at once and cut into mini-batches.
"""

import math
import os
import shutil
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from .harness import Unavailable, thread_counts, timed
from .workloads import ALPHA, Workload, row_orders, start_of

__all__ = ["jax_predictors", "jax_scan", "skorch_net", "torch_compiled", "torch_eager", "torch_predictors"]

Weights = tuple[list[np.ndarray], list[np.ndarray]]
Runs = dict[str, Callable[[], Weights]]
RATE, BETA_1, BETA_2, EPSILON = 1e-3, 0.9, 0.999, 1e-8


# ---- PyTorch


def torch_network(coefs: list[np.ndarray], intercepts: list[np.ndarray]) -> Any:
    """Return a Sequential of linear layers and ReLUs with these weights."""
    import torch

    layers: list[Any] = []
    for W, b in zip(coefs, intercepts, strict=True):
        linear = torch.nn.utils.skip_init(torch.nn.Linear, *W.shape, dtype=torch.from_numpy(W).dtype)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(W.T.copy()))
            linear.bias.copy_(torch.from_numpy(b))
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def _torch_weights(model: Any) -> Weights:
    """The weights of a Sequential as NumPy arrays."""
    linear = list(model)[::2]
    return [m.weight.detach().numpy().T.copy() for m in linear], [m.bias.detach().numpy().copy() for m in linear]


def _torch_groups(model: Any, batch: int) -> list[dict[str, Any]]:
    """Parameter groups: scikit-learn's penalty is alpha / (2 n) sum W^2, and biases have none."""
    linear = list(model)[::2]
    return [
        {"params": [m.weight for m in linear], "weight_decay": ALPHA / batch},
        {"params": [m.bias for m in linear], "weight_decay": 0.0},
    ]


def _torch_like_scikit_learn(adam: Any, t: int, rows: int) -> None:
    """Prepare step t, of `rows` rows: epsilon is added before the bias correction, the penalty divided by the rows."""
    weights, biases = adam.param_groups
    weights["eps"] = biases["eps"] = EPSILON / math.sqrt(1 - BETA_2**t)
    weights["weight_decay"] = ALPHA / rows


def _torch_data(workload: Workload) -> tuple[Any, Any]:
    """X, and labels, or a column for one logistic unit."""
    import torch

    X, y = workload.data()
    targets = y.astype(np.int64) if workload.output == "softmax" else workload.targets(y)
    return torch.from_numpy(X), torch.from_numpy(targets)


def _torch_loss(workload: Workload) -> Any:
    """The loss of the output layer before its link."""
    import torch.nn.functional as F

    return F.cross_entropy if workload.output == "softmax" else F.binary_cross_entropy_with_logits


def _torch_runs(workload: Workload, threads: dict[str, int], compiled: bool) -> Runs:
    """Trainers by number of threads and kind of Adam."""
    import torch

    X, Y = _torch_data(workload)
    start = start_of(workload)
    orders = [torch.from_numpy(order) for order in row_orders(workload)]
    loss = _torch_loss(workload)

    def batch_loss(model: Any, x: Any, y: Any) -> Any:
        return loss(model(x), y)

    if compiled:
        torch._dynamo.reset()
        # One compilation for whole batches and one for the last, shorter one.
        batch_loss = torch.compile(batch_loss, dynamic=False)
    kept: list[Any] = []

    def fit(threads: int, fused: bool) -> Weights:
        torch.set_num_threads(threads)
        if compiled and kept:
            # Compiled code belongs to its module: bring that one back to the start.
            model = kept[0]
            model.load_state_dict(torch_network(start.coefs, start.intercepts).state_dict())
        else:
            model = torch_network(start.coefs, start.intercepts)
            kept.append(model)
        adam = torch.optim.Adam(
            _torch_groups(model, workload.batch), lr=RATE, betas=(BETA_1, BETA_2), eps=EPSILON, fused=fused
        )
        t = 0
        for order in orders:
            for x, y in zip(X[order].split(workload.batch), Y[order].split(workload.batch), strict=True):
                t += 1
                _torch_like_scikit_learn(adam, t, len(x))
                adam.zero_grad()
                batch_loss(model, x, y).backward()
                adam.step()
        return _torch_weights(model)

    return {
        f"{name}, {'fused' if fused else 'plain'} Adam": partial(fit, n, fused)
        for name, n in threads.items()
        for fused in ((True,) if compiled else (True, False))
    }


def torch_eager(workload: Workload) -> Runs:
    """PyTorch as it is, on one thread or all, with the fused or the plain Adam."""
    return _torch_runs(workload, thread_counts(), compiled=False)


def torch_compiled(workload: Workload) -> Runs:
    """PyTorch with loss and gradient compiled, fused Adam, and the number of threads that suits eager better."""
    if not (shutil.which(os.environ.get("CXX", "c++")) or shutil.which("g++")):
        raise Unavailable("torch.compile needs a C++ compiler")
    return _torch_runs(workload, _best_threads(workload), compiled=True)


@cache
def _best_threads(workload: Workload) -> dict[str, int]:
    """The number of threads that suits PyTorch better, by the second of two trainings with the fused Adam."""
    seconds = {}
    for name, n in thread_counts().items():
        fused, _ = _torch_runs(workload, {name: n}, compiled=False).values()
        fused()
        seconds[name] = timed(fused)
    best = min(seconds, key=seconds.__getitem__)
    return {best: thread_counts()[best]}


def torch_predictors(workload: Workload) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """PyTorch's probabilities of rows, NumPy in and out, by number of threads."""
    import torch

    start = start_of(workload)
    model = torch_network(start.coefs, start.intercepts)

    def predict(X: np.ndarray, threads: int) -> np.ndarray:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        with torch.inference_mode():
            return torch.softmax(model(torch.from_numpy(X)), dim=1).numpy()

    return {name: partial(predict, threads=n) for name, n in thread_counts().items()}


class _Orders:
    """A sampler for PyTorch's data loader that takes the rows in the given orders, epoch after epoch."""

    def __init__(self, orders: list[np.ndarray]) -> None:
        self.orders, self.epoch = [order.tolist() for order in orders], 0

    def __iter__(self) -> Any:
        self.epoch += 1
        return iter(self.orders[self.epoch - 1])

    def __len__(self) -> int:
        return len(self.orders[0])


def skorch_net(workload: Workload) -> Runs:
    """skorch's scikit-learn interface to PyTorch, with its data loader; threads as for `torch_compiled`."""
    import skorch
    import torch

    X, Y = (tensor.numpy() for tensor in _torch_data(workload))
    start = start_of(workload)
    loss = _torch_loss(workload)

    class Loss(torch.nn.Module):
        def forward(self, z: Any, y: Any) -> Any:
            return loss(z, y)

    class Network(skorch.NeuralNet):
        def initialize_optimizer(self, *args: Any, **kwargs: Any) -> Any:
            groups = _torch_groups(self.module_, workload.batch)
            self.optimizer_ = torch.optim.Adam(groups, lr=RATE, betas=(BETA_1, BETA_2), eps=EPSILON, fused=True)
            return self

    def fit(threads: int) -> Weights:
        torch.set_num_threads(threads)
        net = Network(
            torch_network(start.coefs, start.intercepts),
            criterion=Loss,
            batch_size=workload.batch,
            max_epochs=workload.epochs,
            train_split=None,
            iterator_train__sampler=_Orders(row_orders(workload)),
            callbacks__print_log=None,
        )
        net.fit(X, Y)
        return _torch_weights(net.module_)

    return {f"{name}, fused Adam": partial(fit, n) for name, n in _best_threads(workload).items()}


# ---- JAX


def jax_forward(params: Any, x: Any) -> Any:
    """Z_L of a network of ReLUs; params are pairs (W, b)."""
    import jax

    for W, b in params[:-1]:
        x = jax.nn.relu(x @ W + b)
    W, b = params[-1]
    return x @ W + b


@cache
def _jax_epoch(batch: int, output: str) -> Any:
    """Compiled function that trains for one epoch: a scan over the mini-batches, then the shorter last one."""
    import jax
    import jax.numpy as jnp

    def loss(params: Any, x: Any, y: Any) -> Any:
        z = jax_forward(params, x)
        if output == "softmax":
            data = -(y * jax.nn.log_softmax(z)).sum(axis=1).mean()
        else:
            data = (jax.nn.softplus(z) - y * z).mean()
        return data + 0.5 * ALPHA / x.shape[0] * sum((W * W).sum() for W, _ in params)

    def step(state: Any, rows: Any) -> tuple[Any, None]:
        params, m, v, t = state
        g = jax.grad(loss)(params, *rows)
        t = t + 1
        m = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, m, g)
        v = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, v, g)
        rate = RATE * jnp.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
        params = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + EPSILON), params, m, v)
        return (params, m, v, t), None

    def epoch(state: Any, X: Any, Y: Any, order: Any) -> Any:
        whole = len(order) // batch * batch
        X, Y = X[order], Y[order]
        cut = [a[:whole].reshape(-1, batch, *a.shape[1:]) for a in (X, Y)]
        state, _ = jax.lax.scan(step, state, cut)
        if whole < len(order):
            state, _ = step(state, (X[whole:], Y[whole:]))
        return state

    return jax.jit(epoch, donate_argnums=0)


def jax_scan(workload: Workload) -> Runs:
    """JAX with a whole epoch in one compiled call, its state donated; XLA chooses its threads."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    X, y = workload.data()
    X, Y = jnp.asarray(X), jnp.asarray(workload.targets(y))
    start, orders = start_of(workload), [jnp.asarray(order) for order in row_orders(workload)]
    epoch = _jax_epoch(workload.batch, workload.output)

    def fit() -> Weights:
        params = [(jnp.array(W), jnp.array(b)) for W, b in zip(start.coefs, start.intercepts, strict=True)]
        m, v = (jax.tree.map(jnp.zeros_like, params) for _ in range(2))
        state = (params, m, v, jnp.zeros((), workload.dtype))
        for order in orders:
            state = epoch(state, X, Y, order)
        params = jax.block_until_ready(state[0])
        return [np.asarray(W) for W, _ in params], [np.asarray(b) for _, b in params]

    return {"threads chosen by XLA": fit}


def jax_predictors(workload: Workload) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """JAX's probabilities of rows, NumPy in and out, compiled for the number of rows."""
    import jax

    jax.config.update("jax_enable_x64", True)
    start = start_of(workload)
    params = jax.device_put(list(zip(start.coefs, start.intercepts, strict=True)))
    predict = jax.jit(lambda X: jax.nn.softmax(jax_forward(params, X)))
    return {"threads chosen by XLA": lambda X: np.asarray(predict(X))}
