"""The decision of the regression gate in words."""

from epoch_gap.profiler.comparison.gap import Gap
from epoch_gap.profiler.comparison.gate import GateDecision
from epoch_gap.reports.sentences.spread import describe_basis


def describe_decision(decision: GateDecision, gap: Gap, allowed: float) -> str:
    """The decision on B against A, with its reason; `allowed` is a share."""
    scope, ratio, limit = describe_basis(gap), gap.judged, _percent(allowed)
    if decision is GateDecision.UNKNOWN or ratio.low is None or ratio.high is None:
        return f"the interval of B / A is unknown ({scope}), so the gate makes no decision; run more steps or repeats"
    measured = f"(B / A {ratio.value:.3f}, 95 % {ratio.low:.3f} to {ratio.high:.3f}, {scope})"
    floor = _percent(gap.floor or 0.0)
    above = f"above the allowed {limit} {measured}"
    return {
        GateDecision.FAILED: f"B is at least {_percent(ratio.low - 1)} slower, {above}: failed",
        GateDecision.NOT_SHOWN: f"not shown to be more than {limit} slower {measured}: passed",
        GateDecision.MAY_BE_ZERO: f"{above}, but the difference in seconds may be 0: passed",
        GateDecision.WITHIN_NOISE_FLOOR: f"{above}, but within the noise floor of {floor}: passed",
    }[decision]


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"
