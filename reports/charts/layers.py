"""A heat map of the network: milliseconds per step of every layer, a row for each framework and direction."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.drilldown.layers import Drilldown, differences
from epoch_gap.profiler.drilldown.roofline import flops, of_roof
from epoch_gap.profiler.drilldown.spans import Direction
from epoch_gap.reports import theme
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.charts.live import Live, Spec, axis, layout, plain
from epoch_gap.reports.view import View


@dataclass(frozen=True)
class Row:
    """One framework in one direction."""

    subject: Subject
    drilldown: Drilldown
    direction: Direction

    @property
    def label(self) -> str:
        """Whose row it is."""
        return f"{self.subject.title}, {self.direction}"

    def seconds(self) -> dict[str, float]:
        """Per step, by layer."""
        return self.drilldown.layers(self.direction)


def rows(view: View) -> list[Row]:
    """Every subject that was watched, going forward and then backward."""
    watched = [s for s in view.subjects if s.id in view.layers]
    found = [Row(s, view.layers[s.id], direction) for direction in Direction for s in watched]
    return [row for row in found if row.seconds()]


def names(view: View) -> list[str]:
    """The layers in the order of computation."""
    return [layer.name for layer in next(iter(view.layers.values())).architecture]


def finding(view: View) -> str:
    """The layer that makes most of the gap, in one line."""
    both = view.of_headline(view.layers)
    most = next((d for d in differences(*both) if d.seconds > 0), None) if both else None
    if most is not None:
        more = theme.milliseconds(most.seconds)
        return f"{view.gaps[0].slow.title} loses most in {most.layer}, {most.direction}: {more} per step"
    return "Where forward and backward go, layer by layer"


def shown(view: View) -> bool:
    """Where a framework's layers were watched."""
    return bool(view.layers)


def static(view: View) -> Figure:
    """The heat map by matplotlib."""
    found, layers = rows(view), names(view)
    values = np.array(
        [[1000 * ms if (ms := row.seconds().get(name)) else np.nan for name in layers] for row in found]
    )
    figure, (axes,) = canvas.figure(view, finding(view), height=2.6 + 0.5 * len(found))
    scale = LogNorm(max(1e-3, float(np.nanpercentile(values, 5))), float(np.nanmax(values)))
    image = axes.imshow(values, aspect="auto", cmap="viridis", norm=scale, interpolation="nearest")
    marked = [i for i, name in enumerate(layers) if "conv" in name or name == "fc"]
    shown = [layers[i].replace("downsample.conv", "shortcut") for i in marked]
    axes.set_xticks(marked, shown, rotation=90, fontsize=7)
    axes.set_yticks(range(len(found)), [row.label.replace(" (", "\n(", 1) for row in found], fontsize=7.5)
    ticks = FuncFormatter(lambda value, _: f"{value:g}")
    figure.colorbar(image, ax=axes, label="ms per step, logarithmic", pad=0.01, format=ticks)
    return figure


def live(view: View) -> Live:
    """The heat map by Plotly."""
    found, layers = rows(view), names(view)
    grid = [[row.seconds().get(name) for name in layers] for row in found]
    logs = [[float(np.log10(1000 * s)) if s else None for s in line] for line in grid]
    known = [value for line in logs for value in line if value is not None]
    low, high = float(np.percentile(known, 5)), max(known)
    ticks = list(range(int(np.ceil(low)), int(np.floor(high)) + 1))
    heat: Spec = {
        "type": "heatmap", "x": layers, "y": list(range(len(found))), "z": logs, "zmin": low, "zmax": high,
        "colorscale": "Viridis", "xgap": 1, "ygap": 4, "hoverinfo": "text",
        "text": [[_hover(row, name, view.ceilings) for name in layers] for row in found],
        "colorbar": {"title": {"text": "ms"}, "tickvals": ticks, "ticktext": [f"{10.0**t:g}" for t in ticks],
                     "thickness": 12},
    }  # fmt: skip
    labels = [plain(row.label).replace(" (", "<br>(", 1) for row in found]
    y = axis(tickvals=list(range(len(found))), ticktext=labels, autorange="reversed")
    x = axis(tickangle=-90, tickfont={"size": 9}, dtick=1)
    return Live({"": {"data": [heat], "layout": layout(190 + 56 * len(found), xaxis=x, yaxis=y)}})


def _hover(row: Row, name: str, ceilings: Mapping[str, float]) -> str:
    seconds = row.seconds().get(name)
    if seconds is None:
        return f"{name}: not watched"
    said = f"<b>{name}</b>, {plain(row.label)}<br>{theme.milliseconds(seconds)} per step"
    layer = next(layer for layer in row.drilldown.architecture if layer.name == name)
    images = int(row.drilldown.conditions["batch_size"])
    if not seconds or not flops(layer, row.direction, images):
        return said
    rate = flops(layer, row.direction, images) / seconds / 1e9
    roof = of_roof(layer, row.direction, images, ceilings, seconds)
    return f"{said}<br>{rate:.1f} GFLOP/s{f', {theme.percent(roof)} of the roof' if roof is not None else ''}"
