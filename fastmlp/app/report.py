"""The text of the report: what is searched, what was found, and how it compares with scikit-learn's."""

from __future__ import annotations

import numpy as np
import sklearn

import fastmlp
from fastmlp.app.search import ALPHAS, FOLDS, SIZES, Outcome, Split
from fastmlp.app.table import Table

FITS = len(ALPHAS) * len(SIZES) * FOLDS
METRIC = {"classification": "accuracy", "regression": "R2"}


def introduction(table: Table, data: Split, jobs: int) -> list[str]:
    """Return what is known before the search."""
    rows, columns = table.X.shape
    classes = f", {len(np.unique(table.y))} classes" if table.task == "classification" else ""
    return [
        f"fastmlp {fastmlp.__version__}, scikit-learn {sklearn.__version__}",
        f"{table.name}: {rows} rows, {columns} columns{classes}",
        *(f"  {note}" for note in table.notes),
        f"{len(data.y)} rows to search on, {len(data.y_test)} set aside for the test",
        f"GridSearchCV over {len(ALPHAS)} alphas x {len(SIZES)} hidden_layer_sizes x {FOLDS} folds: "
        f"{FITS} fits, {jobs} at a time",
        "(the first run on a machine compiles fastmlp's kernels before the search; later runs load them)",
    ]


def findings(ours: Outcome, theirs: Outcome | None, metric: str) -> list[str]:
    """Return the ranked table, the best of each library, and how they compare."""
    outcomes = [ours] if theirs is None else [ours, theirs]
    lines = ["", *ranking(ours, theirs, metric), ""]
    lines += [_best(outcome, metric) for outcome in outcomes]
    if theirs is not None:
        lines.append(comparison(ours, theirs))
    lines += [
        f"{outcome.library}: {outcome.unconverged} of {FITS} fits reached max_iter before they converged"
        for outcome in outcomes
        if outcome.unconverged
    ]
    return lines


def ranking(ours: Outcome, theirs: Outcome | None, metric: str) -> list[str]:
    """Return the candidates, best first, one a line, with scikit-learn's score and time beside them."""
    head = f"rank   alpha  hidden_layer_sizes  {metric:>8}     std  epochs    s/fit"
    if theirs is not None:
        head += f"  | scikit-learn: {metric:>8}    s/fit"
    lines = [head]
    found = ours.search.cv_results_
    for i in np.argsort(found["rank_test_score"], kind="stable"):
        line = (
            f"{found['rank_test_score'][i]:>4}  {ALPHAS[i // len(SIZES)]:>6g}  {SIZES[i % len(SIZES)]!s:>18}"
            f"  {found['mean_test_score'][i]:>8.4f}  {found['std_test_score'][i]:>6.4f}"
            f"  {found['mean_test_epochs'][i]:>6.0f}  {found['mean_fit_time'][i]:>7.3f}"
        )
        if theirs is not None:
            other = theirs.search.cv_results_
            line += f"  | {other['mean_test_score'][i]:>22.4f}  {other['mean_fit_time'][i]:>7.3f}"
        lines.append(line)
    return lines


def comparison(ours: Outcome, theirs: Outcome) -> str:
    """Say which library was faster, and whether both found the same."""
    ratio = theirs.seconds / ours.seconds
    speed = f"{ratio:.1f} times faster" if ratio >= 1 else f"{1 / ratio:.1f} times slower"
    agreement = "the same best parameters" if ours.best == theirs.best else "other best parameters"
    gap = float(np.max(np.abs(ours.scores - theirs.scores)))
    scores = f"mean scores that differ by at most {gap:.2g}" if gap else "the same mean scores"
    return f"{ours.library} was {speed} and found {agreement}, with {scores}"


def _best(outcome: Outcome, metric: str) -> str:
    best = outcome.best
    return (
        f"{outcome.library + ':':<13} alpha={best['alpha']:g}, "
        f"hidden_layer_sizes={best['hidden_layer_sizes']}, test {metric} {outcome.test_score:.4f}; "
        f"search {outcome.seconds:.2f} s, after {outcome.ready:.2f} s to get workers and code ready"
    )
