"""Histories for the terminal, with the heading and the finding of each series."""

from collections.abc import Sequence

from epoch_gap.profiler.comparison.history import Entry, Series
from epoch_gap.profiler.comparison.subject import shorten_versions
from epoch_gap.profiler.printable import printable
from epoch_gap.reports import formats
from epoch_gap.reports.sentences.history import describe_change, describe_series, has_evaluate
from epoch_gap.reports.terminal.tables import align

LARGEST = 3
HEAD = ("date", "run", "version", "seconds per {}", "", "largest phases", "flags", "commit")


def history_tables(histories: Sequence[Series]) -> str:
    """Every series with its runs, oldest first, and the changes of its level."""
    return "\n\n".join(_series_table(series) for series in histories)


def _series_table(series: Series) -> str:
    versions = shorten_versions({entry.version for entry in series.entries})
    rows = [
        [word.format(series.span) for word in HEAD],
        *(_row(entry, versions[entry.version]) for entry in series.entries),
    ]
    return f"{printable(describe_series(series))}\n{align(rows)}\n{describe_change(series)}"


def _row(entry: Entry, version: str) -> tuple[str, ...]:
    epoch = entry.epoch.seconds
    missing = "" if has_evaluate(entry) else ", no evaluate"
    largest = sorted(((e.value, p) for p, e in entry.epoch.phases.items() if e), reverse=True)[:LARGEST]
    return (
        entry.created[:16].replace("T", " "),
        entry.run.rpartition("-")[2],
        version,
        formats.seconds(epoch.value),
        f"({formats.within(epoch.low, epoch.high)}{missing})",
        ", ".join(f"{phase} {formats.seconds(seconds)}" for seconds, phase in largest),
        ", ".join(entry.flags),
        entry.commit,
    )
