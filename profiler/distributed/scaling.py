"""Scaling: what a training gains with more ranks, and what the lost efficiency is made of.

n ranks that lost nothing would take 1 / n of the time of a process that trains alone. Efficiency is that time over
the measured one. The loss, measured minus ideal, is a sum over phases: those in which ranks communicate, and those
that became slower, as by cores or memory that the ranks share, or by smaller batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from epoch_gap.profiler.analysis.epoch import EpochEstimate
from epoch_gap.profiler.analysis.stats import Estimate, Interval, difference, log_ratio, mean_of_processes, ratio
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import Phase, in_order


class ScalingMode(StrEnum):
    """What stays the same with more ranks."""

    STRONG = "strong"
    """images per step of all ranks together"""
    WEAK = "weak"
    """images per step of each rank"""


@dataclass(frozen=True)
class ScalingPoint:
    """Epochs of trainings with equally many ranks."""

    ranks: int
    is_distributed: bool
    """False: one process alone, without the framework's distributed training"""
    threads: str
    """of each process, as recorded"""
    batch_size: int
    """images per step of each rank"""
    epoch: EpochEstimate
    """of one rank, which has its share of the images"""

    @property
    def title(self) -> str:
        """For display."""
        return f"{self.ranks} rank{'s' * (self.ranks > 1)}" if self.is_distributed else "alone"


@dataclass(frozen=True)
class ScaledPoint:
    """A point against the baseline."""

    point: ScalingPoint
    speedup: Interval
    """how much faster an epoch is than the baseline's"""
    efficiency: Interval
    """speed-up per rank"""
    ideal: float
    """seconds of an epoch that lost nothing"""
    lost: Estimate
    """seconds of an epoch beyond it"""
    lost_by_phase: dict[Phase, Estimate]
    """the same by phase"""


def mean_epoch_of_ranks(epochs: Sequence[EpochEstimate]) -> EpochEstimate:
    """The mean over ranks: they wait for each other, so their totals are one value, and their spread is no error."""
    phases: dict[Phase, Estimate | None] = {}
    for phase in in_order(phase for epoch in epochs for phase in epoch.phases):
        parts = [part for epoch in epochs if (part := epoch.phases.get(phase)) is not None]
        phases[phase] = _average(parts, len(epochs)) if parts else None
    return EpochEstimate(phases, _average([epoch.total for epoch in epochs], len(epochs)), False)


def _average(parts: Sequence[Estimate], count: int) -> Estimate:
    """Sum over count of values that vary together: the standard errors add up."""
    deviation = sum(part.variance**0.5 for part in parts) / count
    return Estimate(sum(part.value for part in parts) / count, deviation**2, min(part.dof for part in parts))


def measure_scaling(points: Sequence[ScalingPoint]) -> list[ScaledPoint]:
    """Every point against the first, which must be one process. Raises UserError unless it is."""
    if not points or points[0].ranks != 1:
        raise UserError("scaling needs a training of one process to compare with")
    base = points[0].epoch
    return [_scale(point, base) for point in points]


def _scale(point: ScalingPoint, base: EpochEstimate) -> ScaledPoint:
    ranks, epoch = point.ranks, point.epoch
    log = log_ratio(base.total, epoch.total)
    speedup = ratio(log) if epoch is not base else Interval(1.0, 1.0, 1.0)
    low, high = (None if bound is None else bound / ranks for bound in (speedup.low, speedup.high))
    named = in_order([*base.phases, *epoch.phases])
    lost = {}
    for phase in named:
        own, alone = epoch.phases.get(phase), base.phases.get(phase)
        if own is not None or alone is not None:
            lost[phase] = _loss(own or Estimate(0.0), alone or Estimate(0.0), ranks)
    return ScaledPoint(
        point=point,
        speedup=speedup,
        efficiency=Interval(speedup.value / ranks, low, high),
        ideal=base.total.value / ranks,
        lost=_loss(epoch.total, base.total, ranks) if epoch is not base else Estimate(0.0),
        lost_by_phase=lost,
    )


def _loss(own: Estimate, alone: Estimate, ranks: int) -> Estimate:
    return difference(own, alone.scaled(1 / ranks))


def mean_of_repeats(epochs: Sequence[EpochEstimate]) -> EpochEstimate:
    """The mean over trainings of one configuration, with the spread between them; one training keeps its own."""
    if len(epochs) == 1:
        return epochs[0]
    phases: dict[Phase, Estimate | None] = {}
    for phase in in_order(phase for epoch in epochs for phase in epoch.phases):
        parts = [part.value if (part := epoch.phases.get(phase)) is not None else 0.0 for epoch in epochs]
        known = any(epoch.phases.get(phase) is not None for epoch in epochs)
        phases[phase] = mean_of_processes(parts) if known else None
    whole = mean_of_processes(epoch.total.value for epoch in epochs)
    return EpochEstimate(phases, whole, False)
