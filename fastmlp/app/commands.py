"""The commands of ``python -m fastmlp``: fit, predict and report."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
from sklearn.pipeline import Pipeline

from fastmlp.app import UserError, models, report, results, saving, search
from fastmlp.app.progress import progress
from fastmlp.app.table import Table, digits, read_table
from fastmlp.app.wording import brief, first_line, shorten

PAGE = "report.html"


def fit(args: argparse.Namespace) -> None:
    """Search, compare, and save the model, the metrics and the page. Without a file, only time the search on digits."""
    table = digits() if args.file is None else _table(args)
    render = _renderer()
    if table.preparation is not None:
        saving.check_format(args.format)
    _make_folder(args.output)
    compare = args.compare if args.compare is not None else args.file is None
    jobs = args.jobs or joblib.cpu_count()
    data = search.split(table, args.seed)
    found = results.introduction(table, data, jobs, args.seed, args.max_iter)
    print("\n".join(report.introduction(found)), flush=True)

    # Start the workers before the gradient check. Otherwise the check would load the kernels, and the time that the
    # search waits for them could not be measured.
    ready = search.warm_up("fastmlp", table.task, data, jobs)
    check = search.gradient_check(table, data, args.seed)
    print(str(check).splitlines()[-1] if check else check, flush=True)

    def run(library: str, ready: float) -> search.Outcome:
        with progress(library, search.FITS, search.FOLDS, sys.stderr) as log:
            try:
                return search.run(library, table, data, log, jobs, args.seed, ready, args.max_iter)
            except ValueError as error:  # every fit failed
                raise UserError(f"the search with {library} failed: {first_line(error)}") from error

    ours, theirs = run("fastmlp", ready), None
    if compare:
        theirs = run("scikit-learn", search.warm_up("scikit-learn", table.task, data, jobs))
    found |= {
        "gradient": results.gradient(check),
        "ours": results.outcome(ours),
        "theirs": theirs and results.outcome(theirs),
        "models": None,
    }
    best = ours.search.best_estimator_
    if table.preparation is not None:
        candidates, failures = models.compare(table, data, ours, args.seed)
        chosen = models.choose(candidates, args.model)
        why = "with the best mean score over the folds" if args.model == "best" else "as --model says"
        found["models"] = results.comparison(candidates, chosen, why) | {"failures": failures}
        best = chosen.estimator
    found["pictures"] = {
        "curves": results.curves(ours, theirs, data),
        "first_layer": results.first_layer(ours, table),
        "predictions": results.predictions(best, table, data),
    }
    print("\n".join(report.findings(found)))

    written = []
    if table.preparation is not None:
        written.append(f"model.{args.format}")
        saving.save_model(Pipeline([("prepare", table.preparation), ("model", best)]), args.output / written[0])
    saving.save_metrics(found, args.output)
    written.append(saving.METRICS)
    if render is not None:
        saving.write_text(args.output / PAGE, render(found))
        written.append(PAGE)
    print(f"written to {args.output}: {', '.join(written)}")
    if render is None:
        print('no report: it needs matplotlib and jinja2; pip install "fastmlp[app]" installs them')


def predict(args: argparse.Namespace) -> None:
    """Predict every row of a table with a saved model."""
    _need_pandas()
    import pandas as pd

    from fastmlp.app.preparation import with_numbers
    from fastmlp.app.reading import read_raw

    model = saving.load_model(args.model)
    preparation = model.named_steps["prepare"]
    raw = read_raw(args.file, **_reading(args))
    try:
        frame = with_numbers(raw.frame, preparation.kinds_, raw.decimal)
        predicted = {"prediction": model.predict(frame)}
        if hasattr(model, "predict_proba"):
            shares = model.predict_proba(frame).T
            predicted |= {f"probability {name}": share for name, share in zip(model.classes_, shares, strict=True)}
        new = preparation.new_categories(frame)
    except ValueError as error:
        raise UserError(f"{raw.name}: {first_line(error)}") from error
    for column, texts in new.items():
        print(
            f"{raw.name}: column {column!r} has texts that fit has not seen, treated as different from all known texts"
            f": {shorten([brief(text) for text in texts], 5)}",
            file=sys.stderr,
        )
    extra = [name for name in frame if name not in preparation.kinds_]
    if extra:
        print(f"{raw.name}: ignored, because the model does not use them: {shorten(extra)}", file=sys.stderr)
    table = pd.DataFrame(predicted)
    if args.output == "-":
        table.to_csv(sys.stdout, index=False, lineterminator="\n")
        return
    try:
        table.to_csv(args.output, index=False, lineterminator="\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {args.output}: {error.strerror or first_line(error)}") from error
    print(f"{len(table)} predictions written to {args.output}", file=sys.stderr)


def render_again(args: argparse.Namespace) -> None:
    """Render the page from the metrics that ``fit`` saved."""
    found = saving.load_metrics(args.folder)
    render = _renderer()
    if render is None:
        raise UserError('the report needs matplotlib and jinja2: pip install "fastmlp[app]"')
    path = args.output or args.folder / PAGE
    try:
        page = render(found)
    except (KeyError, TypeError, IndexError) as error:
        raise UserError(f"{args.folder / saving.METRICS} is not a file that fit wrote ({error!r})") from error
    saving.write_text(path, page)
    print(f"written: {path}")


def _reading(args: argparse.Namespace) -> dict[str, str | None]:
    return {"separator": args.separator, "decimal": args.decimal, "encoding": args.encoding}


def _need_pandas() -> None:
    try:
        import pandas  # noqa: F401
    except ImportError as error:
        raise UserError('tables need pandas: pip install "fastmlp[app]"') from error


def _table(args: argparse.Namespace) -> Table:
    _need_pandas()
    return read_table(args.file, args.target, args.task, keep=args.keep, drop=args.drop, **_reading(args))


def _renderer() -> Callable[[dict[str, Any]], str] | None:
    """Return the function that renders the page, or None if matplotlib or jinja2 is not installed."""
    try:
        from fastmlp.app.page import render
    except ImportError:
        return None
    return render


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot create the folder {folder}: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise UserError(f"cannot write into the folder {folder}")
