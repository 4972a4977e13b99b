"""All drill-downs that a report may show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from epoch_gap.profiler.drilldown.layers import Drilldown
from epoch_gap.profiler.drilldown.stacks import Stacks
from epoch_gap.profiler.storage.run import Run


@dataclass(frozen=True)
class Found:
    """What was found beside the runs; of layers and operators the newest first."""

    layers: Sequence[Drilldown] = ()
    operators: Sequence[Drilldown] = ()
    lines: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """what the newest `lines.json` holds, by framework and device"""
    stacks: Mapping[str, Stacks] = field(default_factory=dict)
    """the newest sampled stacks, by framework and device"""


def conditions(run: Run) -> dict[str, Any]:
    """What a run and a drill-down have to share for the one to be explained by the other."""
    framework = run.manifest["framework"]
    return {
        "framework": {key: framework[key] for key in ("name", "version", "device")},
        "batch_size": run.batch_size,
        "data": {"kind": run.manifest["data"]["kind"]},
    }


def explains(found: Mapping[str, Any], run: Run) -> bool:
    """Whether a drill-down under the conditions `found` explains `run`; empty: unknown, and taken to be the run's.

    The drill-downs are of the built-in loop: they explain no loop of one's own, whatever its name.
    """
    wanted = conditions(run)
    if wanted["data"]["kind"] == "own":
        return False
    if not found:
        return True
    framework, data = found.get("framework", {}), found.get("data", {})
    alike = all(framework.get(key) == value for key, value in wanted["framework"].items())
    return alike and found.get("batch_size") == wanted["batch_size"] and data.get("kind") == wanted["data"]["kind"]


def contender(framework: str, device: str) -> str:
    """The key of `Found.lines` and `Found.stacks`."""
    return f"{framework}-{device}"
