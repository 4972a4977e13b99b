"""Tables for the terminal and the CSV of the phases."""

import csv
import io
import json
from collections.abc import Sequence

from epoch_gap.profiler.comparison import gap as compare
from epoch_gap.profiler.comparison.noise_floor import Floor
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.drilldown import lines
from epoch_gap.profiler.drilldown.lines import Function
from epoch_gap.profiler.drilldown.stacks import Stacks
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports import theme
from epoch_gap.reports.sentences.verdict import how_known, noise_floor
from epoch_gap.reports.view import View

LEAST_SHARE = 0.001
"""phases with less, by samples and by marks, are not listed"""
MOST_SOURCE = 70
"""characters of a source line"""
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
    totals = [f"{theme.interval(s.epoch.total.interval(least=0.0))}, {how_known(s)}" for s in subjects]
    rows.append(["epoch", *totals])
    return aligned(rows)


def aligned(rows: Sequence[Sequence[str]], left: int | None = None) -> str:
    """Rows of cells as lines, every column as wide as its widest cell; from column `left` on flush right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    sides = ["<" if left is None or i < left else ">" for i in range(len(widths))]
    return "\n".join(
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True))
        for row in rows
    )


def noise(found: Floor, gap: compare.Gap) -> str:
    """An A-against-A comparison, in words."""
    low, high = gap.ratio.low, gap.ratio.high
    times = f"{theme.times(gap.ratio.value)} times as long, 95 % {theme.within(low, high, 'x')}, between processes"
    return f"A against A: {gap.verdict} ({times})\n{noise_floor(found)}"


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


def as_json(data: object) -> str:
    """Strict JSON."""
    return json.dumps(data, indent=1, allow_nan=False)


def phase_shares(run: Run, found: Stacks) -> str:
    """Each phase's share of the samples beside its share by the marks of the same run."""
    marks = {phase: float(ns.sum()) for phase, ns in run.train.phase_ns.items()}
    samples, whole = found.by_phase(), sum(marks.values())
    taken = sum(count for phase, count in samples.items() if phase in marks)
    rows = [["phase", "samples", "share", "by the marks", "points"]]
    for phase, ns in marks.items():
        share, marked = samples.get(phase, 0) / max(1, taken), ns / whole
        if max(share, marked) >= LEAST_SHARE:
            points = f"{100 * (share - marked):+.1f}"
            rows.append([phase, str(samples.get(phase, 0)), theme.percent(share), theme.percent(marked), points])
    return f"{aligned(rows)}\noutside the training loop: {found.outside} samples"


def top_lines(functions: Sequence[Function], steps: int, slowdown: float, most: int = 20) -> str:
    """The lines that took longest, per step; a line's time holds that of what it calls."""
    whole = {function.name: function.seconds for function in functions}
    rows = [["line", "ms per step", "of its function", "hits per step", "source"]]
    for function, line in lines.top(functions, most):
        place = f"{function.file}:{line.number} {function.name}"
        share = theme.percent(line.seconds / whole[function.name]) if whole[function.name] else ""
        hits = f"{line.hits / steps:.0f}"
        rows.append([place, f"{1000 * line.seconds / steps:.2f}", share, hits, line.source[:MOST_SOURCE]])
    return f"{aligned(rows)}\nwatching made a step {theme.times(slowdown)} times as long"
