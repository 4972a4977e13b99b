"""How the layers changed between two versions, from their drill-downs."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from epoch_gap.profiler.analysis.stats import Interval
from epoch_gap.profiler.drilldown.layers import Drilldown
from epoch_gap.profiler.drilldown.spans import Direction


@dataclass(frozen=True)
class LayerChange:
    """One layer in two versions, in seconds per step."""

    direction: Direction
    layer: str
    before: float
    after: float
    seconds: Interval
    """after - before; its interval knows the steps of the two drill-downs, not the spread between processes"""


def layer_changes(before: Drilldown, after: Drilldown) -> list[LayerChange]:
    """The layers that both versions watched, in both directions, the largest change first."""
    changes = [
        LayerChange(direction, layer, old.value, new.value, _difference(new, old))
        for direction in Direction
        for olds, news in [(_layers(before, direction), _layers(after, direction))]
        for layer, old in olds.items()
        if (new := news.get(layer)) is not None
    ]
    return sorted(changes, key=lambda change: -abs(change.seconds.value))


def _layers(drilldown: Drilldown, direction: Direction) -> dict[str, Interval]:
    """Seconds per step by layer, its operators included. Their errors may go together, so half widths are added."""
    operators: dict[str, list[Interval]] = {}
    for entry in drilldown.entries:
        if entry.key.direction is direction:
            operators.setdefault(entry.key.layer, []).append(entry.seconds)
    return {layer: _around(math.fsum(i.value for i in of), _sum(map(_half, of))) for layer, of in operators.items()}


def _difference(new: Interval, old: Interval) -> Interval:
    """The difference of independent values: half widths add in squares."""
    halves = _half(new), _half(old)
    half = None if None in halves else math.hypot(*(h for h in halves if h is not None))
    return _around(new.value - old.value, half)


def _around(value: float, half: float | None) -> Interval:
    return Interval(value, None, None) if half is None else Interval(value, value - half, value + half)


def _half(interval: Interval) -> float | None:
    """The larger distance of the interval's ends from the value; None if it is unknown."""
    if interval.low is None or interval.high is None:
        return None
    return max(interval.value - interval.low, interval.high - interval.value)


def _sum(halves: Iterable[float | None]) -> float | None:
    known = list(halves)
    return None if None in known else math.fsum(half for half in known if half is not None)
