"""The picture of a matrix: seconds per epoch by version and phase, with the changes that are shown."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from epoch_gap.profiler.matrix.version_series import Change, VersionSeries
from epoch_gap.reports import formats, theme
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.charts.history import history

ROOM = 1.1
"""the factor by which an axis is made longer for the labels of changes"""


@canvas.styled
def matrix_figure(series: Sequence[VersionSeries], name: str) -> Figure:
    """A panel per series, one stacked bar per version. At least one series; `name` is that of the matrix."""
    figure = history([one.history for one in series])
    for axes, one in zip(figure.axes, series, strict=True):
        if one.shown:
            axes.set_ylim(0, ROOM * axes.get_ylim()[1])
        for place, change in enumerate(one.changes):
            if change.is_shown:
                _mark(axes, place + 0.5, change)
    canvas.add_source(figure, describe_source(series, name))
    return figure


def _mark(axes: Axes, x: float, change: Change) -> None:
    """Draw a change between two bars."""
    share = change.gap.ratio.value - 1
    colour = theme.MORE if share > 0 else theme.LESS
    axes.axvline(x, ymax=0.92, color=colour, lw=1, ls="--")
    axes.annotate(
        formats.signed(formats.percent(share)),
        (x, 1),
        (0, -1),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=canvas.SMALL,
        weight="bold",
        color=colour,
    )


def describe_source(series: Sequence[VersionSeries], name: str) -> str:
    """The days, the number of runs, and the matrix."""
    runs = [run for one in series for version in one.versions for run in version.runs]
    days = sorted({run.manifest.created[:10] for run in runs})
    span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return f"{span} | {len(runs)} runs of the matrix {name}, all in history.csv"
