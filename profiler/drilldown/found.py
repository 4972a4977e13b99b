"""All drill-downs that a report may show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from profiler.drilldown.layers import Drilldown
from profiler.drilldown.stacks import Stacks


@dataclass(frozen=True)
class Found:
    """What was found beside the runs; of layers and operators the newest first."""

    layers: Sequence[Drilldown] = ()
    operators: Sequence[Drilldown] = ()
    lines: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """what the newest `lines.json` holds, by framework and device"""
    stacks: Mapping[str, Stacks] = field(default_factory=dict)
    """the newest sampled stacks, by framework and device"""


def contender(framework: str, device: str) -> str:
    """The key of `Found.lines` and `Found.stacks`."""
    return f"{framework}-{device}"
