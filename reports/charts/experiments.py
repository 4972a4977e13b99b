"""Predicted against measured: one point per test, with the diagonal on which a right prediction lies."""

import math
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from epoch_gap.profiler.analysis.stats import Interval
from epoch_gap.reports import formats, theme
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.charts.live import MUTED, Live, Spec, axis, escaped, layout
from epoch_gap.reports.experiments import Point
from epoch_gap.reports.view import View

DIAGONAL = "as predicted"
NEAR = 0.04
"""share of an axis within which two points share a label"""
RIGHT = 0.75
"""Points beyond this share of the axis have their label on the left."""
X_LABEL, Y_LABEL = "predicted change, s per epoch", "measured change, s per epoch"


def shown(view: View) -> bool:
    """Whether any prediction was tested."""
    return bool(view.experiments.points)


def finding(view: View) -> str:
    """How good the predictions were."""
    return view.experiments.score_text or "Only bounds were predicted"


def _predicted(point: Point) -> Interval:
    assert point.outcome.claim is not None, "a point has a claim"
    change = point.outcome.claim.predicted
    interval = change.whole.interval()
    if not change.is_bound:
        return interval
    return Interval(interval.value, min(0.0, interval.value), max(0.0, interval.value))


def _measured(point: Point) -> Interval:
    assert point.outcome.claim is not None, "a point has a claim"
    return point.outcome.claim.measured.epoch.interval()


def _sides(points: Sequence[Point]) -> dict[str, str]:
    """The colour of each side."""
    return dict(zip(dict.fromkeys(point.side for point in points), theme.SUBJECT_COLOURS, strict=False))


def _reach(points: Sequence[Point]) -> tuple[float, float]:
    """The ends of both axes: every value, and 0."""
    values = [0.0, *(i.value for p in points for i in (_predicted(p), _measured(p)))]
    margin = 0.08 * (max(values) - min(values)) or 1.0
    return min(values) - margin, max(values) + margin


def _labels(points: Sequence[Point], ends: tuple[float, float]) -> list[tuple[float, float, list[str]]]:
    """The names beside each point, of shape x, y, names: points that nearly coincide share one label."""
    near = NEAR * (ends[1] - ends[0])
    found: list[tuple[float, float, list[str]]] = []
    for point in points:
        x, y = _predicted(point).value, _measured(point).value
        names = next((names for a, b, names in found if abs(a - x) < near and abs(b - y) < near), None)
        if names is None:
            found.append((x, y, [point.name]))
        else:
            names.append(point.name)
    return found


@canvas.styled
def static(view: View) -> Figure:
    """The scatter by matplotlib."""
    points = view.experiments.points
    figure, (axes,) = canvas.figure(view, finding(view), [4.5])
    ends = _reach(points)
    axes.plot(ends, ends, color=theme.MUTED, lw=1)
    for point in points:
        x, y = _predicted(point), _measured(point)
        colour = _sides(points)[point.side]
        axes.errorbar(
            x.value, y.value, xerr=canvas.whisker(x), yerr=canvas.whisker(y), fmt="o", ms=5, color=colour, lw=1
        )
    for x_label, y_label, names in _labels(points, ends):
        is_right = x_label > ends[0] + RIGHT * (ends[1] - ends[0])
        axes.annotate(
            "\n".join(names),
            (x_label, y_label),
            (-6 if is_right else 6, -4 if is_right else 4),
            textcoords="offset points",
            ha="right" if is_right else "left",
            va="top" if is_right else "bottom",
            fontsize=canvas.SMALL,
        )
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)
    axes.set_xlabel(X_LABEL)
    axes.set_ylabel(Y_LABEL)
    axes.grid(which="major")
    handles = [Line2D([], [], color=theme.MUTED, lw=1, label=DIAGONAL)]
    handles += [Line2D([], [], ls="", marker="o", ms=5, color=c, label=side) for side, c in _sides(points).items()]
    canvas.legend_above(axes, handles)
    return figure


def live(view: View) -> Live:
    """The scatter by Plotly."""
    points = view.experiments.points
    low, high = _reach(points)
    traces: list[Spec] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": DIAGONAL,
            "x": [low, high],
            "y": [low, high],
            "line": {"color": MUTED},
            "hoverinfo": "skip",
        }
    ]
    colours = _sides(points)
    for side, colour in colours.items():
        of_side = [point for point in points if point.side == side]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": side,
                "x": [_predicted(p).value for p in of_side],
                "y": [_measured(p).value for p in of_side],
                "error_x": _error_bars([_predicted(p) for p in of_side], colour),
                "error_y": _error_bars([_measured(p) for p in of_side], colour),
                "marker": {"color": colour, "size": 9},
                "text": [
                    f"<b>{escaped(p.name)}</b>, {escaped(side)}<br>predicted {formats.interval(_predicted(p))}"
                    f"<br>measured {formats.interval(_measured(p))}"
                    for p in of_side
                ],
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
    spec = {
        "data": traces,
        "layout": layout(420, xaxis=axis(X_LABEL, range=[low, high]), yaxis=axis(Y_LABEL, range=[low, high])),
    }
    return Live({"": spec}, (), tuple(colours.items()))


def _error_bars(intervals: Sequence[Interval], colour: str) -> Spec:
    """Whiskers; of unknown length where the interval is unknown, so none is drawn there."""
    ends = [(i.value if i.low is None else i.low, i.value if i.high is None else i.high) for i in intervals]
    above = [high - i.value for (_, high), i in zip(ends, intervals, strict=True)]
    below = [i.value - low for (low, _), i in zip(ends, intervals, strict=True)]
    known = all(math.isfinite(length) for length in (*above, *below))
    return {
        "type": "data",
        "symmetric": False,
        "array": above if known else [],
        "arrayminus": below if known else [],
        "color": colour,
        "thickness": 1.2,
        "width": 4,
    }
