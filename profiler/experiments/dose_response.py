"""Dose-response: how much of a phase is on the critical path, from busy waits of several lengths in it.

The slope of the step's time on the delay is 1 if nothing overlaps with the phase, and less if other work goes on
meanwhile. On an eager device it tests the profiler itself.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from epoch_gap.profiler.analysis.stats import Estimate, mean
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.experiments.level_times import LevelTimes

MULTIPLES = (0, 1, 2, 4)
"""of the smallest delay; each is a quarter of the steps"""
DOSE_SHARE = 0.05
"""of a step: the smallest delay"""


def measure_slope(times: LevelTimes, delays: Sequence[float]) -> Estimate:
    """Seconds of a step per second of delay; `delays` are the levels' seconds, shape (levels,), not all equal.

    Each group of blocks, which has every delay once, gives a slope by least squares; they are averaged, so that slow
    changes of the machine cancel, and the interval contains their autocorrelation. Raises UserError for other levels.
    """
    x = np.asarray(delays, np.float64)
    if times.step.shape[1] != len(x) or np.ptp(x) == 0:
        raise UserError(
            f"{times.step.shape[1]} levels, but delays of {', '.join(f'{delay:g} s' for delay in delays)}"
        )
    x = x - x.mean()
    return replace(mean(times.step @ x / float(x @ x)), third_moment=0.0)
