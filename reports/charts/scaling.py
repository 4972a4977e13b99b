"""The picture of a scaling measurement: what each number of ranks loses of its epoch, phase by phase."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from epoch_gap.profiler.distributed.communication import COMMUNICATION
from epoch_gap.profiler.distributed.scaling import ScaledPoint, ScalingMode
from epoch_gap.profiler.phases import Phase
from epoch_gap.reports import formats, theme
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.scaling import efficiency_text, lost_phases

ROW = 0.5
"""height of a bar with its text, inches"""
LEAST_SHARE = 0.001
"""of an epoch: a phase that loses less everywhere has no entry in the legend"""


@canvas.styled
def scaling_figure(modes: Mapping[ScalingMode, Sequence[ScaledPoint]], source: str) -> Figure:
    """A bar per number of ranks and mode: its parts and its efficiency sum to 100 %."""
    bars = _bars(modes)
    figure = Figure(figsize=(canvas.WIDTH, canvas.EDGES + ROW * len(bars) + 1.0), layout="constrained")
    axes = figure.subplots()
    for row, (name, scaled) in enumerate(bars.items()):
        _draw(axes, row, name, scaled)
    axes.set_yticks([])
    axes.set_ylim(len(bars) - 0.3, -0.75)
    axes.axvline(0, color=theme.INK, linewidth=0.6)
    axes.set_xlabel(
        "% of the epoch that is lost; hatched: communication that is not hidden behind the rank's own work"
    )
    axes.grid(axis="x", linewidth=0.5)
    canvas.phase_legend(axes, _visible_phases([*bars.values()]))
    canvas.add_title(figure, headline(modes))
    canvas.add_source(figure, source)
    return figure


def _bars(modes: Mapping[ScalingMode, Sequence[ScaledPoint]]) -> dict[str, ScaledPoint]:
    """By name, everything beyond the baseline; one rank is the same in both modes."""
    bars: dict[str, ScaledPoint] = {}
    for mode, points in modes.items():
        for scaled in points[1:]:
            each = f"{scaled.point.batch_size} images per step each"
            bars[f"1 rank, {each}" if scaled.point.ranks == 1 else f"{scaled.point.title}, {mode}, {each}"] = scaled
    return bars


def _visible_phases(points: Sequence[ScaledPoint]) -> list[Phase]:
    return [
        phase
        for phase in lost_phases(points)
        if any(abs(_share(scaled, phase)) >= LEAST_SHARE for scaled in points if phase in scaled.lost_by_phase)
    ]


def _share(scaled: ScaledPoint, phase: Phase) -> float:
    return scaled.lost_by_phase[phase].value / scaled.point.epoch.total.value


def headline(modes: Mapping[ScalingMode, Sequence[ScaledPoint]]) -> str:
    """The efficiency of the most ranks, by mode."""
    parts = []
    for mode, points in modes.items():
        most = max(points, key=lambda scaled: scaled.point.ranks)
        parts.append(f"{mode}: {formats.percent(most.efficiency.value)} with {most.point.ranks} ranks")
    return f"Efficiency of the epoch, {'; '.join(parts)}"


def _draw(axes: Axes, row: int, name: str, scaled: ScaledPoint) -> None:
    """The phases that lose time to the right of 0, those that gain some to the left."""
    ends = {True: 0.0, False: 0.0}
    for phase in lost_phases([scaled]):
        share = 100 * _share(scaled, phase)
        hatch = "///" if phase in COMMUNICATION else None
        colour = theme.phase_colour(phase)
        axes.barh(
            [row], [share], left=ends[share > 0], height=0.4, color=colour, hatch=hatch, edgecolor=theme.PAPER, lw=0.3
        )
        ends[share > 0] += share
    lost = formats.interval(scaled.lost.interval())
    text = f"{name}: efficiency {efficiency_text(scaled)}, {lost} lost per epoch"
    axes.text(ends[False], row - 0.27, text, va="bottom", fontsize=canvas.SMALL)
