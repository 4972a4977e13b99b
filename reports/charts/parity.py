"""The picture of a parity check: the difference of the losses against the band, and the layers of the first step."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from epoch_gap.profiler.parity.result import Parity
from epoch_gap.profiler.parity.tensors import Quantity, Trace
from epoch_gap.profiler.parity.verdict import LAST_DIGIT, compare_losses
from epoch_gap.reports import theme
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.sentences.parity import describe_losses, headline

HEIGHTS = (3.0, 3.2)
"""inches of the two panels"""
COLOURS = {
    Quantity.OUTPUT: "#0072b2",
    Quantity.STATISTICS: "#009e73",
    Quantity.GRADIENT: "#d55e00",
}
"""Updated weights are in the tables only: their differences depend on single signs of Adam's first update."""
MOST_LABELS = 15
"""layers that are all named below the axis"""
LOWEST = 1e-8
"""relative difference at which 0 is drawn"""


@canvas.styled
def parity_figure(parity: Parity) -> Figure:
    """The difference of the losses by step, and the relative difference by layer in the first step."""
    figure = Figure(figsize=(canvas.WIDTH, canvas.EDGES + sum(HEIGHTS) + 0.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=HEIGHTS)
    _draw_losses(upper, parity)
    _draw_layers(lower, parity)
    synthetic = f" {canvas.SYNTHETIC}" if parity.data.kind == "synthetic" else ""
    canvas.add_title(figure, headline(parity) + synthetic, [parity.reference.title, parity.other.title])
    losses = describe_losses(parity)
    canvas.add_source(figure, f"{losses[0].upper()}{losses[1:]}. {describe_source(parity)}")
    return figure


def describe_source(parity: Parity) -> str:
    """Data, seed and how the band was made."""
    digest = f", SHA-256 {parity.data.sha256[:12]}" if parity.data.sha256 else ""
    runs = "; ".join(run.label for run in parity.rounded)
    source = f"{parity.data.kind} ({parity.data.source}{digest})"
    settings = [*parity.network.settings, f"batch {parity.batch_size}", f"seed {parity.seed}"]
    return f"{', '.join([source, *settings])}. Band: {parity.reference.title} again: {runs}."


def _draw_losses(axes: Axes, parity: Parity) -> None:
    """Absolute differences on a log scale; 0 is drawn at half of the loss's last digit."""
    losses = compare_losses(parity)
    steps = list(range(1, parity.steps + 1))
    lowest = LAST_DIGIT * next((loss for loss in parity.reference.losses if loss), 1.0) / 2
    band = [math.nan if b is None else b for b in losses.band]
    axes.fill_between(steps, lowest, band, color=theme.GRID, label="band of rounding")
    for number, run in enumerate(run for run in parity.rounded if run.threads is None):
        own = [_distance(a, b, lowest) for a, b in zip(run.losses, parity.reference.losses, strict=True)]
        label = f"{parity.reference.title}, channels renumbered" if number == 0 else None
        axes.plot(steps, own, color=theme.MUTED, linewidth=0.8, label=label)
    if losses.threads:
        threads = [_distance(d, 0.0, lowest) for d in losses.threads]
        label = f"{parity.reference.title}, 1 or 2 threads"
        axes.plot(steps, threads, color=theme.INK, linewidth=1, linestyle="--", label=label)
    difference = [_distance(d, 0.0, lowest) for d in losses.difference]
    label = f"{parity.other.title} - {parity.reference.title}"
    axes.plot(steps, difference, color=theme.MORE, marker="o", markersize=3.5, linewidth=1.5, label=label)
    axes.set_yscale("log")
    axes.set_ylim(bottom=lowest)
    axes.yaxis.set_major_formatter(FuncFormatter(_power))
    axes.set_xlim(0.8, parity.steps + 0.2)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("step")
    axes.set_ylabel("difference of the loss\n(lower edge: 0)")
    axes.grid(axis="y", linewidth=0.5)
    canvas.legend_above(axes, axes.get_legend_handles_labels()[0])


def _power(value: float, position: int | None) -> str:
    """A power of ten as plain text: the pictures parse no formulas."""
    return f"{value:.0e}".replace("e-0", "e-").replace("e+00", "")


def _distance(a: float | None, b: float | None, lowest: float) -> float:
    return math.nan if a is None or b is None else max(abs(a - b), lowest)


def _draw_layers(axes: Axes, parity: Parity) -> None:
    """Solid: between the frameworks; dotted: rounding."""
    names = list(parity.traces[Quantity.OUTPUT])
    place = {name: x for x, name in enumerate(names)}
    for quantity, colour in COLOURS.items():
        rows = [(place[layer], trace) for layer, trace in parity.traces.get(quantity, {}).items() if layer in place]
        if not rows:
            continue  # a network without batch normalisation has no statistics
        rows.sort(key=lambda row: row[0])
        at = [x for x, _ in rows]
        found, rounding = ([_drawn(v) for v in values] for values in _first_step([trace for _, trace in rows]))
        axes.plot(at, found, color=colour, marker=".", markersize=4, linewidth=1, label=quantity)
        axes.plot(at, rounding, color=colour, linewidth=1, linestyle=":")
    axes.plot([], [], color=theme.INK, linewidth=1, linestyle=":", label="dotted: rounding")
    axes.axhline(parity.tolerance, color=theme.MUTED, linewidth=0.8, linestyle="--", label="tolerance")
    axes.set_yscale("log")
    axes.set_ylim(bottom=LOWEST)
    labels = {name: name for name in names} if len(names) <= MOST_LABELS else _block_labels(names)
    places = [place[name] for name in labels]
    axes.set_xticks(places, list(labels.values()), rotation=30, ha="right", rotation_mode="anchor")
    axes.yaxis.set_major_formatter(FuncFormatter(_power))
    axes.set_ylabel("relative difference in step 1")
    axes.grid(axis="y", linewidth=0.5)
    canvas.legend_above(axes, axes.get_legend_handles_labels()[0])


def _block_labels(names: Sequence[str]) -> dict[str, str]:
    """The first layer of each residual block, the stem and the last layer, with their labels."""
    first = [name for name in names if name.endswith((".conv1", "stem.conv")) or name == names[-1]]
    return {name: name.removesuffix(".conv1").removesuffix(".conv") for name in first}


def _first_step(traces: Sequence[Trace]) -> tuple[list[float], list[float]]:
    return [trace.difference[0] for trace in traces], [trace.rounding[0] for trace in traces]


def _drawn(value: float) -> float:
    """Not comparable: a gap; 0: the lower edge."""
    return max(value, LOWEST) if math.isfinite(value) else math.nan
