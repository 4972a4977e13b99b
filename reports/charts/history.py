"""The picture of a history: one panel per series, one stacked bar per run, the oldest first."""

import textwrap
from collections.abc import Sequence
from itertools import batched

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from epoch_gap.profiler.comparison.change_points import ChangePoint
from epoch_gap.profiler.comparison.history import Entry, Series
from epoch_gap.profiler.comparison.subject import shorten_versions
from epoch_gap.profiler.phases import Phase
from epoch_gap.reports import formats, theme
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.charts.breakdown_bars import REACH
from epoch_gap.reports.sentences.history import describe_change, describe_series, describe_size, has_evaluate

PANEL, FEW_PANEL = 3.3, 2.6
"""inches of a series, and of one with few runs"""
FEW, FEW_ASPECT = 4, 1.1
"""A panel with fewer runs is narrower, so that two fit side by side: its height over its width, for one run."""
MOST_LABELS = 8
"""The most runs that are all named below their bars; of more runs, every second, third ... is named."""
SHORT = "*"
"""below the bar of a run without evaluate that is not named"""
MOST_IDS = 8
"""The most runs of all series that are all named in the source line; of more runs, the first and the last are."""
MOST_CHANGES = 2
"""the newest changes that the title describes; all of them are marked"""
TITLE_LETTERS = 88
"""characters per line of a panel's title"""


@canvas.styled
def history(histories: Sequence[Series]) -> Figure:
    """Seconds per epoch of every run by phase, with the epoch's interval. At least one series."""
    columns = 2 if len(histories) > 1 and all(len(series.entries) < FEW for series in histories) else 1
    rows = list(batched(histories, columns))
    heights = [FEW_PANEL if all(len(series.entries) < FEW for series in row) else PANEL for row in rows]
    figure = Figure(figsize=(canvas.WIDTH, canvas.EDGES + sum(heights)), layout="constrained")
    grid = figure.add_gridspec(len(rows), columns, height_ratios=heights)
    for place, series in enumerate(histories):
        _panel(figure.add_subplot(grid[divmod(place, columns)]), series, TITLE_LETTERS // columns)
    canvas.add_source(figure, _source(histories))
    return figure


def _panel(axes: Axes, series: Series, letters: int) -> None:
    entries = series.entries
    longest = max(entry.epoch.seconds.value for entry in entries)
    highest = longest
    for x, entry in enumerate(entries):
        bottom = 0.0
        for phase, part in entry.epoch.phases.items():
            if part is not None:
                colour = theme.phase_colour(phase)
                axes.bar(x, part.value, 0.7, bottom=bottom, color=colour, edgecolor=theme.PAPER, linewidth=0.3)
                bottom += part.value
        top = _draw_whisker(axes, x, entry, longest)
        if len(entries) <= MOST_LABELS:
            _write_above(axes, x, top, formats.seconds(bottom))
        highest = max(highest, top)
    axes.set_ylim(0, 1.12 * highest)
    axes.set_xlim(-0.6, len(entries) - 0.4)
    if len(entries) < FEW:
        axes.set_box_aspect(FEW_ASPECT / len(entries))
        axes.set_anchor("W")
    for point in series.changes:
        _mark_change(axes, point, 1.12 * highest)
    _label_runs(axes, series)
    change = textwrap.fill(describe_change(series, MOST_CHANGES), letters, break_on_hyphens=False)
    title = f"{describe_series(series).partition(' | ')[0]}\n{change}"
    axes.set_title(title, loc="left", fontsize=10, weight="bold")
    canvas.phase_legend(axes, visible_phases(series)[::-1], loc="upper left", bbox_to_anchor=(1, 1))


def _mark_change(axes: Axes, point: ChangePoint, top: float) -> None:
    """A line before the first run after a change of level, with its size."""
    axes.axvline(point.index - 0.5, color=theme.INK, linestyle="--", linewidth=1)
    axes.annotate(
        describe_size(point),
        (point.index - 0.5, top),
        (3, -2),
        textcoords="offset points",
        va="top",
        fontsize=canvas.SMALL,
    )


def visible_phases(series: Series) -> list[Phase]:
    """The phases with a visible segment, in the order of the bars from the bottom up."""
    longest = max(entry.epoch.seconds.value for entry in series.entries)
    return [
        phase
        for phase in series.phases
        if any(
            part is not None and part.value >= canvas.VISIBLE_FROM * 2 * longest
            for part in (entry.epoch.phases.get(phase) for entry in series.entries)
        )
    ]


def _label_runs(axes: Axes, series: Series) -> None:
    """Name the runs below their bars: all of them, or every second, third ... one."""
    entries = series.entries
    versions = shorten_versions({entry.version for entry in entries})
    step = -(-len(entries) // MOST_LABELS)
    named = [(x, entry) for x, entry in enumerate(entries) if x % step == 0]
    axes.set_xticks([x for x, _ in named], [_label(entry, versions[entry.version]) for _, entry in named])
    shorter = [x for x, entry in enumerate(entries) if x % step and not has_evaluate(entry)]
    axes.set_xticks(shorter, [SHORT] * len(shorter), minor=True)
    axes.set_ylabel(f"seconds per {series.span}{f'\n({SHORT}: no evaluate)' if shorter else ''}")


def _label(entry: Entry, version: str) -> str:
    """The name below a bar; it mentions a missing evaluate, which alone makes the bar shorter."""
    return f"{version}\n{entry.created[:10]}{'' if has_evaluate(entry) else '\nno evaluate'}"


def _write_above(axes: Axes, x: int, y: float, text: str) -> None:
    axes.annotate(text, (x, y), (0, 3), textcoords="offset points", ha="center", fontsize=canvas.SMALL)


def _draw_whisker(axes: Axes, x: int, entry: Entry, longest: float) -> float:
    """Draw the epoch's interval. Returns the height of its upper end, as far as it is drawn."""
    interval = entry.epoch.seconds
    if (whisker := canvas.whisker(interval)) is None:
        return interval.value
    axes.errorbar(x, interval.value, yerr=whisker, color=theme.INK, capsize=3, lw=1)
    return min(interval.value + whisker[1][0], REACH * longest)


def _source(histories: Sequence[Series]) -> str:
    """Days and runs; data and machine are named below each panel."""
    entries = [entry for series in histories for entry in series.entries]
    days = sorted({entry.created[:10] for entry in entries})
    span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    ids = [entry.run.rpartition("-")[2] for entry in entries]
    runs = ", ".join(ids) if len(ids) <= MOST_IDS else f"{ids[0]} ... {ids[-1]} ({len(ids)}, all in history.csv)"
    return f"{span} | runs {runs}"
