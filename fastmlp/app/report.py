"""The text of the report: the search, its results, and the comparison with other models."""

from __future__ import annotations

import textwrap
from typing import Any

OURS = ("mlp", "tabular")  # names of the models of fastmlp
SHOWN = 5  # number of candidates on the screen; the page shows all of them
WIDTH = 80


def introduction(results: dict[str, Any]) -> list[str]:
    """Return the lines that are printed before the search: versions, table, and size of the search."""
    table, search = results["table"], results["search"]
    classes = f", {table['classes']} classes" if table["classes"] else ""
    lines = [
        ", ".join(f"{library} {version}" for library, version in results["versions"].items()),
        f"{table['name']}: {table['rows']} rows, {table['columns']} columns{classes}",
    ]
    for note in table["notes"]:
        lines += textwrap.wrap(note, WIDTH, initial_indent="  ", subsequent_indent="    ", break_long_words=False)
    return [
        *lines,
        f"{results['rows']['search']} rows for the search, {results['rows']['test']} test rows",
        f"GridSearchCV: {len(search['alphas'])} alphas x {len(search['sizes'])} hidden_layer_sizes x "
        f"{search['folds']} folds = {search['fits']} fits, {results['jobs']} in parallel",
    ]


def findings(results: dict[str, Any]) -> list[str]:
    """Return the best candidates, the best of each library, and how they compare."""
    ours, theirs = results["ours"], results["theirs"]
    outcomes = [ours] if theirs is None else [ours, theirs]
    lines = ["", *ranking(results), ""]
    for outcome in outcomes:
        lines += best(outcome, results["metric"])
    if theirs is not None:
        lines += comparison(ours, theirs)
    lines += advice(results)
    if results["models"] is not None:
        lines += ["", *models(results)]
        for sentence in conclusion(results):
            lines += textwrap.wrap(sentence, WIDTH, break_on_hyphens=False)
    return lines


def ranking(results: dict[str, Any], most: int = SHOWN) -> list[str]:
    """Return the best candidates, one in each line, with the score and time of scikit-learn if it was searched too."""
    ours, theirs, metric = results["ours"], results["theirs"], results["metric"]
    head = f"rank   alpha    hidden  {metric:>8}     std  epochs   s/fit"
    if theirs is not None:
        head += " | scikit-learn   s/fit"
    lines = [head]
    for row in ours["candidates"][:most]:
        line = (
            f"{row['rank']:>4}  {row['alpha']:>6g}  {size(row):>8}  {number(row['score']):>8}"
            f"  {number(row['std']):>6}  {number(row['epochs'], 0):>6}  {number(row['seconds_per_fit'], 3):>6}"
        )
        if theirs is not None:
            other = counterpart(row, theirs)
            line += f" | {number(other['score']):>12}  {number(other['seconds_per_fit'], 3):>6}"
        lines.append(line)
    return lines


def counterpart(row: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """Return the same candidate in the other search."""
    same = ("alpha", "hidden_layer_sizes")
    return next(other for other in theirs["candidates"] if all(other[key] == row[key] for key in same))


def size(row: dict[str, Any]) -> str:
    """Return the hidden layers as Python writes them."""
    return str(tuple(row["hidden_layer_sizes"]))


def number(value: float | None, digits: int = 4) -> str:
    """Return a number with fixed decimals, or a dash if there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def best(outcome: dict[str, Any], metric: str) -> list[str]:
    """Return the best parameters of a search, its score on the test rows, and its times."""
    found = outcome["best"]
    return [
        f"{outcome['library'] + ':':<13} alpha={found['alpha']:g}, hidden_layer_sizes={size(found)}, "
        f"test {metric} {number(outcome['test_score'])};",
        f"{'':<13} search {outcome['seconds']:.2f} s, after {outcome['ready']:.2f} s to start workers and load code",
    ]


def comparison(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Return a comparison of the speed and the results of both libraries."""
    ratio = theirs["seconds"] / ours["seconds"]
    speed = f"{ratio:.1f} times faster" if ratio >= 1 else f"{1 / ratio:.1f} times slower"
    agreement = "the same best parameters" if ours["best"] == theirs["best"] else "different best parameters"
    pairs = [(row["score"], counterpart(row, theirs)["score"]) for row in ours["candidates"]]
    gap = max((abs(a - b) for a, b in pairs if a is not None and b is not None), default=0.0)
    scores = f"mean scores that differ by at most {gap:.2g}" if gap else "the same mean scores"
    return textwrap.wrap(f"{ours['library']} was {speed} and found {agreement}, with {scores}", WIDTH)


def advice(results: dict[str, Any]) -> list[str]:
    """Return how many fits failed or did not converge, and what to do about it."""
    fits, outcomes = results["search"]["fits"], [results["ours"], results["theirs"]]
    lines = []
    for what, key in (
        ("failed", "failed"),
        (f"reached max_iter={results['max_iter']} before they converged", "unconverged"),
    ):
        counts = [f"{found[key]} of {fits} fits ({found['library']})" for found in outcomes if found and found[key]]
        if counts:
            line = f"{', '.join(counts)} {what}"
            if key == "unconverged":
                line += f"; --max-iter {5 * results['max_iter']} allows more epochs"
            lines += textwrap.wrap(line, WIDTH, break_on_hyphens=False)
    return lines


def models(results: dict[str, Any]) -> list[str]:
    """Return the compared models, one in each line, ordered by their scores on the test rows."""
    compared = results["models"]["models"]
    scores = list(compared[0]["test"])
    heads = "".join(f"{score.replace('balanced accuracy', 'balanced'):>10}" for score in scores)
    lines = [f"{'on the test rows':<41}{heads}{'s':>9}"]
    for model in compared:
        values = "".join(f"{short(model['test'][score]):>10}" for score in scores)
        mark = "*" if model["name"] == results["models"]["saved"] else " "
        lines.append(f"{mark}{model['title']:<40}{values}{model['seconds']:>9.2f}")
    return lines


def conclusion(results: dict[str, Any]) -> list[str]:
    """Return sentences that state which model is best on the test rows, which one is saved, and why."""
    compared, metric, rows = results["models"]["models"], results["metric"], results["rows"]["test"]
    first, ours, saved = (
        compared[0],
        next(model for model in compared if model["name"] in OURS),
        next(model for model in compared if model["name"] == results["models"]["saved"]),
    )
    equal = [model["title"] for model in compared if model["test"][metric] == first["test"][metric]]
    best = f"{metric} {short(first['test'][metric])}"
    sentences = [f"Best on the {rows} test rows, {best}: {'; '.join(equal)}."]  # titles contain commas
    if ours["title"] not in equal:
        gap = first["test"][metric] - ours["test"][metric]
        by = f"{round(gap * rows)} of {rows} rows" if results["task"] == "classification" else f"{gap:.4f}"
        sentences.append(f"The best model of fastmlp, {ours['title']}, is worse by {by}.")
    sentences.append(f"Saved (*): {saved['title']}, {results['models']['why']}.")
    return sentences + [f"{failure}." for failure in results["models"]["failures"]]


def short(value: float | None) -> str:
    """Return a score in at most nine characters, or a dash if there is none."""
    return "-" if value is None else f"{value:.4f}" if abs(value) < 100 else f"{value:.5g}"
