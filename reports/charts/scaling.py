"""The picture of a scaling measurement: waterfalls from the ideal to the measured epoch."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from epoch_gap.profiler.distributed.communication import COMMUNICATION
from epoch_gap.profiler.distributed.scaling import ScaledPoint, ScalingMode
from epoch_gap.reports import formats, theme
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.scaling import lost_phases


@canvas.styled
def scaling_figure(modes: Mapping[ScalingMode, Sequence[ScaledPoint]], source: str) -> Figure:
    """One waterfall per mode and number of ranks beyond the baseline."""
    panels = [(mode, scaled) for mode, points in modes.items() for scaled in points[1:]]
    height = 0.9 + 0.22 * max(len(lost_phases([scaled])) + 2 for _, scaled in panels)
    figure = Figure(figsize=(canvas.WIDTH, canvas.EDGES + height * len(panels) + 0.3), layout="constrained")
    drawn = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for axes, (mode, scaled) in zip(drawn, panels, strict=True):
        _draw(axes, mode, scaled)
    canvas.add_title(figure, headline(modes))
    canvas.add_source(figure, source)
    return figure


def headline(modes: Mapping[ScalingMode, Sequence[ScaledPoint]]) -> str:
    """The efficiency of the most ranks, by mode."""
    parts = []
    for mode, points in modes.items():
        most = max(points, key=lambda scaled: scaled.point.ranks)
        parts.append(f"{mode}: {formats.percent(most.efficiency.value)} with {most.point.ranks} ranks")
    return f"Efficiency of the epoch, {'; '.join(parts)}"


def _draw(axes: Axes, mode: ScalingMode, scaled: ScaledPoint) -> None:
    """From the ideal epoch, phase by phase, to the measured one; communication is hatched."""
    names, total = ["ideal"], scaled.ideal
    axes.barh([0], [total], color=theme.MUTED)
    for row, phase in enumerate(lost_phases([scaled]), start=1):
        lost = scaled.lost_by_phase[phase].value
        hatch = "///" if phase in COMMUNICATION else None
        axes.barh(
            [row], [lost], left=total, color=theme.phase_colour(phase), hatch=hatch, edgecolor=theme.PAPER, lw=0.3
        )
        axes.text(total + max(lost, 0), row, f" {formats.signed(formats.seconds(lost))}", va="center", fontsize=7)
        names.append(str(phase))
        total += lost
    axes.barh([len(names)], [scaled.point.epoch.total.value], color=theme.INK)
    axes.set_yticks(range(len(names) + 1), [*names, "measured"])
    axes.invert_yaxis()
    axes.set_xlabel("seconds per epoch")
    efficiency = formats.percent(scaled.efficiency.value)
    axes.set_title(f"{mode}, {scaled.point.title}: efficiency {efficiency}", loc="left", fontsize=canvas.SMALL)
    axes.grid(axis="x", linewidth=0.5)
