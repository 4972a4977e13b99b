"""Aligned tables for the terminal: the phase table and the conditions of a run."""

import json
from collections.abc import Sequence

from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.phases import in_order
from epoch_gap.profiler.printable import printable
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports import formats
from epoch_gap.reports.sentences.verdict import how_known


def align(rows: Sequence[Sequence[str]], left: int | None = None) -> str:
    """Rows of cells as lines, each column as wide as its widest cell; flush right from column `left` on."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    sides = ["<" if left is None or i < left else ">" for i in range(len(widths))]
    return "\n".join(
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True))
        for row in rows
    )


def phase_table(subjects: Sequence[Subject]) -> str:
    """Seconds per epoch by phase; a phase that a framework does not have reads n/a."""
    rows = [[f"seconds per {subjects[0].size.span}", *(s.title for s in subjects)]]
    for phase in in_order(phase for s in subjects for phase in s.epoch.phases):
        parts = [(s, s.epoch.phases.get(phase)) for s in subjects]
        if any(part is not None for _, part in parts):
            rows.append([phase, *(_cell(s, part.interval().value if part else None) for s, part in parts)])
    rows.append([subjects[0].size.whole, *(f"{formats.interval(s.epoch.seconds)}, {how_known(s)}" for s in subjects)])
    return align(rows)


def _cell(subject: Subject, value: float | None) -> str:
    if value is None:
        return "n/a"
    return f"{formats.seconds(value):>10}  {formats.percent(value / subject.epoch.total.value):>7}"


def list_conditions(run: Run) -> str:
    """A run's manifest as stored, one `key: value` per line."""
    lines = [f"run: {run.id}", f"status: {run.status}", f"training steps: {len(run.train)}"]
    lines += [f"{key}: {value}" for key, value in _flatten("", dict(run.manifest.as_stored)) if key != "status"]
    return "\n".join(map(printable, lines)) + "\n"


def _flatten(prefix: str, value: object) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for key, inner in value.items() for pair in _flatten(f"{prefix}.{key}".lstrip("."), inner)]
    return [(prefix, value if isinstance(value, str) else json.dumps(value))]
