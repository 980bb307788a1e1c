"""Measure how much each option of training adds to the time of an epoch: `python -m bench.features`.

Every option is compared with the same fit without it, on scikit-learn's digits data, with one thread. The fits
alternate. The result is the median of the ratios of consecutive fits, which depends little on changes in the speed of
the machine.
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.callbacks import Checkpoint, History

__all__ = ["Feature", "compare", "features"]

EPOCHS = 100


class Feature(NamedTuple):
    """An option of training: parameters of the estimator, arguments of `fit`, and callbacks."""

    params: dict[str, Any]
    fit: dict[str, Any] = {}  # noqa: RUF012 (never changed)
    callbacks: Callable[[], list[Any]] = list
    estimator: type[BaseEstimator] = MLPClassifier


def features(validation: dict[str, Any], folder: Path) -> dict[str, Feature]:
    """Return the options by name; `validation` has validation data for the classifier."""
    regression = {
        name: Feature(params, estimator=MLPRegressor)
        for name, params in {
            "loss='absolute_error'": {"loss": "absolute_error"},
            "loss='huber'": {"loss": "huber"},
            "loss='quantile', 3 quantiles": {"loss": "quantile", "quantile": [0.1, 0.5, 0.9]},
            "loss='cauchy'": {"loss": "cauchy"},
            "loss='poisson'": {"loss": "poisson"},
            "loss='gamma'": {"loss": "gamma"},
            "loss='tweedie'": {"loss": "tweedie"},
        }.items()
    }
    return {
        "early_stopping=True": Feature({"early_stopping": True}),
        "early_stopping=True, MLPRegressor": Feature({"early_stopping": True}, estimator=MLPRegressor),
        "X_val, y_val (a third of the rows)": Feature({}, validation),
        "X_val, y_val, scoring='accuracy'": Feature({"scoring": "accuracy"}, validation),
        "class_weight='balanced'": Feature({"class_weight": "balanced"}),
        "label_smoothing=0.1": Feature({"label_smoothing": 0.1}),
        "loss='focal'": Feature({"loss": "focal"}),
        "dropout=0.5": Feature({"dropout": 0.5}),
        "dropout=[0.2, 0.5], input included": Feature({"dropout": [0.2, 0.5]}),
        "weight_decay=0.01": Feature({"weight_decay": 0.01}),
        "max_grad_norm=0.1": Feature({"max_grad_norm": 0.1}),
        "learning_rate='cosine', warmup=0.1": Feature({"learning_rate": "cosine", "warmup": 0.1}),
        "learning_rate_multipliers": Feature({"learning_rate_multipliers": [0.5, 1.0]}),
        "average=True": Feature({"average": True}),
        "History": Feature({}, callbacks=lambda: [History()]),
        "Checkpoint(every=10)": Feature({}, callbacks=lambda: [Checkpoint(folder / "fit.checkpoint")]),
        **regression,
    }


def compare(feature: Feature, X: Any, y: Any, repetitions: int = 15, epochs: int = EPOCHS) -> dict[str, float]:
    """Return milliseconds for an epoch without and with `feature`, and the median ratio.

    Raises
    ------
    AssertionError
        A fit stopped early or has weights that are not finite.
    """
    common = {"max_iter": epochs, "n_iter_no_change": epochs, "tol": 0.0, "random_state": 0, "n_jobs": 1}

    def fit(with_feature: bool) -> float:
        model = feature.estimator(**common | (feature.params if with_feature else {}))
        callbacks = feature.callbacks() if with_feature else []
        if callbacks:
            model.set_callbacks(*callbacks)
        begin = time.perf_counter()
        model.fit(X, y, **feature.fit if with_feature else {})
        seconds = time.perf_counter() - begin
        assert model.n_iter_ == epochs
        assert all(np.isfinite(coef).all() for coef in model.coefs_)
        return seconds / epochs * 1e3

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit(True)
        times = np.array([[fit(False), fit(True)] for _ in range(repetitions)])
    without, with_feature = times.min(axis=0)
    return {"without": without, "with": with_feature, "ratio": float(np.median(times[:, 1] / times[:, 0]))}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=15)
    options = parser.parse_args()
    X, y = load_digits(return_X_y=True)
    X = X / 16
    X_val, _, y_val, _ = train_test_split(X, y, train_size=len(X) // 3, random_state=0, stratify=y)
    with tempfile.TemporaryDirectory() as folder:
        cases = features({"X_val": X_val, "y_val": y_val}, Path(folder))
        found = {
            # Poisson, gamma and Tweedie losses need positive targets.
            (name, dtype): compare(
                feature,
                X.astype(dtype),
                y if feature.estimator is MLPClassifier else (y + 1).astype(dtype),
                options.repetitions,
            )
            for name, feature in cases.items()
            for dtype in ("float32", "float64")
        }
    table = pd.DataFrame(found).T
    table.index.names = ["option", "dtype"]
    print("Milliseconds for an epoch of digits, one thread: the best without and with the option; median of the ratios")
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()
