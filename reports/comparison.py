"""The view of a comparison: everything that `compare` and `gate` show of A and B, computed before it is written."""

from dataclasses import dataclass, field

from epoch_gap.profiler.comparison.fairness import Item, audit_fairness
from epoch_gap.profiler.comparison.gap import Gap
from epoch_gap.profiler.comparison.gate import GateDecision, decide_gate
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.drilldown.sides import SideDrilldowns
from epoch_gap.profiler.storage.noise_floor_store import NoiseFloor
from epoch_gap.profiler.storage.qualification_store import Qualification


@dataclass(frozen=True)
class Gate:
    """The gate of a comparison."""

    allowed: float
    """share by which B may be slower"""
    decision: GateDecision
    qualification: Qualification | None
    """how often it is right for this workload on this machine; None: not measured"""


@dataclass(frozen=True)
class Comparison:
    """B compared with A."""

    a: Subject
    b: Subject
    gap: Gap
    """B minus A: `slow` is B, whichever is slower"""
    floor: NoiseFloor | None
    gate: Gate | None = None
    drilldowns: SideDrilldowns = field(default_factory=SideDrilldowns)

    @property
    def has_failed(self) -> bool:
        """Whether there is a gate, and B failed it."""
        return self.gate is not None and self.gate.decision is GateDecision.FAILED

    @property
    def can_be_qualified(self) -> bool:
        """Whether `qualify` can measure how often the gate is right: it trains the built-in loop only."""
        return self.gate is not None and not (self.a.is_custom or self.b.is_custom)

    @property
    def differing(self) -> list[Item]:
        """The conditions that differ between A and B."""
        return [item for item in audit_fairness([self.a, self.b]) if item.differs]


def judge_gap(gap: Gap, allowed: float | None, qualification: Qualification | None) -> Gate | None:
    """The gate with an allowance, a share; None without one."""
    return None if allowed is None else Gate(allowed, decide_gate(gap, allowed), qualification)
