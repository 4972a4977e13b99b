"""Match drill-downs to the runs that they explain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from epoch_gap.profiler.comparison.identity import watched_key
from epoch_gap.profiler.drilldown.conditions import DrilldownConditions
from epoch_gap.profiler.drilldown.layers import Drilldown
from epoch_gap.profiler.drilldown.lines import LineTimes
from epoch_gap.profiler.drilldown.stacks import Stacks
from epoch_gap.profiler.storage.manifest import DataKind, Manifest


@dataclass(frozen=True)
class Drilldowns:
    """The drill-downs stored beside the runs of a report."""

    layers: Sequence[Drilldown] = ()
    """newest first"""
    operators: Sequence[Drilldown] = ()
    """newest first"""
    lines: Mapping[str, LineTimes] = field(default_factory=dict)
    """the newest line times, by `identity.drilldown_key`"""
    stacks: Mapping[str, Stacks] = field(default_factory=dict)
    """the newest sampled stacks, by `identity.drilldown_key`"""
    layers_of: Mapping[str, Drilldown] = field(default_factory=dict)
    """by subject id: those that were timed for these very subjects, and need no match"""
    operators_of: Mapping[str, Drilldown] = field(default_factory=dict)


def explains(conditions: DrilldownConditions | None, manifest: Manifest) -> bool:
    """Whether a drill-down under `conditions` explains a run; without conditions it is assumed to.

    Drill-downs run the built-in loop, so they never explain a custom training loop.
    """
    if manifest.data.kind is DataKind.CUSTOM:
        return False
    if conditions is None:
        return True
    framework = conditions.framework
    of_framework = framework.name, framework.exact_version, framework.device
    watched = *of_framework, conditions.keeps_memory, conditions.switches, conditions.network
    return (
        watched == watched_key(manifest)
        and conditions.batch_size == manifest.config.batch_size
        and conditions.data.kind is manifest.data.kind
    )
