"""Every layer under the roof of what the machine can do: operations per second over operations per byte."""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from epoch_gap.profiler.drilldown.layers import Drilldown
from epoch_gap.profiler.drilldown.roofline import flops, least_bytes, peak
from epoch_gap.profiler.drilldown.spans import Direction, Family
from epoch_gap.reports import theme
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.charts.live import MUTED, Control, Live, Spec, axis, layout, plain
from epoch_gap.reports.view import View

SYMBOLS = {Direction.FORWARD: ("o", "circle"), Direction.BACKWARD: ("s", "square")}


@dataclass(frozen=True)
class Point:
    """A layer in one direction."""

    layer: str
    direction: Direction
    intensity: float
    """operations per byte that has to be moved"""
    work: int
    """operations per step"""
    seconds: float
    """per step"""

    @property
    def gflops(self) -> float:
        """Operations per second, in 1e9."""
        return self.work / self.seconds / 1e9


def points(found: Drilldown, family: Family | None = None) -> list[Point]:
    """The layers with operations to do, of one family or all."""
    images = int(found.conditions["batch_size"])
    placed = []
    for direction in Direction:
        seconds = found.layers(direction)
        for layer in found.architecture:
            work = flops(layer, direction, images)
            if work and seconds.get(layer.name) and family in (None, layer.family):
                intensity = work / least_bytes(layer, direction, images)
                placed.append(Point(layer.name, direction, intensity, work, seconds[layer.name]))
    return placed


def _watched(view: View) -> list[tuple[str, str, Drilldown]]:
    return [
        (s.title, colour, view.layers[s.id])
        for s, colour in zip(view.subjects, theme.SUBJECT_COLOURS * 9, strict=False)
        if s.id in view.layers
    ]


def _roof(view: View, low: float, high: float) -> tuple[list[float], list[float]]:
    top, slope = (peak(view.ceilings, unit) for unit in ("GFLOP/s", "GB/s"))
    x = np.geomspace(low, high, 60)
    return [float(v) for v in x], [float(min(top, v * slope)) for v in x]


def _range(view: View) -> tuple[float, float]:
    x = [point.intensity for point in _points_of_any(view)]
    return min(x) / 1.5, max(x) * 1.5


def finding(view: View) -> str:
    """How much of the roof each framework's convolutions reach."""
    words = []
    top = peak(view.ceilings, "GFLOP/s")
    for title, _, found in _watched(view):
        convolutions = points(found, Family.CONVOLUTION)
        if convolutions:
            rate = sum(p.work for p in convolutions) / sum(p.seconds for p in convolutions) / 1e9
            words.append(f"{title} {theme.percent(rate / top)}")
    return f"Convolutions reach, of this machine's peak: {'; '.join(words)}"


def shown(view: View) -> bool:
    """Where layers were watched and the machine's ceilings measured."""
    return bool(view.ceilings) and bool(_points_of_any(view))


def _points_of_any(view: View) -> list[Point]:
    return [point for _, _, d in _watched(view) for point in points(d)]


def static(view: View) -> Figure:
    """The roofline by matplotlib."""
    figure, (axes,) = canvas.figure(view, finding(view), height=4.4)
    axes.plot(*_roof(view, *_range(view)), color=theme.INK, lw=1.5, label="roof: matrix product, copy")
    for title, colour, found in _watched(view):
        for direction, (marker, _) in SYMBOLS.items():
            here = [p for p in points(found) if p.direction is direction]
            if here:
                axes.scatter(
                    [p.intensity for p in here], [p.gflops for p in here], s=16, marker=marker,
                    facecolor=colour if direction is Direction.FORWARD else "none", edgecolor=colour,
                    label=f"{title}, {direction}",
                )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    for one in (axes.xaxis, axes.yaxis):
        one.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("operations per byte that has to be moved", fontsize=canvas.SMALL)
    axes.set_ylabel("GFLOP/s", fontsize=canvas.SMALL)
    axes.grid(color=theme.GRID, which="major")
    axes.legend(frameon=False, fontsize=canvas.SMALL)
    return figure


def live(view: View) -> Live:
    """The roofline by Plotly: all layers, or those of one family."""
    present = [f for f in Family if any(points(d, f) for _, _, d in _watched(view))]
    which = Control("layers", ("all", *map(str, present)))
    variants = {name: _spec(view, family) for name, family in zip(which.options, (None, *present), strict=True)}
    return Live(variants, (which,), tuple((title, colour) for title, colour, _ in _watched(view)))


def _spec(view: View, family: Family | None) -> Spec:
    x, y = _roof(view, *_range(view))
    roof: Spec = {"type": "scatter", "mode": "lines", "name": "roof", "x": x, "y": y, "line": {"color": MUTED},
                  "hovertemplate": "roof: %{y:.4g} GFLOP/s<extra></extra>"}  # fmt: skip
    traces = [roof]
    for title, colour, found in _watched(view):
        for direction, (_, symbol) in SYMBOLS.items():
            here = [p for p in points(found, family) if p.direction is direction]
            hollow = "" if direction is Direction.FORWARD else "-open"
            traces.append(
                {
                    "type": "scatter", "mode": "markers", "name": title,
                    "x": [p.intensity for p in here], "y": [p.gflops for p in here],
                    "marker": {"color": colour, "symbol": f"{symbol}{hollow}", "size": 9},
                    "text": [f"<b>{p.layer}</b>, {p.direction}, {plain(title)}" for p in here],
                    "hovertemplate": "%{text}<br>%{y:.4g} GFLOP/s at %{x:.3g} operations per byte<extra></extra>",
                }
            )  # fmt: skip
    x_axis = axis("operations per byte that has to be moved", type="log")
    return {"data": traces, "layout": layout(400, xaxis=x_axis, yaxis=axis("GFLOP/s", type="log"))}
