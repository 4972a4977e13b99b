"""A report's files, as bytes: nothing here writes them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from epoch_gap.profiler.comparison.noise_floor import Floors
from epoch_gap.profiler.comparison.subject import Subject, group
from epoch_gap.profiler.drilldown.matching import Found
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports.charts import CHARTS, canvas
from epoch_gap.reports.page import page
from epoch_gap.reports.terminal import tables as text
from epoch_gap.reports.view import View, of_subjects

SUMMARY = "summary.json"
PAGE, TABLE = "index.html", "phases.csv"
FILES = (*(f"{name}.{kind}" for name in CHARTS for kind in ("png", "svg")), SUMMARY, TABLE, PAGE)
"""every file that a report may have; no gap without a second subject, no layers without their drill-down, no SVG
unless it is asked for"""


@dataclass(frozen=True)
class Report:
    """File contents by name; `page` is the one to open."""

    view: View
    files: dict[str, bytes]
    page: str = PAGE


def render(
    runs: Sequence[Run],
    floors: Floors | None = None,
    found: Found | None = None,
    svg: bool = False,
) -> Report:
    """Analyse runs and draw everything, with the noise floors and the drill-downs that are known.

    With `svg`, the pictures are SVG files besides. Raises UserError where the runs cannot be compared or hold no full
    step.
    """
    return render_subjects(group(runs), floors, found, svg)


def render_subjects(
    subjects: Sequence[Subject],
    floors: Floors | None = None,
    found: Found | None = None,
    svg: bool = False,
) -> Report:
    """The same for subjects, at least one, whose runs can be compared."""
    view = of_subjects(subjects, floors, found)
    figures = {name: chart.static(view) for name, chart in CHARTS.items() if chart.shown(view)}
    files = {
        **{f"{name}.png": canvas.png(figure) for name, figure in figures.items()},
        **({f"{name}.svg": canvas.svg(figure).encode() for name, figure in figures.items()} if svg else {}),
        SUMMARY: (json.dumps(view.summary, indent=1, allow_nan=False) + "\n").encode(),
        TABLE: text.phases_csv(view).encode(),
        PAGE: page.render(view, figures).encode(),
    }
    return Report(view, files)
