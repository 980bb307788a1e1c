"""Predict with fastmlp and with ONNX Runtime from the same exported network: `python -m bench.serving`.

The network has the shape of the covertype-like workload, 54-128-64-7 with relu, and random weights. Both results are
compared before anything is timed. The two take turns; the printed times are the best of all turns.
"""

import sys
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


def main() -> None:
    """Check, time and print."""
    alternatives = predictors(model())
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


if __name__ == "__main__":
    main()
