"""How good the predictions were: measured against predicted, over all tested claims."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from epoch_gap.profiler.experiments.verdict import Claim


@dataclass(frozen=True)
class Score:
    """Predictions against measurements, in seconds per epoch."""

    tests: int
    slope: float | None
    """of measured on predicted, through the origin, by least squares; None if all predictions are 0"""
    error: float
    """mean distance of measured from predicted"""
    covered: int
    """tests whose 95 % interval of measured - predicted contains 0"""
    with_interval: int
    """tests for which that interval is known"""


def score(claims: Sequence[Claim]) -> Score | None:
    """The score of tests whose prediction is not a bound; None without any."""
    points = [claim for claim in claims if not claim.predicted.is_bound]
    if not points:
        return None
    predicted = [claim.predicted.whole.value for claim in points]
    measured = [claim.measured.epoch.value for claim in points]
    square = math.fsum(p * p for p in predicted)
    errors = [claim.error(claim.predicted.whole.value) for claim in points]
    known = [error.interval() for error in errors if error.dof > 0]
    return Score(
        tests=len(points),
        slope=math.fsum(p * m for p, m in zip(predicted, measured, strict=True)) / square if square else None,
        error=math.fsum(abs(error.value) for error in errors) / len(errors),
        covered=sum(not interval.excludes(0) for interval in known),
        with_interval=len(known),
    )
