"""Histories for the terminal, with the heading and the finding of each series."""

from collections.abc import Sequence

from epoch_gap.profiler.comparison.history import Entry, Series
from epoch_gap.profiler.phases import Phase
from epoch_gap.reports import theme
from epoch_gap.reports.sentences.verdict import SCOPES
from epoch_gap.reports.terminal.tables import align

HISTORY_CSV = "history.csv"
LARGEST = 3
HEAD = ("date", "run", "version", "seconds per epoch", "", "largest phases", "flags", "commit")


def history_tables(histories: Sequence[Series]) -> str:
    """Every series with its runs, oldest first, and the change from the first to the last."""
    return "\n\n".join(_series_table(series) for series in histories)


def _series_table(series: Series) -> str:
    rows = [HEAD, *(_row(entry) for entry in series.entries)]
    return f"{describe_series(series)}\n{align(rows)}\n{describe_change(series)}"


def describe_series(series: Series) -> str:
    """The properties that all runs of a series share."""
    return f"{series.title} | {series.data_title}, batch {series.batch_size} | {series.machine}"


def describe_change(series: Series) -> str:
    """The change from the first run to the last, in one line."""
    if series.change is None:
        return "one run: nothing to compare it with"
    ratio, first, last = series.change.ratio, series.entries[0], series.entries[-1]
    versions = f" ({first.version} to {last.version})" if first.version != last.version else ""
    word = "slower" if ratio.value >= 1 else "faster"
    change = f"{theme.percent(abs(ratio.value - 1))} {word}" if series.change.is_clear else "undecided"
    without = f"; without {', '.join(series.change.excluded)}" if series.change.excluded else ""
    within = f"ratio {theme.times(ratio.value)}, 95 % {theme.within(ratio.low, ratio.high, 'x')}"
    return f"first to last{versions}: {change}, {within}, {SCOPES[series.change.scope]}{without}"


def _row(entry: Entry) -> tuple[str, ...]:
    epoch = entry.epoch.seconds
    missing = "" if has_evaluate(entry) else ", no evaluate"
    largest = sorted(((e.value, p) for p, e in entry.epoch.phases.items() if e), reverse=True)[:LARGEST]
    return (
        entry.created[:16].replace("T", " "),
        entry.run.rpartition("-")[2],
        entry.version,
        theme.seconds(epoch.value),
        f"({theme.within(epoch.low, epoch.high)}{missing})",
        ", ".join(f"{phase} {theme.seconds(seconds)}" for seconds, phase in largest),
        ", ".join(entry.flags),
        entry.commit,
    )


def has_evaluate(entry: Entry) -> bool:
    """Whether the run's epoch includes an evaluation."""
    return entry.epoch.phases[Phase.EVALUATE] is not None
