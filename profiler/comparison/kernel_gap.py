"""The operating system's part of a gap: a view across the phases, which sum to the gap without it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from epoch_gap.profiler.analysis.kernel_time import KernelTime, PhaseUsage, fill_shares, mean_of_usages
from epoch_gap.profiler.analysis.stats import Estimate
from epoch_gap.profiler.comparison.gap import Gap
from epoch_gap.profiler.comparison.pairing import Values, pool
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.phases import Phase, in_order


@dataclass(frozen=True)
class KernelGap:
    """Seconds per epoch that the slower side spends in the kernel more than the faster one."""

    seconds: Estimate
    by_phase: Mapping[Phase, Estimate] | None
    """they sum to `seconds`; None if the counters of a side have no phase"""


def measure_kernel_gap(gap: Gap) -> KernelGap | None:
    """The kernel's part of a gap, with the interval that the gap's pairing gives; None if a side's is unknown.

    The spread of earlier sessions is pooled with the gap's own, as for the gap's phases.
    """
    sides = kernel_times(gap.slow), kernel_times(gap.fast)
    if not all(sides):
        return None
    sessions = [(kernel_times(slow), kernel_times(fast)) for slow, fast in gap.earlier]
    earlier = [pair for pair in sessions if all(pair)]
    phases = [kernel.epoch_phases for side in sides for kernel in side]
    by_phase = None
    if all(of_run is not None for of_run in phases):
        named = in_order(phase for of_run in phases for phase in of_run or {})
        by_phase = {phase: _difference(gap, sides, earlier, phase) for phase in named}
    return KernelGap(_difference(gap, sides, earlier), by_phase)


def kernel_times(subject: Subject) -> list[KernelTime]:
    """The kernel's time of each of a subject's runs; empty if one of them is unknown.

    Runs without fenced steps have the shares of those with fenced steps.
    """
    known = [analysis.kernel for analysis in subject.analyses if analysis.kernel is not None]
    return fill_shares(known) if len(known) == len(subject.analyses) else []


def mean_kernel_time(subject: Subject) -> Estimate | None:
    """Seconds per epoch, over the subject's runs; None if unknown."""
    kernels = kernel_times(subject)
    return pool([kernel.epoch for kernel in kernels]) if kernels else None


def mean_kernel_seconds(subject: Subject) -> dict[Phase, float]:
    """Seconds per epoch by phase, the mean over the subject's runs; empty if unknown."""
    phases = [kernel.epoch_phases for kernel in kernel_times(subject)]
    if not phases or any(of_run is None for of_run in phases):
        return {}
    named = dict.fromkeys(phase for of_run in phases for phase in of_run or {})
    parts = {phase: [of_run[phase].value for of_run in phases if of_run and phase in of_run] for phase in named}
    return {phase: sum(values) / len(phases) for phase, values in parts.items()}


def mean_usage_of_steps(subject: Subject) -> PhaseUsage | None:
    """The resource usage of ordinary steps, the mean over the subject's runs; None if a run's is unknown."""
    kernels = kernel_times(subject)
    return mean_of_usages([kernel.steps for kernel in kernels]) if kernels else None


def mean_usage(subject: Subject) -> dict[Phase, PhaseUsage]:
    """The resource usage of each phase, the mean over the runs whose counters have a phase; empty without one."""
    by_run = [kernel.by_phase for kernel in kernel_times(subject) if kernel.by_phase]
    named = in_order(phase for of_run in by_run for phase in of_run)
    shared = [phase for phase in named if all(phase in of_run for of_run in by_run)]
    return {phase: mean_of_usages([of_run[phase] for of_run in by_run]) for phase in shared}


Sides = tuple[list[KernelTime], list[KernelTime]]
"""the kernel's time of each process of the slow side, and of the fast side"""


def _difference(gap: Gap, sides: Sides, earlier: Sequence[Sides], phase: Phase | None = None) -> Estimate:
    """Of a phase, or of the whole epoch."""
    slow, fast = _parts(sides, phase)
    return gap.pairing.difference(slow, fast, [_parts(pair, phase) for pair in earlier])


def _parts(sides: Sides, phase: Phase | None) -> tuple[Values, Values]:
    slow, fast = ([_part(kernel, phase) for kernel in side] for side in sides)
    return slow, fast


def _part(kernel: KernelTime, phase: Phase | None) -> Estimate:
    return kernel.epoch if phase is None else (kernel.epoch_phases or {}).get(phase) or Estimate(0.0)
