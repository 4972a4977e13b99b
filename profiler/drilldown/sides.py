"""Where two sides of a comparison differ by their drill-downs: by stage of the network and by operator category."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from epoch_gap.profiler.analysis.stats import Estimate, difference, mean
from epoch_gap.profiler.drilldown.layers import Drilldown, Entry
from epoch_gap.profiler.drilldown.spans import Direction


@dataclass(frozen=True)
class PartDifference:
    """A part of both sides' steps, in one direction: seconds per instrumented step."""

    direction: Direction
    name: str
    seconds: Estimate
    """B - A; its spread is that of the steps of one process of each, and unknown if only their sums are known"""


@dataclass(frozen=True)
class SideDrilldowns:
    """The drill-downs of A and of B, in this order, each from one process; None: not timed."""

    layers: tuple[Drilldown, Drilldown] | None = None
    operators: tuple[Drilldown, Drilldown] | None = None
    problems: tuple[str, ...] = ()
    """why a side's are missing"""

    @property
    def stages(self) -> list[PartDifference]:
        """B - A by stage of the network, largest first."""
        return [] if self.layers is None else part_differences(*self.layers, _stage)

    @property
    def categories(self) -> list[PartDifference]:
        """B - A by operator category, largest first."""
        return [] if self.operators is None else part_differences(*self.operators, lambda entry: entry.category)


def part_differences(a: Drilldown, b: Drilldown, name_of: Callable[[Entry], str]) -> list[PartDifference]:
    """B - A of the parts that both sides timed, by direction and name, the largest first."""
    of_a, of_b = _parts(a, name_of), _parts(b, name_of)
    found = [PartDifference(*key, difference(of_b[key], of_a[key])) for key in of_a if key in of_b]
    return sorted(found, key=lambda part: -abs(part.seconds.value))


def _parts(d: Drilldown, name_of: Callable[[Entry], str]) -> dict[tuple[Direction, str], Estimate]:
    entries: dict[tuple[Direction, str], list[Entry]] = defaultdict(list)
    for entry in d.entries:
        entries[entry.key.direction, name_of(entry)].append(entry)
    return {key: _together(of_part) for key, of_part in entries.items()}


def _together(entries: list[Entry]) -> Estimate:
    """The sum of entries, whose times in one step vary together."""
    if all(entry.steps for entry in entries):
        return mean(np.sum([entry.steps for entry in entries], axis=0))
    return Estimate(sum(entry.seconds.value for entry in entries), 0.0, 0.0)


def _stage(entry: Entry) -> str:
    """`layer1` for `layer1.0.conv1`."""
    return entry.key.layer.partition(".")[0]
