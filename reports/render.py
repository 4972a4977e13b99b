"""A report's files, as bytes: nothing here writes them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from profiler.drilldown.found import Found
from profiler.noise import Floors
from profiler.run import Run
from profiler.subject import Subject, group
from reports import charts, page, text
from reports.view import View, of_subjects

SUMMARY = "summary.json"
FILES = ("breakdown.png", "gap.png", "accuracy.png", "layers.png", SUMMARY, "phases.csv", "index.html")
"""every file that a report may have; no gap without a second subject, no layers without their drill-down"""


@dataclass(frozen=True)
class Report:
    """File contents by name; `page` is the one to open."""

    view: View
    files: dict[str, bytes]
    page: str = "index.html"


def render(
    runs: Sequence[Run],
    floors: Floors | None = None,
    found: Found | None = None,
) -> Report:
    """Analyse runs and draw everything, with the noise floors and the drill-downs that are known.

    Raises UserError where the runs cannot be compared or hold no full step.
    """
    return render_subjects(group(runs), floors, found)


def render_subjects(
    subjects: Sequence[Subject],
    floors: Floors | None = None,
    found: Found | None = None,
) -> Report:
    """The same for subjects, at least one, whose runs can be compared."""
    view = of_subjects(subjects, floors, found)
    pictures = {"breakdown.png": charts.png(charts.breakdown(view))}
    if view.gaps:
        pictures["gap.png"] = charts.png(charts.gap(view))
    pictures["accuracy.png"] = charts.png(charts.accuracy(view))
    if view.layers:
        pictures["layers.png"] = charts.png(charts.layers(view))
    files = {
        **pictures,
        SUMMARY: (json.dumps(view.summary, indent=1, allow_nan=False) + "\n").encode(),
        "phases.csv": text.phases_csv(view).encode(),
        Report.page: page.render(view, pictures).encode(),
    }
    return Report(view, files)
