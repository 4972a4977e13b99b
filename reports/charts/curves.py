"""Test accuracy by epoch of every training in the cross of schedule and initialisation; a band spans the seeds."""

from collections.abc import Iterator
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from epoch_gap.profiler.learning.outcomes import Outcome
from epoch_gap.reports import theme
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.charts.live import Live, Spec, axis, escaped, layout
from epoch_gap.reports.cross import Cross, Trainings
from epoch_gap.reports.view import View

AXIS = "test accuracy, %"
HEIGHT = 3.6
"""inches of the panel"""
BAND, FAINT = 0.15, "dot"


def shown(view: View) -> bool:
    """Whether a cross of two of the subjects was trained."""
    return view.cross is not None


def finding(view: View) -> str:
    """What each cause makes of the test accuracy."""
    cross = _cross(view)
    measured = [row for row in cross.answers if row.name.endswith(Outcome.ACCURACY) and row.verdict]
    if not measured:
        return f"Test accuracy by epoch of {cross.title}"
    parts = ", ".join(f"{row.name.partition(',')[0]} {row.measured}" for row in measured)
    return f"What makes the test accuracies of {cross.title} differ: {parts}"


def _cross(view: View) -> Cross:
    assert view.cross is not None, "the chart is shown only with a cross"
    return view.cross


def _coloured(cross: Cross) -> Iterator[tuple[Trainings, str]]:
    """Each group with its colour, which the first training of a side shares with its repeats in the cross."""
    colours: dict[str, str] = {}
    fresh = cycle(theme.SUBJECT_COLOURS)
    for group in cross.trainings:
        if group.label not in colours:
            colours[group.label] = next(fresh)
        yield group, colours[group.label]


@canvas.styled
def static(view: View) -> Figure:
    """The curves by matplotlib."""
    cross = _cross(view)
    figure = Figure(figsize=(canvas.WIDTH, canvas.EDGES + HEIGHT), layout="constrained")
    axes = figure.subplots()
    handles: dict[str, Line2D] = {}
    for group, colour in _coloured(cross):
        percent = 100 * group.accuracies
        epochs = np.arange(1, percent.shape[1] + 1)
        style = ":" if group.is_baseline else "-"
        (line,) = axes.plot(epochs, percent.mean(axis=0), color=colour, ls=style, lw=1.5, label=group.label)
        if len(percent) > 1:
            axes.fill_between(epochs, percent.min(axis=0), percent.max(axis=0), color=colour, alpha=BAND, lw=0)
        if not group.is_baseline or group.label not in handles:
            handles[group.label] = line
    axes.set_xlabel(
        "epoch; a band spans the seeds, a dotted line is the run from which the differences were predicted"
    )
    axes.set_ylabel(AXIS)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid()
    canvas.legend_above(axes, list(handles.values()))
    canvas.add_title(figure, finding(view))
    canvas.add_source(figure, cross.size)
    return figure


def live(view: View) -> Live:
    """The curves by Plotly."""
    traces: list[Spec] = []
    switches: dict[str, str] = {}
    for group, colour in _coloured(_cross(view)):
        switches[group.label] = colour
        traces += _traces(group, colour)
    spec = {"data": traces, "layout": layout(420, xaxis=axis("epoch"), yaxis=axis(AXIS))}
    return Live({"": spec}, (), tuple(switches.items()))


def _traces(group: Trainings, colour: str) -> Iterator[Spec]:
    percent = 100 * group.accuracies
    epochs = list(range(1, percent.shape[1] + 1))
    dash = FAINT if group.is_baseline else "solid"
    for seed, values in zip(group.seeds, percent, strict=True):
        hover = f"{escaped(group.label)}, seed {seed}<br>epoch %{{x}}: %{{y:.1f}} %"
        yield {
            "type": "scatter",
            "mode": "lines",
            "name": group.label,
            "x": epochs,
            "y": [None if np.isnan(value) else float(value) for value in values],
            "line": {"color": colour, "dash": dash, "width": 1},
            "hovertemplate": f"{hover}<extra></extra>",
        }
