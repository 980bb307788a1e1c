"""All results of a run as plain data, which is stored in ``metrics.json`` and from which the report is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import sklearn
from sklearn.metrics import confusion_matrix

import fastmlp
from fastmlp.app.models import Model
from fastmlp.app.search import (
    ALPHAS,
    FITS,
    FOLDS,
    MAX_ITER,
    SIZES,
    Outcome,
    Split,
    best_of_each_size,
    input_names,
    mlp_of,
)
from fastmlp.app.table import Table

METRIC = {"classification": "accuracy", "regression": "R2"}
MOST_INPUTS = 30  # in the picture of the first layer
MOST_UNITS = 64  # likewise
MOST_POINTS = 2000  # in the picture of the predictions


def introduction(table: Table, data: Split, jobs: int, seed: int, max_iter: int = MAX_ITER) -> dict[str, Any]:
    """Return the results that are known before the search: versions, table, and size of the search."""
    rows, columns = table.X.shape
    return {
        "format": 1,
        "versions": {"fastmlp": fastmlp.__version__, "scikit-learn": sklearn.__version__},
        "table": {
            "name": table.name,
            "rows": rows,
            "columns": columns,
            "classes": len(np.unique(table.y)) if table.task == "classification" else None,
            "notes": list(table.notes),
        },
        "target": table.target,
        "task": table.task,
        "metric": METRIC[table.task],
        "rows": {"search": len(data.y), "test": len(data.y_test)},
        "search": {"alphas": list(ALPHAS), "sizes": [list(size) for size in SIZES], "folds": FOLDS, "fits": FITS},
        "jobs": jobs,
        "seed": seed,
        "max_iter": max_iter,
    }


def gradient(check: fastmlp.GradientCheck) -> dict[str, Any]:
    """Return the gradient check as plain data."""
    rows = [
        {"array": row.name, "checked": row.checked, "relative": _plain(row.relative), "ok": bool(row.ok)}
        for row in check.arrays
    ]
    return {"right": bool(check), "arrays": rows}


def outcome(found: Outcome) -> dict[str, Any]:
    """Return a search as plain data: its candidates, from best to worst, and its times."""
    table = found.search.cv_results_
    candidates = [
        {
            "rank": int(table["rank_test_score"][i]),
            "alpha": ALPHAS[i // len(SIZES)],
            "hidden_layer_sizes": list(SIZES[i % len(SIZES)]),
            "score": _plain(table["mean_test_score"][i]),
            "std": _plain(table["std_test_score"][i]),
            "epochs": _plain(table["mean_test_epochs"][i]),
            "seconds_per_fit": _plain(table["mean_fit_time"][i]),
        }
        for i in np.argsort(table["rank_test_score"], kind="stable")
    ]
    return {
        "library": found.library,
        "best": {"alpha": found.best["alpha"], "hidden_layer_sizes": list(found.best["hidden_layer_sizes"])},
        "candidates": candidates,
        "test_score": _plain(found.test_score),
        "seconds": found.seconds,
        "ready": found.ready,
        "unconverged": found.unconverged,
        "failed": found.failed,
    }


def comparison(models: Sequence[Model], chosen: Model, why: str) -> dict[str, Any]:
    """Return the compared models as plain data, ordered by their scores on the test rows."""
    ranked = sorted(models, key=lambda model: -next(iter(model.test_scores.values())))
    return {
        "models": [
            {
                "name": model.name,
                "title": model.title,
                "cv_score": _plain(model.cv_scores.mean()),
                "cv_std": _plain(model.cv_scores.std()),
                "test": {score: _plain(value) for score, value in model.test_scores.items()},
                "seconds": model.seconds,
            }
            for model in ranked
        ],
        "saved": chosen.name,
        "why": why,
    }


def curves(ours: Outcome, theirs: Outcome | None, data: Split) -> list[dict[str, Any]]:
    """Return the training loss of each size with its best alpha, and of scikit-learn's best network."""
    lines = [
        {
            "label": f"{size}, alpha={alpha:g}",
            "best": {"alpha": alpha, "hidden_layer_sizes": size} == ours.best,
            "peer": False,
            "losses": [_plain(loss) for loss in losses],
        }
        for size, alpha, losses in best_of_each_size(ours, data)
    ]
    if theirs:
        losses = mlp_of(theirs.search.best_estimator_).loss_curve_
        label = f"{theirs.library}: {theirs.best['hidden_layer_sizes']}, alpha={theirs.best['alpha']:g}"
        lines.append({"label": label, "best": False, "peer": True, "losses": [_plain(loss) for loss in losses]})
    return lines


def first_layer(ours: Outcome, table: Table) -> dict[str, Any]:
    """Return the first layer's weights of the best network: its strongest units and inputs, strongest first."""
    W = mlp_of(ours.search.best_estimator_).coefs_[0]
    units = np.argsort(-np.linalg.norm(W, axis=0), kind="stable")[:MOST_UNITS]
    names = input_names(ours.search.best_estimator_)
    inputs = np.argsort(-np.linalg.norm(W, axis=1), kind="stable")[:MOST_INPUTS]
    if table.image_shape:
        inputs = np.arange(len(W))
    return {
        "image_shape": table.image_shape and list(table.image_shape),
        "inputs": len(W),
        "names": [names[i] for i in inputs],
        "weights": np.round(W[np.ix_(inputs, units)], 4).tolist(),
    }


def predictions(model: Any, table: Table, data: Split) -> dict[str, Any]:
    """Return the data for the picture of a model's predictions of the test rows."""
    predicted = model.predict(data.X_test)
    if table.task == "classification":
        labels = np.unique(table.y)
        return {
            "labels": [str(label) for label in labels],
            "confusion": confusion_matrix(data.y_test, predicted, labels=labels).tolist(),
        }
    shown = slice(MOST_POINTS)
    return {"true": data.y_test[shown].tolist(), "predicted": predicted[shown].tolist()}


def _plain(value: Any) -> float | None:
    """Return a Python float, or None if the value is not finite, because JSON has no NaN and no infinity."""
    return float(value) if np.isfinite(value) else None
