"""A gate against regressions: whether B is shown to be slower than A by more than is allowed."""

from dataclasses import dataclass

from epoch_gap.profiler.analysis.stats import Interval
from epoch_gap.profiler.comparison.gap import Gap


@dataclass(frozen=True)
class Decision:
    """What a gate decided, and why."""

    failed: bool
    known: bool
    """whether there was an interval to decide by"""
    text: str


def decide(gap: Gap, allowed: float) -> Decision:
    """Judge B, the gap's `slow`, against A: it fails only where the ratio's whole interval is above 1 + `allowed`.

    Nor does a ratio within the machine's noise floor, however narrow its interval, or a difference that may be 0.
    `allowed` is a share, >= 0. An interval that is unknown lies above nothing.
    """
    low, high, limit = gap.ratio.low, gap.ratio.high, _percent(allowed)
    if low is None or high is None:
        text = f"the interval of B / A is unknown ({gap.kind}), so nothing is decided; take more steps, or repeats"
        return Decision(False, False, text)
    if low > 1 + allowed:
        above = f"above the allowed {limit} ({_range(gap.ratio)}, {gap.kind})"
        if not gap.seconds.interval().excludes(0):
            return Decision(False, True, f"{above}, but the difference in seconds may be 0: passed")
        if not gap.clear:
            floor = _percent(gap.floor or 0.0)
            return Decision(False, True, f"{above}, but within the noise floor of {floor}: passed")
        return Decision(True, True, f"B is at least {_percent(low - 1)} slower, {above}: failed")
    text = f"not shown to be more than {limit} slower ({_range(gap.ratio)}, {gap.kind}): passed"
    return Decision(False, True, text)


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _range(ratio: Interval) -> str:
    return f"B / A {ratio.value:.3f}, 95 % {ratio.low:.3f} to {ratio.high:.3f}"
