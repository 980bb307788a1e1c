"""What fastmlp promises about seconds: `python -m bench.promises`, on a machine that does nothing else.

No test has a bound on seconds, because it would fail on a busy machine. This program checks the promises: Ctrl-C is
noticed within 0.2 s, importing fastmlp takes at most 0.4 s more than importing scikit-learn's estimator, and a team of
four times as many threads as cores takes at most twice the time.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits

import fastmlp
from fastmlp.training._threads import Team

__all__ = ["LONG", "N_JOBS", "Interrupt", "interrupt", "main"]

CTRL_C_SECONDS = 0.2
IMPORT_SECONDS = 0.4
TEAM_RATIO = 2.0

ENDLESS = {"max_iter": 10**9}
WIDE = {"hidden_layer_sizes": (256, 256)}
# Rows, columns and parameters of training that takes minutes.
LONG = {
    "one long epoch": (200_000, 64, WIDE),
    "one row a batch": (200_000, 64, {"hidden_layer_sizes": (50, 50), "batch_size": 1}),
    "one row a batch, many weights": (200_000, 64, {"hidden_layer_sizes": (1500, 1500), "batch_size": 1}),
    "a tiny network": (200_000, 2, {"hidden_layer_sizes": (2,), "batch_size": 1, **ENDLESS}),
    "tiny epochs": (30, 2, {"hidden_layer_sizes": (2,), **ENDLESS}),
    "full batch": (200_000, 64, {"batch_size": 200_000, **WIDE}),
    "early stopping": (3000, 20, {"early_stopping": True, **ENDLESS}),
    "lbfgs": (200_000, 64, {"solver": "lbfgs", **WIDE, **ENDLESS}),
}
SOLVER = {"solver": "sgd", "learning_rate_init": 1e-6, "n_iter_no_change": np.inf, "tol": 0, "random_state": 0}
N_JOBS = (1, 2)
# Calls of the kernel before Ctrl-C is pressed: many for figures, few for tests. The length of the first call is a
# guess, that of later ones follows from the call before.
CALLS_BEFORE, FEW_CALLS_BEFORE = 20, 4


class Interrupt(NamedTuple):
    """How soon Ctrl-C ended a fit."""

    seconds: float  # from the signal to the end of the fit
    calls: int  # of the kernel that began after the signal


def interrupt(X: np.ndarray, y: np.ndarray, params: dict, calls_before: int = CALLS_BEFORE) -> Interrupt:
    """Fit, press Ctrl-C while a kernel runs, and check that the model is good for predictions and more training."""
    model = fastmlp.MLPRegressor(**SOLVER | params)
    run, calls, ready, pressed = Team.run, [], threading.Event(), []

    def counted(team, *args, **options):
        calls.append(None)
        if len(calls) == calls_before:
            ready.set()
        return run(team, *args, **options)

    def press():
        ready.wait()
        begin = time.perf_counter()
        os.kill(os.getpid(), signal.SIGINT)
        pressed.append((begin, len(calls)))

    thread = threading.Thread(target=press)
    thread.start()
    Team.run = counted
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(X, y)
        end = time.perf_counter()
    finally:
        Team.run = run
    thread.join()
    ((begin, before),) = pressed
    assert str(caught[0].message) == "Training interrupted by user."
    assert all(np.isfinite(a).all() for a in model.coefs_ + model.intercepts_)
    assert np.isfinite(model.predict(X[:10])).all()
    assert not [t for t in threading.enumerate() if t.name.startswith("fastmlp")]
    if model.solver != "lbfgs":
        assert model.n_iter_ == len(model.loss_curve_)
        model.set_params(early_stopping=False).partial_fit(X[:100], y[:100])
        assert np.isfinite(model.predict(X[:10])).all()
    return Interrupt(end - begin, len(calls) - before)


def interrupt_all(calls_before: int = CALLS_BEFORE) -> dict[str, Interrupt]:
    """An interrupted fit for every name and number of threads; everything is compiled before."""
    rng = np.random.default_rng(0)
    data = {columns: rng.normal(size=(200_000, columns)) for columns in {row[1] for row in LONG.values()}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for solver in ("lbfgs", "sgd"):
            fastmlp.MLPRegressor(max_iter=1, solver=solver).fit(data[2][:300], data[2][:300, 0])
    found = {}
    for name, (rows, columns, params) in LONG.items():
        X = data[columns][:rows]
        for n_jobs in N_JOBS:
            params = params | {"n_jobs": n_jobs}
            found[f"{name}, {n_jobs} threads"] = interrupt(X, X[:, 0] + X[:, 1], params, calls_before)
    return found


def import_seconds(module: str) -> float:
    """Seconds that a new process takes to import `module`, the least of five."""
    code = f"import time; begin = time.perf_counter(); import {module}; print(time.perf_counter() - begin)"
    command = [sys.executable, "-c", code]
    return min(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(5))


def team_ratio() -> float:
    """Time of a fit with four times as many threads as cores, as a multiple of its time with as many as cores."""
    X, y = load_digits(return_X_y=True)
    cores = os.cpu_count() or 1
    seconds: dict[int, list[float]] = {cores: [], 4 * cores: []}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(7):
            for n_jobs, times in seconds.items():
                model = fastmlp.MLPClassifier((256,), batch_size=290, max_iter=30, random_state=0, n_jobs=n_jobs)
                begin = time.perf_counter()
                model.fit(X, y)
                times.append(time.perf_counter() - begin)
    few, many = (min(times) for times in seconds.values())
    return many / few


def main(argv: list[str]) -> int:
    """Print each figure beside its promise; return 1 if one is not kept.

    With `--json`, print only the interrupted fits, each interrupted after few calls of the kernel.
    """
    if argv == ["--json"]:
        print(json.dumps(interrupt_all(FEW_CALLS_BEFORE)))
        return 0
    interrupts = interrupt_all()
    rows = [
        (f"Ctrl-C, {name}", f"{found.seconds:.3f} s", CTRL_C_SECONDS, found.seconds)
        for name, found in interrupts.items()
    ]
    more = import_seconds("fastmlp") - import_seconds("sklearn.neural_network")
    rows.append(("import, beyond scikit-learn's", f"{more:.2f} s", IMPORT_SECONDS, more))
    ratio = team_ratio()
    rows.append(("four threads a core, times one a core", f"{ratio:.2f}", TEAM_RATIO, ratio))
    for name, figure, promise, value in rows:
        print(f"{name:50} {figure:>8}  promised {promise:g}{'' if value <= promise else '  NOT KEPT'}")
    return int(any(value > promise for _, _, promise, value in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
