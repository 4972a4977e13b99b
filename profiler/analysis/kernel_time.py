"""The operating system's share of an epoch: the time that the kernel works on behalf of the program.

Handing out memory, above all: at a page fault the kernel finds a page, zeroes it and maps it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.epoch import NS
from epoch_gap.profiler.analysis.evaluation import estimate_evaluation
from epoch_gap.profiler.analysis.stats import Estimate, mean, total
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.run import Run, StepTable, UsageTable


@dataclass(frozen=True)
class PhaseUsage:
    """The resource usage of a phase, or of whole steps, over their wall time."""

    kernel_share: float
    """share of the wall time that is the kernel's"""
    cpu_share: float
    """share of the CPU time that is the kernel's"""
    cores_busy: float
    """CPU seconds per second"""
    faults: float
    """page faults per second"""


@dataclass(frozen=True)
class KernelTime:
    """Wall seconds that the kernel's work takes, of one run.

    System CPU seconds over the mean number of cores busy, at least one: two cores that both spend a second in the
    kernel at the same time take one second. It is an attribution: without that work the program may gain more (caches
    that stay warm) or less (other waits).
    """

    step: Estimate
    """seconds per steady as-run step"""
    steps: PhaseUsage
    """of all steady as-run steps"""
    by_phase: Mapping[Phase, PhaseUsage]
    """of steady fenced steps; empty without them"""
    training: Estimate
    """seconds per full epoch in training"""
    evaluation: Estimate | None
    """seconds per full epoch in evaluations; None without one"""
    shares: Mapping[Phase, float] | None
    """each phase's share of `training`; None without fenced steps, whose counters have a phase"""

    @property
    def epoch(self) -> Estimate:
        """Seconds per full epoch."""
        return total(part for part in (self.training, self.evaluation) if part is not None)

    @property
    def epoch_phases(self) -> dict[Phase, Estimate] | None:
        """Seconds per full epoch by phase; they sum to `epoch`. None if the shares are unknown."""
        if self.shares is None:
            return None
        evaluation = {} if self.evaluation is None else {Phase.EVALUATE: self.evaluation}
        return {phase: self.training.scaled(share) for phase, share in self.shares.items()} | evaluation


def measure_kernel_time(run: Run, asrun: StepTable, fenced: StepTable | None) -> KernelTime | None:
    """The kernel's time of a run from its steady as-run steps, split by its steady fenced ones.

    The split of fenced steps is scaled to the as-run steps' total, whose marks read only the clock. None if the run
    has no resource usage.
    """
    if asrun.usage is None:
        return None
    step = mean(_kernel_seconds(asrun.usage, asrun.wall_ns))
    full = run.manifest.full_epoch
    return KernelTime(
        step=step,
        steps=_usage(asrun.usage, asrun.wall_ns),
        by_phase={} if fenced is None else _usage_by_phase(fenced),
        training=step.scaled(full.train_images / run.batch_size),
        evaluation=_evaluation(run),
        shares=(_shares(fenced) or None) if fenced is not None else None,
    )


def _kernel_seconds(usage: UsageTable, wall_ns: NDArray[np.int64]) -> NDArray[np.float64]:
    cores = np.maximum(1.0, usage.cpu_ns / np.maximum(wall_ns, 1))
    return np.asarray(usage.system_ns / cores * NS, np.float64)


def _evaluation(run: Run) -> Estimate | None:
    """Seconds per epoch in full evaluations; None without one whose usage is known."""
    if run.evaluate.usage is None:
        return None
    return estimate_evaluation(run, _kernel_seconds_of, is_finite=False)


def _kernel_seconds_of(steps: StepTable) -> NDArray[np.float64]:
    assert steps.usage is not None
    return _kernel_seconds(steps.usage, steps.wall_ns)


def _shares(fenced: StepTable) -> dict[Phase, float]:
    """Each phase's share of the kernel's time in fenced steps; equal shares of nothing if there was none."""
    seconds = {
        phase: float(_kernel_seconds(usage, fenced.phase_ns[phase]).sum())
        for phase, usage in fenced.phase_usage.items()
        if phase in fenced.phase_ns
    }
    whole = sum(seconds.values())
    return {phase: part / whole if whole else 1 / len(seconds) for phase, part in seconds.items()}


def _usage_by_phase(fenced: StepTable) -> dict[Phase, PhaseUsage]:
    return {
        phase: _usage(usage, fenced.phase_ns[phase])
        for phase, usage in fenced.phase_usage.items()
        if phase in fenced.phase_ns and fenced.phase_ns[phase].any()
    }


def fill_shares(kernels: Sequence[KernelTime]) -> list[KernelTime]:
    """The kernel's times of several runs of one program, where runs without shares get the mean of the others'."""
    known = [kernel.shares for kernel in kernels if kernel.shares is not None]
    if not known:
        return list(kernels)
    phases = dict.fromkeys(phase for shares in known for phase in shares)
    shares = {phase: math.fsum(of_run.get(phase, 0.0) for of_run in known) / len(known) for phase in phases}
    return [kernel if kernel.shares is not None else replace(kernel, shares=shares) for kernel in kernels]


def mean_of_usages(usages: Sequence[PhaseUsage]) -> PhaseUsage:
    """The mean over runs, at least one."""
    return PhaseUsage(*(math.fsum(values) / len(usages) for values in zip(*map(astuple, usages), strict=True)))


def _usage(usage: UsageTable, wall_ns: NDArray[np.int64]) -> PhaseUsage:
    wall, cpu = max(1, int(wall_ns.sum())), max(1, int(usage.cpu_ns.sum()))
    return PhaseUsage(
        kernel_share=float(_kernel_seconds(usage, wall_ns).sum()) / (wall * NS),
        cpu_share=int(usage.system_ns.sum()) / cpu,
        cores_busy=int(usage.cpu_ns.sum()) / wall,
        faults=int(usage.minor_faults.sum() + usage.major_faults.sum()) / (wall * NS),
    )
