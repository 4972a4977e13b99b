"""The operating system's share in words: of each side, of the gap, and what keeping memory would be worth."""

from collections.abc import Sequence

from epoch_gap.profiler.analysis.kernel_time import PhaseUsage
from epoch_gap.profiler.comparison.gap import Gap
from epoch_gap.profiler.comparison.kernel_gap import (
    KernelGap,
    kernel_times,
    mean_kernel_seconds,
    mean_kernel_time,
    mean_usage,
    mean_usage_of_steps,
)
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.reports import formats

LIMIT = 0.05
"""A larger share of the epoch is worth a caution."""
NAMED = 0.2
"""A phase with at least this share of the kernel's time is named."""


def describe_operating_system(subject: Subject) -> str | None:
    """The kernel's part of a step, page faults, and the cores busy in the longest phase; None if unknown."""
    kernels, steps = kernel_times(subject), mean_usage_of_steps(subject)
    if steps is None:
        return None
    whole = _mean([a.asrun.step.value for a in subject.analyses])
    seconds = _mean([k.step.value for k in kernels])
    of_step = (
        f"{formats.seconds(seconds)} of {formats.seconds(whole)} per step "
        f"({formats.percent(steps.cpu_share)} of the CPU time)"
    )
    faults = f"{formats.count(steps.faults)} page faults/s"
    return f"{subject.title}: operating system {of_step}, {faults}{_mostly(subject)}{_cores(subject, steps)}"


def _mostly(subject: Subject) -> str:
    by_phase = mean_kernel_seconds(subject)
    whole = sum(by_phase.values())
    largest = sorted(by_phase.items(), key=lambda item: -item[1])
    named = [str(phase) for phase, seconds in largest if whole and seconds >= NAMED * whole]
    return f", mostly in {' and '.join(named)}" if named else ""


def _cores(subject: Subject, steps: PhaseUsage) -> str:
    """Of the phase that takes the longest, or of the whole step where the counters have no phase."""
    usable = subject.manifest.environment.machine.cores_usable
    of = f" of {usable}" if isinstance(usable, int) else ""
    usages = mean_usage(subject)
    longest = max(usages, key=lambda phase: subject.analyses[0].asrun.phases[phase].value, default=None)
    busy = (usages[longest] if longest else steps).cores_busy
    return f"; {longest or 'a step'} uses {busy:.1f}{of} cores"


def caution_operating_system(subject: Subject) -> str | None:
    """What to do if the kernel takes more than `LIMIT` of the epoch."""
    seconds, steps = mean_kernel_time(subject), mean_usage_of_steps(subject)
    if seconds is None or steps is None:
        return None
    share = seconds.value / subject.epoch.total.value
    if share <= LIMIT:
        return None
    faults = formats.count(steps.faults)
    remedy = (
        "its memory is kept already, so look at huge pages and at swapping"
        if subject.manifest.keeps_memory
        else "run both sides with ALLOCATOR=keep to see what handing out memory costs"
    )
    of = f"{formats.percent(share)} of the {subject.size.whole}"
    return f"the operating system takes {of} ({faults} page faults/s): {remedy}."


def describe_kernel_gap(gap: Gap, kernel: KernelGap | None) -> str | None:
    """The kernel's part of the gap with its interval, and the phases that it is in; None if unknown."""
    if kernel is None:
        return None
    share = gap.share(kernel.seconds.value)
    of = "" if share is None else f", {formats.percent(share)} of the gap"
    return f"of which operating system: {formats.interval(kernel.seconds.interval())}{of}{_phases_of(kernel)}"


def _phases_of(kernel: KernelGap) -> str:
    parts = sorted((kernel.by_phase or {}).items(), key=lambda item: -abs(item[1].value))
    least = 0.05 * abs(kernel.seconds.value)
    named = [f"{phase} {formats.seconds(part.value)}" for phase, part in parts if abs(part.value) > least]
    return f" ({', '.join(named)})" if named else ""


def predict_kept_memory(subjects: Sequence[Subject]) -> str | None:
    """What ALLOCATOR=keep would be worth, as a prediction; None if it is on, or nothing is known."""
    times = [(subject, mean_kernel_time(subject)) for subject in subjects if not subject.manifest.keeps_memory]
    known = [(subject, seconds.value) for subject, seconds in times if seconds is not None]
    if not known:
        return None
    saved = " and ".join(
        f"{formats.seconds(seconds)} of {subject.title}'s {subject.size.whole} "
        f"({formats.percent(seconds / subject.epoch.total.value)})"
        for subject, seconds in known
    )
    return f"ALLOCATOR=keep would save about {saved}: the operating system's time. Only a run shows it."


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
