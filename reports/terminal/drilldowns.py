"""Sampled stacks and timed lines, for the terminal."""

from epoch_gap.profiler.drilldown.lines import LineTimes
from epoch_gap.profiler.drilldown.stacks import Stacks
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports import formats
from epoch_gap.reports.sentences.layers import describe_overhead
from epoch_gap.reports.terminal.tables import align

LEAST_SHARE = 0.001
"""phases with less, by samples and by marks, are not listed"""
MOST_SOURCE = 70
"""characters of a source line"""


def phase_shares(run: Run, stacks: Stacks) -> str:
    """Each phase's share of the samples beside its share by marks of the same run."""
    marks = {phase: float(ns.sum()) for phase, ns in run.train.phase_ns.items()}
    samples, whole = stacks.by_phase(), sum(marks.values())
    sampled = sum(count for phase, count in samples.items() if phase in marks)
    rows = [["phase", "samples", "share", "by marks", "points"]]
    for phase, ns in marks.items():
        share, marked = samples.get(phase, 0) / max(1, sampled), ns / whole
        if max(share, marked) >= LEAST_SHARE:
            points = f"{100 * (share - marked):+.1f}"
            rows.append([phase, str(samples.get(phase, 0)), formats.percent(share), formats.percent(marked), points])
    return f"{align(rows)}\noutside the training loop: {stacks.outside} samples"


def slowest_lines(times: LineTimes, most: int = 20) -> str:
    """The slowest lines, per step; a line's time includes its callees."""
    whole = {function.name: function.seconds for function in times.functions}
    rows = [["line", "ms per step", "of its function", "hits per step", "source"]]
    for function, line in times.slowest(most):
        place = f"{function.file}:{line.number} {function.name}"
        share = formats.percent(line.seconds / whole[function.name]) if whole[function.name] else ""
        hits = f"{line.hits / times.steps:.0f}"
        rows.append([place, f"{1000 * line.seconds / times.steps:.2f}", share, hits, line.source[:MOST_SOURCE]])
    return f"{align(rows)}\n{describe_overhead(times.slowdown)}"
