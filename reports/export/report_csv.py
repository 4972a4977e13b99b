"""CSV as text: `phases.csv` of a report and `history.csv` of a history. Columns: docs/data-dictionary.md."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from epoch_gap.profiler.comparison.history import Series
from epoch_gap.profiler.phases import Phase, in_order

HISTORY_CSV = "history.csv"
PHASES_CSV_COLUMNS = (
    *("subject", "ledger", "phase", "seconds_per_epoch", "low_s", "high_s", "share"),
    *("gap_s", "gap_low_s", "gap_high_s"),
)
"""`gap_*`: of the headline pair, on the slower subject's rows"""
HISTORY_CSV_COLUMNS = (
    *("series", "batch_size", "data", "machine", "created", "run", "version", "commit", "flags", "kind", "segment"),
    *("epoch_s", "low_s", "high_s"),
    *(f"{phase}_s" for phase in Phase),
)
"""the columns of a custom loop's own phases follow"""


def phases_csv(summary: dict[str, Any]) -> str:
    """The as-run phases of every subject of a summary; an empty cell is unknown or n/a."""
    headline = summary["gaps"][0] if summary["gaps"] else None
    rows = []
    for subject in summary["subjects"]:
        gap = headline["by_phase"]["asrun"] if headline and headline["slow"] == subject["id"] else {}
        for phase, cell in subject["phases"]["asrun"].items():
            numbers = [cell[key] if cell else None for key in ("seconds", "low", "high", "share")]
            numbers += [gap.get(phase, {}).get(key) for key in ("value", "low", "high")]
            rows.append([subject["id"], "asrun", phase, *numbers])
    return _to_csv(PHASES_CSV_COLUMNS, rows)


def history_csv(histories: Sequence[Series]) -> str:
    """A row per run; an empty cell is unknown, or a phase that the run did not have."""
    rows = []
    own = [phase for phase in in_order(phase for series in histories for phase in series.phases) if phase.is_own]
    for series in histories:
        for i, entry in enumerate(series.entries):
            segment = 1 + sum(change.index <= i for change in series.changes)
            epoch, kind = entry.epoch.seconds, "measured" if entry.epoch.measured else "estimated"
            parts = [entry.epoch.phases.get(phase) for phase in (*Phase, *own)]
            rows.append(
                [
                    *(series.title, series.batch_size, series.data, series.machine),
                    *(entry.created, entry.run, entry.version, entry.commit, ", ".join(entry.flags), kind, segment),
                    *(epoch.value, epoch.low, epoch.high),
                    *(part.value if part else None for part in parts),
                ]
            )
    return _to_csv([*HISTORY_CSV_COLUMNS, *(f"{phase}_s" for phase in own)], rows)


def _to_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return buffer.getvalue()
