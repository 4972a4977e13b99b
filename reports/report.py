"""A report: its files, as bytes. Nothing here writes them."""

from collections.abc import Sequence
from dataclasses import dataclass

from epoch_gap.profiler.comparison.spread_history import NOTHING_KNOWN, KnownSpread
from epoch_gap.profiler.comparison.subject import Subject, group_runs
from epoch_gap.profiler.drilldown.matching import Drilldowns
from epoch_gap.profiler.experiments.assessment import Assessment
from epoch_gap.profiler.learning.assessment import CrossAssessment
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.charts.registry import CHARTS
from epoch_gap.reports.export.explanation import explanation
from epoch_gap.reports.export.json_text import strict_json
from epoch_gap.reports.export.report_csv import phases_csv
from epoch_gap.reports.page.page import render_page
from epoch_gap.reports.view import View, view_subjects

SUMMARY = "summary.json"
PAGE, PHASES_CSV, EXPLANATION = "index.html", "phases.csv", "explanation.md"
FILES = (*(f"{name}.{kind}" for name in CHARTS for kind in ("png", "svg")), SUMMARY, PHASES_CSV, EXPLANATION, PAGE)
"""Every file that a report may have: a gap needs two subjects, layers need their drill-down, SVG is on request."""


@dataclass(frozen=True)
class Report:
    """File contents by name; `page` is the name of the file to open."""

    view: View
    files: dict[str, bytes]
    page: str = PAGE


def render_report(
    runs: Sequence[Run],
    drilldowns: Drilldowns | None = None,
    svg: bool = False,
    spread: KnownSpread = NOTHING_KNOWN,
    assessments: Sequence[Assessment] = (),
    crosses: Sequence[CrossAssessment] = (),
) -> Report:
    """Analyse runs and draw everything, with the drill-downs, the spread between processes, the experiments and the
    crosses known.

    With `svg`, the pictures are also SVG files. Raises UserError if the runs cannot be compared or hold no full step.
    """
    return render_subjects(group_runs(runs), drilldowns, svg, spread, assessments, crosses)


def render_subjects(
    subjects: Sequence[Subject],
    drilldowns: Drilldowns | None = None,
    svg: bool = False,
    spread: KnownSpread = NOTHING_KNOWN,
    assessments: Sequence[Assessment] = (),
    crosses: Sequence[CrossAssessment] = (),
) -> Report:
    """The report of subjects, at least one, whose runs can be compared."""
    view = view_subjects(subjects, drilldowns, spread, assessments, crosses)
    figures = {name: chart.static(view) for name, chart in CHARTS.items() if chart.shown(view)}
    files = {
        **{f"{name}.png": canvas.png(figure) for name, figure in figures.items()},
        **({f"{name}.svg": canvas.svg(figure).encode() for name, figure in figures.items()} if svg else {}),
        SUMMARY: (strict_json(view.summary) + "\n").encode(),
        PHASES_CSV: phases_csv(view.summary).encode(),
        EXPLANATION: explanation(view).encode(),
        PAGE: render_page(view, figures).encode(),
    }
    return Report(view, files)
