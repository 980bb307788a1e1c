"""Training for a fixed number of epochs: fastmlp, the references, scikit-learn and other libraries.

All start from the same weights and take the same mini-batches in the same order: mini-batch Adam with scikit-learn's
defaults, no stopping. A run ends with the weights as NumPy arrays; their predictions must be those of the vectorised
reference after the same training in float64.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import scipy.sparse
from sklearn import neural_network
from threadpoolctl import ThreadpoolController

from fastmlp import MLPClassifier
from fastmlp.reference import loops, vectorized

from . import peers
from .harness import CORES, Case, Effort, Key, Trial, thread_counts
from .workloads import ALPHA, SEED, TRAINING, Workload, in_dtypes, start_of

__all__ = ["CHECKED_EPOCHS", "Weights", "cases", "classifier_options", "fastmlp", "outputs"]

Weights = tuple[list[np.ndarray], list[np.ndarray]]

# Mean difference of the predicted probabilities. In float32, rounding alone can switch single units on or off, after
# which the weights diverge. So a rate that is wrong by 1 % is noticed in float64 only, wrong mini-batches in both.
TOLERANCE = {"float32": 5e-3, "float64": 1e-6}
CHECKED_EPOCHS = 1  # if nothing is timed
LOOP_FLOPS = 2e7  # work of the rows that the loops get: about two seconds


def classifier_options(workload: Workload) -> dict[str, Any]:
    """Return the parameters of scikit-learn's classifier and ours."""
    return {
        "hidden_layer_sizes": workload.hidden,
        "alpha": ALPHA,
        "batch_size": min(workload.batch, workload.rows),
        "max_iter": workload.epochs,
        "tol": 0,
        "n_iter_no_change": np.inf,
        "random_state": SEED,
    }


