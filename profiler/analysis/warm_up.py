"""Where a series of step times becomes steady, and whether it does."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.stats import Estimate, Series, difference, inflation, mean, t_quantile, trend

LATEST = 0.4
"""A series that is not steady from this share of its steps on has no steady state."""
ALPHA = 0.01
LEAST_CHANGE = 0.01
"""of the mean: two windows that differ by less are alike"""
LEAST_STEPS = 6
"""fewer tell nothing: then the first step is the warm-up"""
WINSOR = 5.0
"""robust standard deviations beyond which a value counts for no more: one outlier is no change of level"""


class Kind(StrEnum):
    """How a run began (after Barrett et al. 2017)."""

    FLAT = "flat"
    WARM_UP = "warm-up"
    SLOWDOWN = "slowdown"
    NONE = "no steady state"


@dataclass(frozen=True)
class Steady:
    """`start`: how many values at the beginning are kept apart; the first always is, where there are two."""

    kind: Kind
    start: int


def detect(series: Series) -> Steady:
    """Find the steady part of a series of n values in time.

    A beginning of d values, d up to `LATEST` n, is told from what follows it by the d of the largest standardised
    difference of means, at `ALPHA` over all d (Bonferroni); again on what remains, until nothing is found. The noise
    is that of the last 1 - `LATEST` of the series, its autocorrelation included; values are winsorised for it. What
    remains is steady if its two halves, as following windows, do not differ, and it follows no straight line.
    """
    x = np.asarray(series, np.float64)
    if len(x) < LEAST_STEPS:
        return Steady(Kind.FLAT, min(1, len(x) - 1))
    latest = int(len(x) * LATEST)
    cut = _winsorised(x, x[latest:])
    start = _beginning(cut, latest)
    rest = x[max(1, start) :]
    if start >= latest or _moves(rest):
        return Steady(Kind.NONE, max(1, min(start, latest)))
    if start == 0:
        return Steady(Kind.WARM_UP if x[0] > cut[0] else Kind.FLAT, 1)
    return Steady(Kind.WARM_UP if np.median(x[:start]) > np.median(rest) else Kind.SLOWDOWN, start)


def _beginning(x: NDArray[np.float64], latest: int) -> int:
    """How many values at the start of `x` differ in level from what follows."""
    reference = x[latest:]
    wider = inflation(reference)
    noise = float(reference.std(ddof=1)) * wider**0.5
    critical = t_quantile(1 - ALPHA / 2 / latest, max(1.0, len(reference) / wider - 1))
    least = LEAST_CHANGE * abs(float(reference.mean()))
    start = 0
    while start < latest:
        n = len(x) - start
        d = np.arange(1, latest - start + 1)
        sums = np.cumsum(x[start:])
        change = np.abs(sums[d - 1] / d - (sums[-1] - sums[d - 1]) / (n - d))
        scale = noise * np.sqrt(1 / d + 1 / (n - d))
        clear = (change > critical * scale) & (change > least)
        if not clear.any():
            break
        start += int(d[np.argmax(np.where(clear, change / np.maximum(scale, least / 1000), 0))])
    return start


def _winsorised(x: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """`x` cut at `WINSOR` robust standard deviations, or 10 `LEAST_CHANGE`, about the median of `reference`."""
    middle = float(np.median(reference))
    reach = max(WINSOR * 1.4826 * float(np.median(np.abs(reference - middle))), 10 * LEAST_CHANGE * abs(middle))
    return np.clip(x, middle - reach, middle + reach)


def _moves(x: NDArray[np.float64]) -> bool:
    """Whether two following windows have different means, or a line through all has a slope."""
    half = len(x) // 2
    change = difference(mean(x[half:]), mean(x[:half])).scaled(1 / float(x.mean()))
    slope = trend(x, np.arange(len(x)))
    return _is_clear(change, LEAST_CHANGE) or _is_clear(slope, 2 * LEAST_CHANGE)


def _is_clear(change: Estimate, least: float) -> bool:
    if abs(change.value) <= least or change.dof <= 0:
        return False
    return bool(abs(change.value) > t_quantile(1 - ALPHA / 2, change.dof) * change.variance**0.5)
