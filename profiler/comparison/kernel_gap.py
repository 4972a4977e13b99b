"""The operating system's part of a gap: a view across the phases, which sum to the gap without it."""

from collections.abc import Mapping
from dataclasses import dataclass

from epoch_gap.profiler.analysis.kernel_time import KernelTime
from epoch_gap.profiler.analysis.stats import Estimate
from epoch_gap.profiler.comparison.gap import Gap
from epoch_gap.profiler.comparison.pairing import pool
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.phases import Phase


@dataclass(frozen=True)
class KernelGap:
    """Seconds per epoch that the slower side spends in the kernel more than the faster one."""

    seconds: Estimate
    by_phase: Mapping[Phase, Estimate] | None
    """they sum to `seconds`; None if the counters of a side have no phase"""


def measure_kernel_gap(gap: Gap) -> KernelGap | None:
    """The kernel's part of a gap, with the interval that the gap's pairing gives; None if a side's is unknown."""
    slow, fast = kernel_times(gap.slow), kernel_times(gap.fast)
    if not slow or not fast:
        return None
    phases = [kernel.epoch_phases for kernel in (*slow, *fast)]
    by_phase = None
    if all(of_run is not None for of_run in phases):
        named = dict.fromkeys(phase for of_run in phases for phase in of_run or {})
        by_phase = {phase: _difference(gap, slow, fast, phase) for phase in Phase if phase in named}
    return KernelGap(gap.pairing.difference([k.epoch for k in slow], [k.epoch for k in fast]), by_phase)


def kernel_times(subject: Subject) -> list[KernelTime]:
    """The kernel's time of each of a subject's runs; empty if one of them is unknown."""
    known = [analysis.kernel for analysis in subject.analyses if analysis.kernel is not None]
    return known if len(known) == len(subject.analyses) else []


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


def _difference(gap: Gap, slow: list[KernelTime], fast: list[KernelTime], phase: Phase) -> Estimate:
    return gap.pairing.difference([_part(k, phase) for k in slow], [_part(k, phase) for k in fast])


def _part(kernel: KernelTime, phase: Phase) -> Estimate:
    return (kernel.epoch_phases or {}).get(phase) or Estimate(0.0)
