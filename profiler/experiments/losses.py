"""Whether an intervention leaves the training as it was: the losses of two runs at equal steps."""

import math
from dataclasses import dataclass

import numpy as np

from epoch_gap.profiler.experiments.arms import levels_of
from epoch_gap.profiler.storage.run import Run


@dataclass(frozen=True)
class LossCheck:
    """The losses with an intervention beside those without it."""

    steps: int
    """that were compared"""
    difference: float
    """the largest relative one"""
    allowed: float

    @property
    def is_kept(self) -> bool:
        """Whether the losses are what the experiment promises."""
        return self.difference <= self.allowed


def check_losses(plain: Run, changed: Run, allowed: float | None) -> LossCheck | None:
    """Compare the losses of `changed` with those of `plain`, which trained on the same images without it.

    With `allowed` 0, every step is compared; with more, the first step that had the intervention on, since rounding
    errors grow after it. None if anything is allowed, or if the losses were not read.
    """
    if allowed is None:
        return None
    steps = min(len(plain.train), len(changed.train))
    a, b = plain.train.loss[:steps], changed.train.loss[:steps]
    known = np.flatnonzero(np.isfinite(a) & np.isfinite(b))
    if allowed > 0:
        known = known[known == _first_on(changed)]
    if not len(known):
        return None
    scale = np.maximum(np.abs(a[known]), np.finfo(np.float64).tiny)
    largest = float((np.abs(b[known] - a[known]) / scale).max())
    return LossCheck(len(known), largest if math.isfinite(largest) else math.inf, allowed)


def _first_on(run: Run) -> int:
    """The first training step with an intervention on."""
    if run.config.alternate is None:
        return 0
    on = np.flatnonzero(levels_of(run.config.alternate, run.train.index))
    return int(on[0]) if len(on) else -1
