"""The panel of test accuracies: a point with its binomial interval per subject, by matplotlib and by Plotly."""

import textwrap

from matplotlib.axes import Axes

from epoch_gap.profiler.analysis.accuracy import Evaluation, list_evaluations
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.charts.live import Spec, axis, escaped, layout, whisker_lengths, whiskers
from epoch_gap.reports.sentences.accuracy import accuracy_interval, describe_evaluation
from epoch_gap.reports.view import View

Point = tuple[str, str, Evaluation]
"""title, colour and evaluation of a subject"""
LABEL = "test accuracy, %: 95 % binomial intervals"
ROW, AXIS = 0.44, 0.55
"""inches per subject, and for the axis"""
TITLE_LETTERS = 42
"""characters per line beside a point"""
PIXELS = 64
"""per subject on the page"""


def accuracy_points(view: View) -> list[Point]:
    """Of the headline pair the evaluations that are compared, of other subjects the last; none if not evaluated."""
    points = []
    for subject, title, colour in canvas.coloured_subjects(view):
        evaluation = _evaluation(view, subject)
        if evaluation is not None:
            points.append((title, colour, evaluation))
    return points


def _evaluation(view: View, subject: Subject) -> Evaluation | None:
    if view.learning is not None:
        sides = (view.learning.slow, view.learning.fast)
        compared = {side.id: e for side, e in zip(sides, view.learning.evaluations, strict=True)}
        if subject.id in compared:
            return compared[subject.id]
    return next(reversed(list_evaluations(subject.first)), None)


def height(points: list[Point]) -> float:
    """Inches of the panel."""
    return AXIS + ROW * len(points)


def draw(axes: Axes, points: list[Point]) -> None:
    """The points, one row each, by matplotlib."""
    for row, (title, colour, evaluation) in enumerate(points):
        i = evaluation.accuracy
        below, above = whisker_lengths(i, 100) or (0.0, 0.0)
        axes.errorbar(100 * i.value, row, xerr=[[below], [above]], color=colour, marker="o", ms=6, capsize=3, lw=1.4)
        place = (0, row - 0.4)
        label = f" {title} {describe_evaluation(evaluation)}: {accuracy_interval(evaluation)}"
        axes.annotate(label, place, xycoords=("axes fraction", "data"), va="center", fontsize=canvas.SMALL)
    axes.set_yticks([])
    axes.set_ylim(len(points) - 0.5, -0.9)
    axes.set_xlabel(LABEL)
    axes.grid(axis="x")


def live(points: list[Point]) -> Spec:
    """The points by Plotly."""
    intervals = [evaluation.accuracy for _, _, evaluation in points]
    x, y = [100 * i.value for i in intervals], list(range(len(points)))
    markers = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": title,
            "x": [100 * evaluation.accuracy.value],
            "y": [row],
            "marker": {"color": colour, "size": 10},
            "hovertext": [f"<b>{escaped(title)}</b><br>{accuracy_interval(evaluation)}"],
            "hoverinfo": "text",
        }
        for row, (title, colour, evaluation) in enumerate(points)
    ]
    lengths = [whisker_lengths(i, 100) for i in intervals]
    ticks = [escaped(_label(point)).replace("\n", "<br>") for point in points]
    rows = axis(tickvals=y, ticktext=ticks, range=[len(points) - 0.4, -0.6], fixedrange=True)
    made = layout(90 + PIXELS * max(1, len(points)), xaxis=axis(LABEL if points else "not evaluated"), yaxis=rows)
    return {"data": [whiskers("x", x, y, lengths), *markers], "layout": made}


def _label(point: Point) -> str:
    title, _, evaluation = point
    lines = [*textwrap.wrap(title, TITLE_LETTERS), describe_evaluation(evaluation)]
    return "\n".join(lines)
