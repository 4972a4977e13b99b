"""Every layer below the machine's roofline: operations per second over operations per byte."""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from epoch_gap.profiler.drilldown.layers import Drilldown
from epoch_gap.profiler.drilldown.roofline import flops, least_bytes, peak_rate
from epoch_gap.profiler.drilldown.spans import Direction, OperatorCategory
from epoch_gap.reports import formats, theme
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.charts.live import MUTED, Control, Live, Spec, axis, escaped, layout
from epoch_gap.reports.view import View

SYMBOLS = {Direction.FORWARD: ("o", "circle"), Direction.BACKWARD: ("s", "square")}
"""markers of matplotlib and of Plotly: filled forward, hollow backward"""
ROOFLINE = "roofline: peak rates"


@dataclass(frozen=True)
class Point:
    """A layer in one direction."""

    layer: str
    direction: Direction
    intensity: float
    """operations per byte that must be moved"""
    work: int
    """operations per step"""
    seconds: float
    """per step"""

    @property
    def gflops(self) -> float:
        """Operations per second, in 1e9."""
        return self.work / self.seconds / 1e9


def points(drilldown: Drilldown, category: OperatorCategory | None = None) -> list[Point]:
    """The layers with at least one operation, of one operator category or of all."""
    images = drilldown.batch_size
    computing = []
    for direction in Direction:
        seconds = drilldown.layers(direction)
        for layer in drilldown.architecture:
            work = flops(layer, direction, images)
            if work and seconds.get(layer.name) and category in (None, layer.category):
                intensity = work / least_bytes(layer, direction, images)
                computing.append(Point(layer.name, direction, intensity, work, seconds[layer.name]))
    return computing


def _watched(view: View) -> list[tuple[str, str, Drilldown]]:
    """Title, colour and layers of each subject whose layers were watched."""
    return [
        (title, colour, view.drilldowns.layers[s.id])
        for s, title, colour in canvas.coloured_subjects(view)
        if s.id in view.drilldowns.layers
    ]


def _roofline(view: View) -> tuple[list[float], list[float]]:
    """Intensities, and the highest rate that the machine can reach at each."""
    intensities = [point.intensity for point in _all_points(view)]
    top, slope = (peak_rate(view.peak_rates, unit) for unit in ("GFLOP/s", "GB/s"))
    corner = top / slope
    x = sorted({*np.geomspace(min(intensities) / 1.5, max(intensities) * 1.5, 60), corner})
    return [float(v) for v in x], [float(min(top, v * slope)) for v in x]


def _all_points(view: View) -> list[Point]:
    return [point for _, _, drilldown in _watched(view) for point in points(drilldown)]


def finding(view: View) -> str:
    """The share of the peak rate that each framework's convolutions reach."""
    shares = []
    top = peak_rate(view.peak_rates, "GFLOP/s")
    for title, _, drilldown in _watched(view):
        convolutions = points(drilldown, OperatorCategory.CONVOLUTION)
        if convolutions:
            rate = sum(p.work for p in convolutions) / sum(p.seconds for p in convolutions) / 1e9
            shares.append(f"{title} {formats.percent(rate / top)}")
    return f"Convolutions reach, of this machine's peak: {'; '.join(shares)}"


def shown(view: View) -> bool:
    """Whether layers were watched and the machine's peak rates are known."""
    return bool(view.peak_rates) and bool(_all_points(view))


@canvas.styled
def static(view: View) -> Figure:
    """The roofline by matplotlib."""
    figure, (axes,) = canvas.figure(view, finding(view), [4.0])
    axes.plot(*_roofline(view), color=theme.INK, lw=1.5)
    handles = [Line2D([], [], color=theme.INK, lw=1.5, label=ROOFLINE), *_direction_handles()]
    for title, colour, drilldown in _watched(view):
        for direction, (marker, _) in SYMBOLS.items():
            drawn = [p for p in points(drilldown) if p.direction is direction]
            axes.scatter(
                [p.intensity for p in drawn],
                [p.gflops for p in drawn],
                s=16,
                marker=marker,
                facecolor=colour if direction is Direction.FORWARD else "none",
                edgecolor=colour,
                linewidth=0.8,
            )
        handles.append(Line2D([], [], ls="", marker="o", ms=5, color=colour, label=title))
    axes.set_xscale("log")
    axes.set_yscale("log")
    for scale in (axes.xaxis, axes.yaxis):
        scale.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("operations per byte that has to be moved")
    axes.set_ylabel("GFLOP/s")
    axes.grid(which="major")
    canvas.legend_above(axes, handles)
    return figure


def _direction_handles() -> list[Line2D]:
    """Grey legend keys for the markers, which are drawn in each subject's own colour."""
    grey = theme.MUTED
    texts = {Direction.FORWARD: (grey, "filled: forward"), Direction.BACKWARD: ("none", "hollow: backward")}
    return [
        Line2D([], [], ls="", marker=SYMBOLS[direction][0], mfc=fill, ms=5, color=grey, label=label)
        for direction, (fill, label) in texts.items()
    ]


def live(view: View) -> Live:
    """The roofline by Plotly: all layers, or those of one operator category."""
    present = [f for f in OperatorCategory if any(points(drilldown, f) for _, _, drilldown in _watched(view))]
    which = Control("layers", ("all", *map(str, present)))
    variants = {name: _spec(view, category) for name, category in zip(which.options, (None, *present), strict=True)}
    return Live(variants, (which,), tuple((title, colour) for title, colour, _ in _watched(view)))


def _spec(view: View, category: OperatorCategory | None) -> Spec:
    x, y = _roofline(view)
    line: Spec = {
        "type": "scatter",
        "mode": "lines",
        "name": "roofline",
        "x": x,
        "y": y,
        "line": {"color": MUTED},
        "hovertemplate": "roofline: %{y:.4g} GFLOP/s<extra></extra>",
    }
    traces = [line]
    for title, colour, drilldown in _watched(view):
        for direction, (_, symbol) in SYMBOLS.items():
            drawn = [p for p in points(drilldown, category) if p.direction is direction]
            hollow = "" if direction is Direction.FORWARD else "-open"
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": title,
                    "x": [p.intensity for p in drawn],
                    "y": [p.gflops for p in drawn],
                    "marker": {"color": colour, "symbol": f"{symbol}{hollow}", "size": 9},
                    "text": [f"<b>{p.layer}</b>, {p.direction}, {escaped(title)}" for p in drawn],
                    "hovertemplate": "%{text}<br>%{y:.4g} GFLOP/s at %{x:.3g} operations per byte<extra></extra>",
                }
            )
    x_axis = axis("operations per byte that has to be moved", type="log")
    return {"data": traces, "layout": layout(400, xaxis=x_axis, yaxis=axis("GFLOP/s", type="log"))}
