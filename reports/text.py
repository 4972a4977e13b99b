"""Tables for the terminal and the CSV of the phases."""

import csv
import io
import json
from collections.abc import Sequence

from profiler.phases import Phase
from profiler.run import Run
from profiler.subject import Subject
from reports import theme
from reports.view import View

CSV_COLUMNS = (
    "subject", "ledger", "phase", "seconds_per_epoch", "low_s", "high_s", "share",
    "gap_s", "gap_low_s", "gap_high_s",
)  # fmt: skip
"""`gap_*`: of the headline pair, on the slower subject's rows"""


def phase_table(subjects: Sequence[Subject]) -> str:
    """Seconds per epoch by phase, aligned; a phase that a framework does not have reads n/a."""
    rows = [["seconds per epoch", *(s.title for s in subjects)]]
    for phase in Phase:
        parts = [(s, s.epoch.phases[phase]) for s in subjects]
        if any(part is not None for _, part in parts):
            rows.append([phase, *(_cell(s, part.interval().value if part else None) for s, part in parts)])
    rows.append(["epoch", *(theme.interval(s.epoch.total.interval(least=0.0)) for s in subjects)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def conditions(run: Run) -> str:
    """A run's conditions, one `key: value` a line."""
    lines = [f"run: {run.id}", f"status: {run.status}", f"training steps: {len(run.train)}"]
    lines += [f"{key}: {value}" for key, value in _flat("", dict(run.manifest)) if key != "status"]
    return "\n".join(lines) + "\n"


def phases_csv(view: View) -> str:
    """The phase table with intervals and shares; an empty cell is unknown or n/a."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    headline = view.summary["gaps"][0] if view.gaps else None
    for subject in view.summary["subjects"]:
        gap = headline["by_phase"]["asrun"] if headline and headline["slow"] == subject["id"] else {}
        for phase, cell in subject["phases"]["asrun"].items():
            numbers = [cell[key] if cell else None for key in ("seconds", "low", "high", "share")]
            numbers += [gap.get(phase, {}).get(key) for key in ("value", "low", "high")]
            writer.writerow([subject["id"], "asrun", phase, *numbers])
    return buffer.getvalue()


def _cell(subject: Subject, value: float | None) -> str:
    if value is None:
        return "n/a"
    return f"{theme.seconds(value):>10}  {theme.percent(value / subject.epoch.total.value):>7}"


def _flat(prefix: str, value: object) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for key, inner in value.items() for pair in _flat(f"{prefix}.{key}".lstrip("."), inner)]
    return [(prefix, value if isinstance(value, str) else json.dumps(value))]
