"""Histories as tables: aligned for the terminal, and as CSV."""

import csv
import io
from collections.abc import Sequence

from epoch_gap.profiler.analysis.stats import Interval
from epoch_gap.profiler.comparison.history import Entry, Series
from epoch_gap.profiler.phases import Phase
from epoch_gap.reports import theme
from epoch_gap.reports.sentences.verdict import DATA
from epoch_gap.reports.terminal.tables import aligned

LARGEST = 3
HEAD = ("date", "run", "version", "seconds per epoch", "", "largest phases", "flags", "commit")
CSV_COLUMNS = (
    "series", "batch_size", "data", "machine", "created", "run", "version", "commit", "flags", "kind",
    "epoch_s", "low_s", "high_s", *(f"{phase}_s" for phase in Phase),
)  # fmt: skip


def table(histories: Sequence[Series]) -> str:
    """Every series with its runs, the oldest first, and what became of the first by the last."""
    return "\n\n".join(_series(series) for series in histories)


def _series(series: Series) -> str:
    rows = [HEAD, *(_row(entry) for entry in series.entries)]
    return f"{heading(series)}\n{aligned(rows)}\n{finding(series)}"


def heading(series: Series) -> str:
    """What all runs of a series share."""
    data = DATA.get(series.data, series.data)
    return f"{series.title} | {data}, batch {series.batch_size} | {series.machine}"


def finding(series: Series) -> str:
    """What changed from the first run to the last, in one line."""
    if series.change is None:
        return "one run: nothing to compare it with"
    ratio, first, last = series.change.ratio, series.entries[0], series.entries[-1]
    versions = f" ({first.version} to {last.version})" if first.version != last.version else ""
    word = "slower" if ratio.value >= 1 else "faster"
    changed = f"{theme.percent(abs(ratio.value - 1))} {word}" if series.change.clear else "undecided"
    without = f"; without {', '.join(series.change.left_out)}" if series.change.left_out else ""
    within = f"ratio {theme.times(ratio.value)}, 95 % {theme.within(ratio.low, ratio.high, 'x')}"
    return f"first to last{versions}: {changed}, {within}, {series.change.kind}{without}"


def _row(entry: Entry) -> tuple[str, ...]:
    i = total(entry)
    missing = "" if has_evaluate(entry) else ", no evaluate"
    largest = sorted(((e.value, p) for p, e in entry.epoch.phases.items() if e), reverse=True)[:LARGEST]
    return (
        entry.created[:16].replace("T", " "), entry.run.rpartition("-")[2], entry.version, theme.seconds(i.value),
        f"({theme.within(i.low, i.high)}{missing})", ", ".join(f"{p} {theme.seconds(s)}" for s, p in largest),
        ", ".join(entry.flags), entry.commit,
    )  # fmt: skip


def has_evaluate(entry: Entry) -> bool:
    """Whether the run's epoch has its evaluation's time in it."""
    return entry.epoch.phases[Phase.EVALUATE] is not None


def total(entry: Entry) -> Interval:
    """Seconds of the run's epoch."""
    return entry.epoch.total.interval(least=0.0)


def history_csv(histories: Sequence[Series]) -> str:
    """A row per run; an empty cell is unknown, or a phase that was not there."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for series in histories:
        for entry in series.entries:
            i, kind = total(entry), "measured" if entry.epoch.measured else "estimated"
            parts = [entry.epoch.phases[phase] for phase in Phase]
            writer.writerow([
                series.title, series.batch_size, series.data, series.machine, entry.created, entry.run, entry.version,
                entry.commit, ", ".join(entry.flags), kind, i.value, i.low, i.high,
                *(part.value if part else None for part in parts),
            ])  # fmt: skip
    return buffer.getvalue()
