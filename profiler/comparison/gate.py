"""A regression gate: fail if B is shown to be slower than A by more than an allowance."""

from enum import Enum, auto

from epoch_gap.profiler.analysis.stats import Interval
from epoch_gap.profiler.comparison.gap import Gap


class GateDecision(Enum):
    """The decision of the gate; `reports/sentences/gate.py` has its words."""

    FAILED = auto()
    NOT_SHOWN = auto()
    """passed: B is not shown to be slower by more than the allowance"""
    MAY_BE_ZERO = auto()
    """passed: the ratio is above the allowance, but the interval of the difference includes 0"""
    WITHIN_NOISE_FLOOR = auto()
    """passed: the ratio is above the allowance, but not beyond the machine's noise floor"""
    UNKNOWN = auto()
    """passed: the interval of the ratio is unknown"""


def decide_gate(gap: Gap, allowed: float) -> GateDecision:
    """Decide on B, the gap's `slow`, against A; `allowed` is a share, >= 0."""
    return decide(gap.judged, gap.seconds.interval().excludes(0), gap.floor, allowed)


def decide(ratio: Interval, is_difference_clear: bool, floor: float | None, allowed: float) -> GateDecision:
    """Decide by the `ratio` of B over A.

    B fails only if the whole interval of the ratio is above 1 + `allowed` (a share, >= 0), the interval of the
    difference excludes 0 (`is_difference_clear`), and the ratio exceeds the machine's noise `floor`, a share. With an
    unknown interval, B never fails.
    """
    if ratio.low is None or ratio.high is None:
        return GateDecision.UNKNOWN
    if ratio.low <= 1 + allowed:
        return GateDecision.NOT_SHOWN
    if not is_difference_clear:
        return GateDecision.MAY_BE_ZERO
    return GateDecision.FAILED if ratio.value - 1 > (floor or 0.0) else GateDecision.WITHIN_NOISE_FLOOR
