"""Predict with fastmlp and with ONNX Runtime from the same exported network: `python -m bench.serving`.

Three tables: the time of a prediction by number of rows; the median and the 99th percentile for one row; and the
predictions a second by threads that share one model, each prediction computed by one thread.

The network has the shape of the covertype-like workload, 54-128-64-7 with relu, and random weights. Both results are
compared before anything is timed. The two take turns; the printed times are the best of all turns.
"""

import sys
import threading
import time
import warnings
from collections.abc import Callable

import numpy as np
import onnxruntime
import sklearn.exceptions

from fastmlp import MLPClassifier
from fastmlp.export import to_onnx

from .harness import CORES, PAUSE_SECONDS

UNITS, CLASSES = (54, 128, 64), 7
# Rows of a prediction: turns, and predictions in each. Short turns fit between interruptions by other processes.
WORK = {1: (200, 50), 100: (200, 20), 1_000_000: (15, 1)}
TOLERANCE = 1e-5  # probabilities in float32
LATENCIES = 20_000  # predictions of one row
THREAD_ROWS, THREAD_TURNS, THREAD_SECONDS = (1, 100, 1000), 8, 0.2


def model() -> MLPClassifier:
    """Return a classifier after one step of training, which leaves its weights close to the random start."""
    random = np.random.default_rng(0)
    X = random.standard_normal((200, UNITS[0]), dtype=np.float32)
    classifier = MLPClassifier(UNITS[1:], max_iter=1, random_state=0, n_jobs=CORES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
        return classifier.fit(X, np.arange(200) % CLASSES)


def predictors(classifier: MLPClassifier) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Return functions from rows to probabilities."""
    onnx_model = to_onnx(classifier).SerializeToString()

    def runtime(threads: int) -> Callable[[np.ndarray], np.ndarray]:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(onnx_model, options, providers=["CPUExecutionProvider"])
        return lambda X: session.run(["probabilities"], {"X": X})[0]

    name = f"ONNX Runtime {onnxruntime.__version__}"
    counts = sorted({1, CORES})
    return {"fastmlp": classifier.predict_proba, **{f"{name}, {n} thread{'s' * (n > 1)}": runtime(n) for n in counts}}


def seconds(predict: Callable[[np.ndarray], np.ndarray], X: np.ndarray, calls: int) -> float:
    """Return the seconds of one prediction."""
    begin = time.perf_counter()
    for _ in range(calls):
        predict(X)
    return (time.perf_counter() - begin) / calls


def latencies(predict: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float]:
    """Return the median and the 99th percentile of the seconds of a prediction of one row."""
    X = np.random.default_rng(1).standard_normal((1, UNITS[0]), dtype=np.float32)
    seconds = []
    for _ in range(LATENCIES):
        begin = time.perf_counter()
        predict(X)
        seconds.append(time.perf_counter() - begin)
    median, high = np.percentile(seconds, [50, 99])
    return float(median), float(high)


def rate(predict: Callable[[np.ndarray], np.ndarray], X: np.ndarray, threads: int) -> float:
    """Return the predictions a second by some threads at a time."""
    stop, ready = threading.Event(), threading.Barrier(threads + 1)
    counts = [0] * threads

    def work(i: int) -> None:
        predict(X)
        ready.wait()
        while not stop.is_set():
            predict(X)
            counts[i] += 1

    workers = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
    for worker in workers:
        worker.start()
    ready.wait()
    begin = time.perf_counter()
    time.sleep(THREAD_SECONDS)
    stop.set()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.perf_counter() - begin)


def main() -> None:
    """Check, time and print."""
    classifier = model()
    alternatives = predictors(classifier)
    print(f"{CORES} cores, float32; microseconds of a prediction, and times as long as fastmlp")
    for rows, (turns, calls) in WORK.items():
        X = np.random.default_rng(1).standard_normal((rows, UNITS[0]), dtype=np.float32)
        results = [predict(X) for predict in alternatives.values()]
        difference = max(float(np.abs(result - results[0]).max()) for result in results)
        if difference > TOLERANCE:
            sys.exit(f"{rows:,} rows: the probabilities differ by {difference:.2g}")
        times: dict[str, list[float]] = {name: [] for name in alternatives}
        for _ in range(turns):
            for name, predict in alternatives.items():
                time.sleep(PAUSE_SECONDS)
                times[name].append(seconds(predict, X, calls))
        best = {name: min(measured) for name, measured in times.items()}
        print(f"{rows:,} row{'s' * (rows > 1)} (best of {turns} turns of {calls}; largest difference {difference:.1g})")
        for name, measured in best.items():
            print(f"  {name:30} {1e6 * measured:12,.1f} {measured / best['fastmlp']:8.2f}")
    print(f"1 row, microseconds: median and 99th percentile of {LATENCIES:,} predictions (best of 5 turns)")
    single = dict(list(alternatives.items())[:2])
    found = {
        name: min((latencies(predict) for _ in range(5)), key=lambda pair: pair[1]) for name, predict in single.items()
    }
    for name, (median, high) in found.items():
        print(f"  {name:30} {1e6 * median:12,.1f} {1e6 * high:8,.1f}")
    classifier.set_params(n_jobs=1)
    counts = sorted({1, 2, CORES, 2 * CORES})
    print(f"predictions a second by {', '.join(map(str, counts))} threads (best of {THREAD_TURNS} turns)")
    for rows in THREAD_ROWS:
        X = np.random.default_rng(1).standard_normal((rows, UNITS[0]), dtype=np.float32)
        rates: dict[str, dict[int, float]] = {name: dict.fromkeys(counts, 0.0) for name in single}
        for _ in range(THREAD_TURNS):
            for name, predict in single.items():
                for n in counts:
                    rates[name][n] = max(rates[name][n], rate(predict, X, n))
        for name, by_threads in rates.items():
            print(f"  {rows:5,} rows, {name:30} {' '.join(f'{value:10,.0f}' for value in by_threads.values())}")


if __name__ == "__main__":
    main()
