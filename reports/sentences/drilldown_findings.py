"""Findings of the drill-downs about the headline gap: where its work is done, by operator, layer and line."""

from collections.abc import Iterator, Mapping, Sequence

from epoch_gap.profiler.comparison.gap import Gap
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.drilldown.layers import Drilldown, category_differences, layer_differences
from epoch_gap.profiler.drilldown.lines import LineTimes
from epoch_gap.reports import formats
from epoch_gap.reports.sentences.verdict import TOP


def list_findings(
    gaps: Sequence[Gap],
    layers: Mapping[str, Drilldown],
    operators: Mapping[str, Drilldown],
    lines: Mapping[str, LineTimes],
) -> Iterator[str]:
    """The findings on the headline gap, a sentence each; the drill-downs are by subject id."""
    if not gaps:
        return
    slow, fast = gaps[0].slow, gaps[0].fast
    if slow.id in operators and fast.id in operators:
        yield from _operators(operators[slow.id], operators[fast.id])
    if slow.id in layers and fast.id in layers:
        slower = [d for d in layer_differences(layers[slow.id], layers[fast.id]) if d.seconds > 0][:TOP]
        names = (f"{d.layer} {d.direction} ({formats.milliseconds(d.seconds)} more)" for d in slower)
        if slower:
            yield f"Layers with the largest differences, per step: {', '.join(names)}."
    if slow.id in lines:
        yield _hottest_line(slow, lines[slow.id])


def _operators(slow: Drilldown, fast: Drilldown) -> Iterator[str]:
    by_category = category_differences(slow, fast)
    largest = next((d for d in by_category if d.seconds > 0), None)
    if largest is None:
        return
    whole = sum(d.seconds for d in by_category)
    share = f", {formats.percent(largest.seconds / whole)} of the difference of all operators" if whole > 0 else ""
    sides = f"{formats.milliseconds(largest.slow)} against {formats.milliseconds(largest.fast)} per step"
    yield f"Operators: {largest.category} {largest.direction} contributes most, {sides}{share}."


def _hottest_line(slow: Subject, times: LineTimes) -> str:
    (function, line), *_ = times.slowest(1)
    ms = formats.milliseconds(line.seconds / times.steps)
    place = f"{function.file}:{line.number}"
    return f"Slowest line of {slow.title}: {place}, {ms} per step: {line.source.strip()}"
