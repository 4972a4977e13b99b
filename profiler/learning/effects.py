"""Effects in the cross: a 2 x 2 factorial design in blocks, one block per seed.

Trainings with the same seed see the same images in the same order, so what a seed does to all of them is taken out as
its block's. The rest that neither the seed nor the two factors explain gives the variance (Box, Hunter and Hunter
2005, Statistics for Experimenters, chapters 4 and 5).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.stats import Estimate

Factors = tuple[bool, bool]
"""whether the schedule, and whether the initial weights, are the other side's"""
CELLS: tuple[Factors, ...] = ((False, False), (False, True), (True, False), (True, True))


@dataclass(frozen=True)
class CrossEffects:
    """What the fast side's own schedule and own initial weights add, compared with the other side's."""

    schedule: Estimate
    """own - other, the mean over both initialisations and all seeds"""
    initialisation: Estimate
    """own - other, the mean over both schedules and all seeds"""
    interaction: Estimate
    """by how much the effect of the schedule is larger with the own initial weights than with the other side's"""
    error: Estimate
    """of one training: value 0, with the variance that seed and factors do not explain"""


def measure_effects(values: Mapping[int, Mapping[Factors, float]]) -> CrossEffects | None:
    """The effects from an outcome by seed and factors. A seed that lacks a cell is left out; None without any left.

    With one seed the variance is unknown (degrees of freedom 0).
    """
    blocks = [[cells[factors] for factors in CELLS] for cells in values.values() if all(f in cells for f in CELLS)]
    if not blocks:
        return None
    y = np.array(blocks, np.float64)
    variance, dof = _residual(y)
    n = len(y)
    own, other_weights, other_schedule, other = y.mean(axis=0)

    def estimate(value: float, squares: float) -> Estimate:
        return Estimate(float(value), squares * variance / n, dof)

    return CrossEffects(
        schedule=estimate((own + other_weights - other_schedule - other) / 2, 1),
        initialisation=estimate((own + other_schedule - other_weights - other) / 2, 1),
        interaction=estimate(own - other_weights - other_schedule + other, 4),
        error=Estimate(0.0, variance, dof),
    )


def _residual(y: NDArray[np.float64]) -> tuple[float, int]:
    """The variance of one value about its seed's and its cell's mean, and its degrees of freedom, from (seeds, 4)."""
    rest = y - y.mean(axis=1, keepdims=True) - y.mean(axis=0) + y.mean()
    dof = (y.shape[0] - 1) * (y.shape[1] - 1)
    return (float((rest**2).sum() / dof) if dof else 0.0), dof