def outputs(workload: Workload, coefs: list[np.ndarray], intercepts: list[np.ndarray], X: Any = None) -> np.ndarray:
    """Return the network's outputs for X, or for all rows, in float64 NumPy."""
    A = workload.data()[0] if X is None else X
    for l, (W, b) in enumerate(zip(coefs, intercepts, strict=True)):
        A = A @ W.astype(np.float64) + b
        if l < len(workload.hidden):
            A = np.maximum(A, 0)
    if workload.output == "logistic":
        return 1 / (1 + np.exp(-A))
    e = np.exp(A - A.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@cache
def expected(workload: Workload) -> np.ndarray:
    """Return the outputs after training in float64.

    By the vectorised reference; for sparse data by scikit-learn, because the reference needs dense arrays.
    """
    X, y = workload.data()
    if scipy.sparse.issparse(X):
        model = neural_network.MLPClassifier(**classifier_options(workload)).fit(X.astype(np.float64), y)
        return outputs(workload, model.coefs_, model.intercepts_)
    start = start_of(workload)
    coefs, intercepts, _ = vectorized.fit(
        [W.astype(np.float64) for W in start.coefs],
        [b.astype(np.float64) for b in start.intercepts],
        X.astype(np.float64),
        workload.targets(y),
        epochs=workload.epochs,
        batch_size=workload.batch,
        output=workload.output,
        alpha=ALPHA,
        rng=start.random(),
    )
    return outputs(workload, coefs, intercepts)


def check(workload: Workload, weights: Weights) -> dict[str, Any]:
    """Compare the predictions with those of the reference; return the accuracy on the training rows."""
    h = outputs(workload, *weights)
    difference = float(np.abs(h - expected(workload)).mean())
    assert difference <= TOLERANCE[workload.dtype], (
        f"predictions differ from the reference's by {difference:.2g} on average, "
        f"allowed are {TOLERANCE[workload.dtype]:g}"
    )
    labels = h.argmax(axis=1) if workload.output == "softmax" else h[:, 0] > 0.5
    return {"accuracy": float((labels == workload.data()[1]).mean()), "difference": difference}


def trial(workload: Workload, runs: dict[str, Callable[[], Weights]]) -> Trial:
    """Return a trial of `runs`, with the facts of an epoch."""
    facts = {"flops": workload.flops, "rows": workload.rows, "epochs": workload.epochs, "network": workload.network}
    return Trial(runs, partial(check, workload), per=workload.epochs, facts=facts)


# ---- implementations


def fastmlp(workload: Workload, threads: int) -> Trial:
    """Time `fit` of our classifier."""
    X, y = workload.data()

    def fit() -> Weights:
        model = MLPClassifier(**classifier_options(workload), n_jobs=threads).fit(X, y)
        return model.coefs_, model.intercepts_

    return trial(workload, {f"at most {threads} thread{'s' * (threads > 1)}": fit})


def scikit_learn(workload: Workload) -> Trial:
    """Time `fit` of scikit-learn's classifier, with the better number of BLAS threads."""
    X, y = workload.data()
    blas = ThreadpoolController()

    def fit(threads: int) -> Weights:
        with blas.limit(limits=threads):
            model = neural_network.MLPClassifier(**classifier_options(workload)).fit(X, y)
        return model.coefs_, model.intercepts_

    return trial(workload, {name: partial(fit, threads) for name, threads in thread_counts().items()})


def vectorised(workload: Workload) -> Trial:
    """Time the vectorised reference, in the dtype of the workload."""
    X, y = workload.data()
    Y = workload.targets(y)
    start = start_of(workload)
    blas = ThreadpoolController()

    def fit(threads: int) -> Weights:
        with blas.limit(limits=threads):
            coefs, intercepts, _ = vectorized.fit(
                start.coefs,
                start.intercepts,
                X,
                Y,
                epochs=workload.epochs,
                batch_size=workload.batch,
                output=workload.output,
                alpha=ALPHA,
                rng=start.random(),
            )
        return coefs, intercepts

    return trial(workload, {name: partial(fit, threads) for name, threads in thread_counts().items()})


def plain_loops(workload: Workload) -> Trial:
    """Time the loops on a few rows, as one mini-batch; the time is scaled to all rows."""
    row_flops = workload.flops / workload.rows
    rows = int(min(workload.rows, workload.batch, max(2, LOOP_FLOPS // row_flops)))
    X, y = (array[:rows] for array in workload.data())
    Y, start = workload.targets(y), start_of(workload)
    options = {"epochs": 1, "batch_size": rows, "output": workload.output, "alpha": ALPHA}

    def fit() -> Weights:
        return loops.fit(start.coefs, start.intercepts, X, Y, **options)[:2]

    def same_as_vectorised(weights: Weights) -> dict[str, Any]:
        wanted = vectorized.fit(start.coefs, start.intercepts, X.astype(np.float64), Y, **options)
        for ours, theirs in zip([*weights[0], *weights[1]], [*wanted[0], *wanted[1]], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
        return {}

    facts = {"flops": workload.flops, "rows": workload.rows, "rows measured": rows, "network": workload.network}
    return Trial({"1 thread": fit}, same_as_vectorised, per=rows / workload.rows, facts=facts)


def peer(workload: Workload, train: Callable[..., dict[str, Callable[[], Weights]]]) -> Trial:
    """Time a trainer of `peers`."""
    return trial(workload, train(workload))


def implementations(workload: Workload, effort: Effort) -> Iterator[tuple[str, Callable[..., Trial], str]]:
    """Yield (name, maker of the trial, package that is needed)."""
    yield "fastmlp", partial(fastmlp, threads=CORES), ""
    if CORES > 1:
        yield "fastmlp, 1 thread", partial(fastmlp, threads=1), ""
    yield "scikit-learn", scikit_learn, ""
    if workload.density < 1:
        return
    yield "NumPy", vectorised, ""
    yield "PyTorch", partial(peer, train=peers.torch_eager), "torch"
    yield "JAX", partial(peer, train=peers.jax_scan), "jax"
    if effort == Effort.FULL and workload.dtype == "float32":
        yield "PyTorch compile", partial(peer, train=peers.torch_compiled), "torch"
        yield "skorch", partial(peer, train=peers.skorch_net), "skorch"
        yield "loops", plain_loops, ""


def cases(effort: Effort) -> list[Case]:
    """Return the cases, workload by workload."""
    if effort == Effort.FULL:
        workloads = in_dtypes(*TRAINING, "covertype-like", "text-like")
    elif effort == Effort.QUICK:
        workloads = in_dtypes(*TRAINING[:2])
    else:
        workloads = in_dtypes(*TRAINING, dtypes=("float32",)) + in_dtypes(*TRAINING[:2], dtypes=("float64",))
        workloads = [replace(workload, epochs=CHECKED_EPOCHS) for workload in workloads]
    return [
        Case(Key("training", workload.name, workload.dtype, name), partial(make, workload), needs)
        for workload in workloads
        for name, make, needs in implementations(workload, effort)
    ]
