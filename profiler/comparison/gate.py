"""A regression gate: fail if B is shown to be slower than A by more than an allowance."""

from dataclasses import dataclass

from epoch_gap.profiler.analysis.stats import Interval
from epoch_gap.profiler.comparison.gap import Gap


@dataclass(frozen=True)
class Decision:
    """The gate's decision and its reason."""

    failed: bool
    known: bool
    """whether the interval was known"""
    text: str


def decide_gate(gap: Gap, allowed: float) -> Decision:
    """Decide on B, the gap's `slow`, against A.

    B fails only if the whole interval of the ratio is above 1 + `allowed` (a share, >= 0), the interval of the
    difference excludes 0, and the ratio exceeds the machine's noise floor. An unknown interval never fails.
    """
    low, high, limit = gap.ratio.low, gap.ratio.high, _percent(allowed)
    if low is None or high is None:
        text = f"the interval of B / A is unknown ({gap.scope}), so nothing is decided; take more steps, or repeats"
        return Decision(False, False, text)
    if low > 1 + allowed:
        above = f"above the allowed {limit} ({_range(gap.ratio)}, {gap.scope})"
        if not gap.seconds.interval().excludes(0):
            return Decision(False, True, f"{above}, but the difference in seconds may be 0: passed")
        if not gap.is_clear:
            floor = _percent(gap.floor or 0.0)
            return Decision(False, True, f"{above}, but within the noise floor of {floor}: passed")
        return Decision(True, True, f"B is at least {_percent(low - 1)} slower, {above}: failed")
    text = f"not shown to be more than {limit} slower ({_range(gap.ratio)}, {gap.scope}): passed"
    return Decision(False, True, text)


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _range(ratio: Interval) -> str:
    return f"B / A {ratio.value:.3f}, 95 % {ratio.low:.3f} to {ratio.high:.3f}"
