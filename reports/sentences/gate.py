"""The decision of the regression gate in words, and how often the gate is right."""

from collections.abc import Sequence

from epoch_gap.profiler.command_name import command_name
from epoch_gap.profiler.comparison.gap import Gap
from epoch_gap.profiler.comparison.gate import GateDecision
from epoch_gap.profiler.comparison.qualification import Rate, measure_rates
from epoch_gap.profiler.storage.qualification_store import Qualification
from epoch_gap.reports import formats
from epoch_gap.reports.sentences.spread import describe_basis


def name_decision(decision: GateDecision) -> str:
    """The decision in a word or two."""
    return {GateDecision.FAILED: "failed", GateDecision.UNKNOWN: "no decision"}.get(decision, "passed")


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


def describe_qualification(qualification: Qualification | None, allowed: float, floor: float | None) -> str:
    """How often the gate is right for this workload on this machine, with this allowance and noise floor (shares)."""
    if qualification is None:
        return (
            "How often the gate is right for this workload on this machine is not known; "
            f"`{command_name()} qualify` measures it."
        )
    rates = measure_rates(qualification, allowed, floor)
    alarms = [
        f"{_plural(rate.failed, 'false alarm')} in {_plural(rate.trials, 'no-op comparison')} ({_within(rate)})"
        for rate in rates
        if not rate.slowdown
    ]
    found = [
        f"{_percent(rate.slowdown)} in {rate.failed} of {rate.trials} ({_within(rate)})"
        for rate in rates
        if rate.slowdown
    ]
    parts = [f"gave {_list(alarms)}"] * bool(alarms) + [f"found a slowdown of {_list(found)}"] * bool(found)
    scope = f"{_plural(qualification.rounds, 'round')} each, {qualification.day}"
    return f"On this machine the gate, which allows {_percent(allowed)}, {' and '.join(parts)}; {scope}."


def _within(rate: Rate) -> str:
    i = rate.share
    return f"95 % {formats.within_percent(i.low, i.high)}"


def _list(parts: Sequence[str]) -> str:
    return ", ".join(parts)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"
