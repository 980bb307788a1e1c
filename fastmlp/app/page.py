"""The report as one self-contained HTML page. Requires jinja2 and matplotlib."""

from __future__ import annotations

import base64
import struct
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from fastmlp.app import report
from fastmlp.app.pictures import DPI, draw


def render(results: dict[str, Any]) -> str:
    """Return the page.

    Parameters
    ----------
    results : dict
        The contents of ``metrics.json``, which `fastmlp.app.results` collects.

    Returns
    -------
    str
        HTML with the pictures embedded.
    """
    environment = Environment(
        loader=PackageLoader("fastmlp", "app"),
        autoescape=True,  # names of columns and classes come from the user's table
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    compared = results["models"]
    saved = next((m for m in compared["models"] if m["name"] == compared["saved"]), None) if compared else None
    outcomes = [outcome for outcome in (results["ours"], results["theirs"]) if outcome]
    return environment.get_template("report.html.jinja").render(
        results=results,
        saved=saved,
        scores=list(saved["test"]) if saved else [],
        conclusion=report.conclusion(results) if compared else [],
        searches=[
            *(" ".join(line.strip() for line in report.best(outcome, results["metric"])) for outcome in outcomes),
            *([" ".join(report.comparison(*outcomes))] if len(outcomes) > 1 else []),
        ],
        advice=[" ".join(report.advice(results))] if report.advice(results) else [],
        pictures=[_embedded(title, picture) for title, picture in draw(results).items()],
        number=report.number,
        short=report.short,
        size=report.size,
        counterpart=report.counterpart,
    )


def _embedded(title: str, png: bytes) -> dict[str, Any]:
    width = struct.unpack(">I", png[16:20])[0]  # of the header chunk
    return {"title": title, "width": width * 96 // DPI, "data": base64.b64encode(png).decode("ascii")}
