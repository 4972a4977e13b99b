"""Points of a scaling measurement with known epochs."""

from epoch_gap.profiler.analysis.epoch import EpochEstimate
from epoch_gap.profiler.analysis.stats import Estimate, total
from epoch_gap.profiler.distributed.scaling import ScalingPoint
from epoch_gap.profiler.phases import Phase


def epoch(**seconds: float) -> EpochEstimate:
    phases: dict[Phase, Estimate | None] = {Phase(n): Estimate(s, (0.01 * s) ** 2, 20) for n, s in seconds.items()}
    return EpochEstimate(phases, total(p for p in phases.values() if p is not None), False)


def point(ranks: int, of: EpochEstimate, is_distributed: bool = True) -> ScalingPoint:
    return ScalingPoint(ranks, is_distributed, "1", 128 // ranks, of)


ALONE = point(1, epoch(forward=40.0, backward=60.0), is_distributed=False)
TWO = point(2, epoch(forward=22.0, backward=30.0, wait=8.0))
