"""Where B is slower than A by their drill-downs, in words: `backward of layer1: +31.0 ms (28.0 ms to 34.0 ms)`."""

from collections.abc import Sequence

from epoch_gap.profiler.drilldown.sides import PartDifference, SideDrilldowns
from epoch_gap.reports import formats

MOST = 5
"""parts of each kind"""
SCOPE = "per instrumented step, within one process of each side"
NOTHING_CLEAR = "no part clearly differs"


def describe_sides(drilldowns: SideDrilldowns) -> dict[str, list[str]]:
    """The parts that differ, under a heading each for layers and operators; and why a side's are missing."""
    found = {}
    if drilldowns.layers is not None:
        found[f"Layers, B - A {SCOPE}"] = _describe_parts(drilldowns.stages)
    if drilldowns.operators is not None:
        found[f"Operators, B - A {SCOPE}"] = _describe_parts(drilldowns.categories)
    if drilldowns.problems:
        found["Not timed"] = list(drilldowns.problems)
    return found


def _describe_parts(parts: Sequence[PartDifference]) -> list[str]:
    """The largest parts that differ, or whose interval is unknown."""
    shown = [part for part in parts if part.seconds.dof <= 0 or part.seconds.interval().excludes(0)]
    return [describe_part(part) for part in shown[:MOST]] or [NOTHING_CLEAR]


def describe_part(part: PartDifference) -> str:
    """The part and its difference, with the interval."""
    i = part.seconds.interval()
    known = "interval unknown"
    if i.low is not None and i.high is not None:
        known = f"{formats.milliseconds(i.low)} to {formats.milliseconds(i.high)}"
    return f"{part.direction} of {part.name}: {formats.signed(formats.milliseconds(i.value))} ({known})"
