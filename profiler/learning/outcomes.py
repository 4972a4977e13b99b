"""What a training came to: numbers of one run that a schedule or an initialisation could change."""

import math
from enum import StrEnum

import numpy as np

from epoch_gap.profiler.storage.run import Run

LAST_SHARE = 0.25
"""of the epochs: the accuracy is the mean over these last ones, because that of a single epoch jumps"""


class Outcome(StrEnum):
    """The numbers; the values are stored and shown."""

    ACCURACY = "test accuracy"
    FIRST_LOSS = "first loss"
    """of the first batch, before any update: it depends on the initial weights and the images alone"""
    PEAK_LOSS = "largest loss of the first epoch"


def measure_outcome(run: Run, outcome: Outcome) -> float | None:
    """The number of a run; None if it was not measured, or is not finite."""
    if outcome is Outcome.ACCURACY:
        return _accuracy(run)
    losses = run.train.loss[run.train.epoch == 0]
    if not len(losses):
        return None
    value = float(losses[0] if outcome is Outcome.FIRST_LOSS else np.max(losses))
    return value if math.isfinite(value) else None


def _accuracy(run: Run) -> float | None:
    """The mean test accuracy of the last quarter of the epochs, at least one; None if one of them has none."""
    known = [epoch.test_acc for epoch in run.epochs]
    last = known[-max(1, round(LAST_SHARE * len(known))) :]
    values = [value for value in last if value is not None]
    return sum(values) / len(values) if values and len(values) == len(last) else None
