"""Milliseconds per step of every layer: as a picture ranked by contribution to the gap, on the page as a heat map."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.drilldown.layers import Drilldown, layer_differences
from epoch_gap.profiler.drilldown.roofline import flops, share_of_peak
from epoch_gap.profiler.drilldown.spans import Direction
from epoch_gap.reports import formats, theme
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.charts.layer_ranking import Ranked, ranking, watched_pair
from epoch_gap.reports.charts.live import Live, Spec, axis, escaped, layout
from epoch_gap.reports.view import View

ROW, AXIS = 0.4, 0.55
"""inches per ranked layer, and of an axis"""
ROOM = 1.28
"""length of the axis over its longest bar, which leaves room for the label"""


@dataclass(frozen=True)
class Row:
    """A row of the heat map: one framework in one direction."""

    subject: Subject
    title: str
    drilldown: Drilldown
    direction: Direction

    @property
    def label(self) -> str:
        """The subject and the direction."""
        return f"{self.title}, {self.direction}"

    def seconds(self) -> dict[str, float]:
        """Seconds per step by layer."""
        return self.drilldown.layers(self.direction)


def rows(view: View) -> list[Row]:
    """Every subject that was watched: forward, then backward."""
    watched = [s for s in view.subjects if s.id in view.drilldowns.layers]
    both = [Row(s, s.title, view.drilldowns.layers[s.id], direction) for direction in Direction for s in watched]
    return [row for row in both if row.seconds()]


def names(view: View) -> list[str]:
    """The layers in the order of computation."""
    return [layer.name for layer in next(iter(view.drilldowns.layers.values())).architecture]


def finding(view: View) -> str:
    """The layer that contributes most to the gap."""
    pair = watched_pair(view)
    if pair is not None:
        largest = next(
            (d for d in layer_differences(*(view.drilldowns.layers[s.id] for s in pair)) if d.seconds > 0), None
        )
        if largest is not None:
            slow, more = pair[0].title, formats.milliseconds(largest.seconds)
            return f"{slow} loses the most time in {largest.layer}, {largest.direction}: {more} per step"
    return "Time of forward and backward by layer"


def shown(view: View) -> bool:
    """Whether the layers of a framework were watched."""
    return bool(view.drilldowns.layers)


@canvas.styled
def static(view: View) -> Figure:
    """The ranked layers by matplotlib: a pair of bars each; the others and all of them below, on their own scale."""
    ranked = ranking(view)
    colours = {s.id: (title, colour) for s, title, colour in canvas.coloured_subjects(view)}
    sides = [colours[s.id] for s in ranked.subjects]
    heights = [AXIS + ROW * len(rows) for rows in (ranked.top, ranked.sums)]
    figure, (top, sums) = canvas.figure(view, finding(view), heights)
    for axes, layers in ((top, ranked.top), (sums, ranked.sums)):
        _draw_ranked(axes, layers, [colour for _, colour in sides])
    canvas.legend_above(top, [Patch(color=colour, label=title) for title, colour in sides])
    what = "difference, and its share of all layers' difference" if len(sides) > 1 else "time, and its share"
    sums.set_xlabel(f"ms per step, each panel on its own scale; beside the bars: {what}")
    return figure


def _draw_ranked(axes: Axes, layers: Sequence[Ranked], colours: Sequence[str]) -> None:
    longest = max(1000 * max(layer.slow, layer.fast or 0.0) for layer in layers)
    height = 0.38 if len(colours) > 1 else 0.6
    for row, layer in enumerate(layers):
        sides = [layer.slow] if layer.fast is None else [layer.slow, layer.fast]
        for place, (seconds, colour) in enumerate(zip(sides, colours, strict=True)):
            y = row + (place - (len(sides) - 1) / 2) * height
            axes.barh(y, 1000 * seconds, height, color=colour, edgecolor=theme.PAPER, linewidth=0.4)
        axes.annotate(
            ranked_label(layer),
            (1000 * max(sides), row),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=canvas.SMALL,
        )
    axes.set_yticks(range(len(layers)), [f"{layer.name}\n{layer.kind}".strip() for layer in layers])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(layers) - 0.45, -0.55)
    axes.set_xlim(0, (ROOM * longest) or 1)
    axes.grid(axis="x")


def ranked_label(layer: Ranked) -> str:
    """`+990 ms, 8.9 %` for a pair, `1100 ms, 8.4 %` for one framework."""
    time = formats.milliseconds(layer.difference)
    share = "" if layer.share is None else f", {formats.percent(layer.share)}"
    return f"{time if layer.fast is None else formats.signed(time)}{share}"


def live(view: View) -> Live:
    """The heat map by Plotly: a row per framework and direction, a column per layer."""
    heat_rows, layers = rows(view), names(view)
    grid = [[row.seconds().get(name) for name in layers] for row in heat_rows]
    logs = [[float(np.log10(1000 * s)) if s else None for s in line] for line in grid]
    known = [value for line in logs for value in line if value is not None]
    low, high = float(np.percentile(known, 5)), max(known)
    ticks = list(range(int(np.ceil(low)), int(np.floor(high)) + 1))
    heat: Spec = {
        "type": "heatmap",
        "x": layers,
        "y": list(range(len(heat_rows))),
        "z": logs,
        "zmin": low,
        "zmax": high,
        "colorscale": "Viridis",
        "xgap": 1,
        "ygap": 4,
        "hoverinfo": "text",
        "text": [[_hover(row, name, view.peak_rates) for name in layers] for row in heat_rows],
        "colorbar": {
            "title": {"text": "ms"},
            "tickvals": ticks,
            "ticktext": [f"{10.0**t:g}" for t in ticks],
            "thickness": 12,
        },
    }
    labels = [escaped(row.label).replace(" (", "<br>(", 1) for row in heat_rows]
    y = axis(tickvals=list(range(len(heat_rows))), ticktext=labels, autorange="reversed")
    x = axis(tickangle=-90, tickfont={"size": 9})
    return Live({"": {"data": [heat], "layout": layout(190 + 56 * len(heat_rows), xaxis=x, yaxis=y)}})


def _hover(row: Row, name: str, peak_rates: Mapping[str, float]) -> str:
    seconds = row.seconds().get(name)
    if seconds is None:
        return f"{name}: not watched"
    time = f"<b>{name}</b>, {escaped(row.label)}<br>{formats.milliseconds(seconds)} per step"
    layer = next(layer for layer in row.drilldown.architecture if layer.name == name)
    images = row.drilldown.batch_size
    if not seconds or not flops(layer, row.direction, images):
        return time
    rate = flops(layer, row.direction, images) / seconds / 1e9
    share = share_of_peak(layer, row.direction, images, peak_rates, seconds)
    return f"{time}<br>{rate:.1f} GFLOP/s{f', {formats.percent(share)} of the roofline' if share is not None else ''}"
