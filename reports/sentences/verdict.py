"""The verdict, the phases behind it, and the origin of its numbers."""

from collections.abc import Sequence

from epoch_gap.profiler.analysis.stats import Estimate, Interval
from epoch_gap.profiler.comparison.gap import EQUAL_WITHIN, Gap, Verdict
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.comparison.timing_modes import charged_phases, is_where_work_was_done, leading_gap
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.noise_floor_store import NoiseFloor
from epoch_gap.reports import formats
from epoch_gap.reports.sentences.spread import describe_basis, describe_ratio
from epoch_gap.reports.sentences.warm_up import describe_first_epoch

TOP = 3


NO_FAIR_PAIR = (
    "They are not compared, because the allocator keeps freed memory on one side only; "
    "run both with ALLOCATOR=keep, or both without."
)


def describe_verdict(subjects: Sequence[Subject], gaps: Sequence[Gap]) -> str:
    """One sentence: the seconds per epoch of each side and their ratio, with its interval."""
    if not gaps:
        alone = " ".join(
            f"{s.title} takes {formats.interval(s.epoch.seconds)} per {s.size.span}, {how_known(s)}{_on_data(s)}."
            for s in subjects
        )
        return alone if len(subjects) == 1 else f"{alone} {NO_FAIR_PAIR}"
    gap = gaps[0]
    slow, fast = formats.seconds(gap.fast_seconds + gap.seconds.value), formats.seconds(gap.fast_seconds)
    scope = f"per {gap.slow.size.span}{_without_evaluate((gap.slow, gap.fast))}"
    sides = f"{gap.slow.title} takes {slow} {scope}{_on_data(gap.slow)}, {gap.fast.title} {fast}"
    ratio = describe_ratio(gap, "times as long")
    known = f"{describe_basis(gap)}; {_how_steps_are_known((gap.slow, gap.fast))}"
    sentences = {
        Verdict.SLOWER: f"{sides}: {ratio} ({known}).",
        Verdict.EQUAL: f"{sides}: equal within {100 * EQUAL_WITHIN:.0f} % ({ratio}, {known}).",
        Verdict.UNDECIDED: f"{sides}: undecided{_below_floor(gap)} ({ratio}, {known}).",
    }
    return sentences[gap.verdict]


def _below_floor(gap: Gap) -> str:
    return f", less than this machine's noise floor of {formats.percent(gap.floor)}" if gap.is_below_floor else ""


def _how_steps_are_known(subjects: Sequence[Subject]) -> str:
    if all(s.epoch.measured for s in subjects):
        return "measured"
    steps = " and ".join(str(s.steady_steps) for s in subjects)
    return f"from {steps} steps of {subjects[0].first.batch_size} {subjects[0].size.unit}"


def how_known(subject: Subject) -> str:
    """`measured` or `estimated`, and any missing part of the epoch."""
    kind = "measured" if subject.epoch.measured else "estimated"
    return f"{kind}{describe_first_epoch(subject)}{_without_evaluate([subject])}"


def _without_evaluate(subjects: Sequence[Subject]) -> str:
    is_missing = any(s.epoch.phases[Phase.EVALUATE] is None and not s.size.is_stream for s in subjects)
    return " without evaluate" if is_missing else ""


def _on_data(subject: Subject) -> str:
    return " on synthetic data" if subject.is_synthetic else ""


def describe_largest_phases(gaps: Sequence[Gap]) -> tuple[str, ...]:
    """The phases with the largest parts of the headline gap, a line each; see `leading_gap`."""
    return tuple(
        f"{phase}: {formats.interval(part.interval())}{_of_the_gap(lead, part.value)}{describe_charge(gap, phase)}"
        for gap in gaps[:1]
        for lead in (leading_gap(gap),)
        for phase, part in largest_phases(lead)
    )


def describe_charge(gap: Gap, phase: Phase) -> str:
    """Where the clock charges the work of `phase`: ` (charged to step)`; empty if it is not another phase."""
    others = charged_phases(gap.slow, phase) if leading_gap(gap) is not gap else []
    return f" (charged to {' and '.join(others)})" if others else ""


def head_largest_phases(gaps: Sequence[Gap]) -> str:
    """The line above `describe_largest_phases`."""
    by = "by phase, as charged"
    for gap in gaps[:1]:
        if leading_gap(gap) is not gap:
            by = "by where the work was done (fenced steps)"
        elif is_where_work_was_done(gap):
            by = "by phase"
    return f"The largest contributions to the gap, {by}:"


def largest_phases(gap: Gap) -> list[tuple[Phase, Estimate]]:
    """The phases with the largest parts of a gap, at most three, largest first."""
    return sorted(gap.by_phase.items(), key=lambda item: -abs(item[1].value))[:TOP]


def _of_the_gap(gap: Gap, seconds: float) -> str:
    share = gap.share(seconds)
    return "" if share is None else f", {formats.percent(share)} of the gap"


def describe_shifted_work(subject: Subject) -> list[str]:
    """The work that was charged to another phase, in words; empty without fenced steps."""
    effect = subject.fence_effect
    if effect is None:
        return []
    cost = describe_fence_cost(effect.perturbation)
    if not effect.shifted_work:
        return [f"{subject.title}: work is done where it is charged; {cost}."]
    shifts = "; ".join(
        f"{shift.done_in} \N{RIGHTWARDS ARROW} {shift.charged_to}: {formats.seconds(shift.seconds)} per step"
        for shift in effect.shifted_work
    )
    return [f"{subject.title}: work done in one phase is charged to another: {shifts}; {cost}."]


def describe_fence_cost(perturbation: Interval) -> str:
    """The effect of fences on the step time."""
    within = formats.within(perturbation.low, perturbation.high, "x")
    return f"a fenced step takes {formats.times(perturbation.value)} times as long as an as-run step ({within})"


def describe_noise_floor(floor: NoiseFloor | None) -> str:
    """The noise floor and its origin."""
    if floor is None:
        return "This machine's noise floor is not known; `make noise` measures it."
    settings = ", ".join([floor.device, *floor.network.settings, *(s.replace("_", " ") for s in floor.switches)])
    return (
        f"This machine's noise floor is \N{PLUS-MINUS SIGN}{formats.percent(floor.share)}: {floor.framework} "
        f"({settings}) against itself, {floor.processes} processes, {floor.day}, ratio "
        f"{formats.times(floor.ratio)}, {floor.verdict}. Smaller effects are not reported as differences."
    )
