"""A report's files, as bytes: nothing here writes them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from profiler.noise import Floors
from profiler.run import Run
from reports import charts, page, text
from reports.view import View, build

SUMMARY = "summary.json"
FILES = ("breakdown.png", "gap.png", "accuracy.png", SUMMARY, "phases.csv", "index.html")
"""every file that a report may have; without a second subject there is no gap"""


@dataclass(frozen=True)
class Report:
    """File contents by name; `page` is the one to open."""

    view: View
    files: dict[str, bytes]
    page: str = "index.html"


def render(runs: Sequence[Run], floors: Floors | None = None) -> Report:
    """Analyse runs and draw everything; `floors` are the noise floors known.

    Raises UserError where the runs cannot be compared or hold no full step.
    """
    view = build(runs, floors)
    pictures = {"breakdown.png": charts.png(charts.breakdown(view))}
    if view.gaps:
        pictures["gap.png"] = charts.png(charts.gap(view))
    pictures["accuracy.png"] = charts.png(charts.accuracy(view))
    files = {
        **pictures,
        SUMMARY: (json.dumps(view.summary, indent=1, allow_nan=False) + "\n").encode(),
        "phases.csv": text.phases_csv(view).encode(),
        Report.page: page.render(view, pictures).encode(),
    }
    return Report(view, files)
