"""The start of a run in words: how it began, why, and what it adds to a first epoch."""

from epoch_gap.profiler.analysis.run_analysis import WarmUp
from epoch_gap.profiler.analysis.start_cause import Cause, StartCause
from epoch_gap.profiler.comparison.pairing import pool
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.reports import formats


def describe_start(warm_up: WarmUp) -> str:
    """The kind of start, the reason of a warm-up, and the time of a compilation."""
    compilation = f"; {_describe_compilation(warm_up)}" if _took_more(warm_up) else ""
    if warm_up.cause is None:
        return f"{warm_up.kind}{compilation}"
    return f"{warm_up.kind}, {warm_up.steps} steps: {_describe_cause(warm_up.cause)}{compilation}"


def _took_more(warm_up: WarmUp) -> bool:
    return (warm_up.compilation or 0.0) > 0


def _describe_compilation(warm_up: WarmUp) -> str:
    return f"the first step, which compiled, took {formats.seconds(warm_up.compilation)} more than a steady one"


def _describe_cause(found: StartCause) -> str:
    if found.cause is Cause.UNEXPLAINED:
        return "unexplained: neither the page faults and the system time nor the canary show a reason"
    if found.cause is Cause.PAGE_FAULTS:
        return f"page faults per step fall from {formats.count(found.during)} to {formats.count(found.after)}"
    sides = f"from {formats.milliseconds(found.during)} to {formats.milliseconds(found.after)}"
    if found.cause is Cause.SYSTEM_TIME:
        return f"system time per step falls {sides}"
    return f"the machine was slower, the canary falls {sides}"


def describe_first_epoch(subject: Subject) -> str:
    """What a first epoch takes more, if a run's warm-up is long and not part of the epoch; else empty.

    ` once warm, first epoch +15.0 s (13.1 to 16.9 s) in 60 steps`
    """
    starts = [analysis.warm_up for analysis in subject.analyses]
    if subject.epoch.measured or not any(start.is_long for start in starts):
        return ""
    extra = pool([start.first_epoch_extra for start in starts])
    count = max(start.steps for start in starts)
    return f" once warm, first epoch {formats.signed(formats.interval(extra.interval()))} in {count} steps"


def describe_compilation(subject: Subject) -> str | None:
    """What the first step took more because it compiled, the most of all runs; None if none took more.

    `JAX 0.9.1 (cpu): the first step, which compiled, took 12.1 s more than a steady one; the estimated epoch does not
    include it.`
    """
    starts = [analysis.warm_up for analysis in subject.analyses if _took_more(analysis.warm_up)]
    if not starts:
        return None
    most = max(starts, key=lambda start: start.compilation or 0.0)
    epoch = "the measured epoch includes it" if subject.epoch.measured else "the estimated epoch does not include it"
    return f"{subject.title}: {_describe_compilation(most)}; {epoch}."
