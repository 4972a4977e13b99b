"""The picture of a history: one panel per series, one stacked bar per run, the oldest first."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from epoch_gap.profiler.comparison.history import Entry, Series
from epoch_gap.reports import theme
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.charts.breakdown import REACH
from epoch_gap.reports.terminal.history import finding, has_evaluate, heading, total

PANEL, EDGES = 3.3, 0.7
"""inches: of a series, and of title and source line"""
MOST_LABELS = 12
"""runs that are named below their bars; of more, every second, third ... one is"""
SHORT = "*"
"""below the bar of a run that did not evaluate and is not named"""
MOST_IDS = 8
"""runs that are named in the source line, of all series together; of more, the first and the last"""


def history(histories: Sequence[Series]) -> Figure:
    """Seconds per epoch of every run by phase, with the epoch's interval. At least one series."""
    figure = Figure(figsize=(canvas.WIDTH, EDGES + PANEL * len(histories)), layout="constrained")
    for axes, series in zip(figure.subplots(len(histories), squeeze=False)[:, 0], histories, strict=True):
        _panel(axes, series)
    figure.supxlabel(_source(histories), x=0.01, ha="left", fontsize=canvas.SOURCE_SIZE, color=theme.MUTED)
    return figure


def _panel(axes: Axes, series: Series) -> None:
    longest = max(total(entry).value for entry in series.entries)
    highest = longest
    for x, entry in enumerate(series.entries):
        bottom = 0.0
        for phase, part in entry.epoch.phases.items():
            if part is not None:
                axes.bar(x, part.value, 0.7, bottom=bottom, color=theme.PHASE_COLOURS[phase], ec=theme.PAPER, lw=0.3)
                bottom += part.value
        highest = max(highest, _whisker(axes, x, series, longest))
    axes.set_ylim(0, 1.08 * highest)
    axes.set_xlim(-0.6, max(len(series.entries), 4) - 0.4)
    step = -(-len(series.entries) // MOST_LABELS)
    named = [(x, e) for x, e in enumerate(series.entries) if x % step == 0]
    axes.set_xticks([x for x, _ in named], [_label(e) for _, e in named], fontsize=canvas.SMALL)
    shorter = [x for x, e in enumerate(series.entries) if x % step and not has_evaluate(e)]
    axes.set_xticks(shorter, [SHORT] * len(shorter), fontsize=canvas.SMALL, minor=True)
    axes.set_ylabel(f"seconds per epoch{f'\n({SHORT}: no evaluate)' if shorter else ''}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(
        f"{heading(series).partition(' | ')[0]}\n{finding(series)}", loc="left", fontsize=10, weight="bold"
    )
    handles = [Patch(color=theme.PHASE_COLOURS[phase], label=phase) for phase in reversed(series.phases)]
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=canvas.SMALL)


def _label(entry: Entry) -> str:
    """What stands below a named bar. One without evaluate is shorter for that alone."""
    return f"{entry.version}\n{entry.created[:10]}{'' if has_evaluate(entry) else '\nno evaluate'}"


def _whisker(axes: Axes, x: int, series: Series, longest: float) -> float:
    """Draw the epoch's interval; the height that it reaches, as far as it is drawn."""
    i = total(series.entries[x])
    if (whisker := canvas.whisker(i)) is None:
        return i.value
    axes.errorbar(x, i.value, yerr=whisker, color=theme.INK, capsize=3, lw=1)
    return min(i.value + whisker[1][0], REACH * longest)


def _source(histories: Sequence[Series]) -> str:
    """Days and runs; data and machine stand below each panel."""
    entries = [entry for series in histories for entry in series.entries]
    days = sorted({entry.created[:10] for entry in entries})
    span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    ids = [entry.run.rpartition("-")[2] for entry in entries]
    runs = ", ".join(ids) if len(ids) <= MOST_IDS else f"{ids[0]} ... {ids[-1]} ({len(ids)}, all in history.csv)"
    return f"{span} | runs {runs}"
