"""The start of a run in words: how it began, why, and what it adds to a first epoch."""

from epoch_gap.profiler.analysis.run_analysis import WarmUp
from epoch_gap.profiler.analysis.start_cause import Cause, StartCause
from epoch_gap.profiler.comparison.pairing import pool
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.reports import formats


def describe_start(warm_up: WarmUp) -> str:
    """The kind of start, and the reason of a warm-up."""
    if warm_up.cause is None:
        return str(warm_up.kind)
    return f"{warm_up.kind}, {warm_up.steps} steps: {_describe_cause(warm_up.cause)}"


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
