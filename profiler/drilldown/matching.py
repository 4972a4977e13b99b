"""Match drill-downs to the runs that they explain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from epoch_gap.profiler.drilldown.layers import Drilldown
from epoch_gap.profiler.drilldown.stacks import Stacks
from epoch_gap.profiler.storage.manifest import DataKind, Manifest


@dataclass(frozen=True)
class Drilldowns:
    """The drill-downs stored beside the runs of a report."""

    layers: Sequence[Drilldown] = ()
    """newest first"""
    operators: Sequence[Drilldown] = ()
    """newest first"""
    lines: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """the newest `lines.json`, by `identity.drilldown_key`"""
    stacks: Mapping[str, Stacks] = field(default_factory=dict)
    """the newest sampled stacks, by `identity.drilldown_key`"""


def drilldown_conditions(manifest: Manifest) -> dict[str, Any]:
    """The conditions that a run and its drill-down must share, as JSON values."""
    framework = manifest.framework
    return {
        "framework": {"name": framework.name, "version": framework.version, "device": framework.device},
        "batch_size": manifest.config.batch_size,
        "data": {"kind": str(manifest.data.kind)},
    }


def explains(conditions: Mapping[str, Any], manifest: Manifest) -> bool:
    """Whether a drill-down under `conditions` explains a run; without conditions it is assumed to.

    Drill-downs run the built-in loop, so they never explain a custom training loop.
    """
    if manifest.data.kind is DataKind.CUSTOM:
        return False
    if not conditions:
        return True
    wanted = drilldown_conditions(manifest)
    framework, data = conditions.get("framework", {}), conditions.get("data", {})
    return (
        all(framework.get(key) == value for key, value in wanted["framework"].items())
        and conditions.get("batch_size") == wanted["batch_size"]
        and data.get("kind") == wanted["data"]["kind"]
    )
