"""Warm-up detection: the start of the steady part of a series of step times, if there is one."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.stats import Estimate, Series, difference, inflation, mean, t_quantile, trend

LATEST = 0.4
"""A series that is not steady from this share of its steps on has no steady state."""
SIGNIFICANCE = 0.01
LEAST_CHANGE = 0.01
"""share of the mean; windows that differ by less count as equal"""
LEAST_STEPS = 6
"""In shorter series, only the first step counts as warm-up."""
LEAST_AFTER = 5
"""steps that must follow a warm-up that ends after `LATEST`"""
FALL = 1.5
"""The counters explain a warm-up if they were at least this many times as high during it as after it."""
FAULTS_THAT_MATTER = 1000
"""page faults per second; fewer take less than a thousandth of the time"""
SETTLED = 1.25
"""Page faults have settled while they are below this many times their last level."""
WINSOR = 5.0
"""Values are clipped at this many robust standard deviations, since a single outlier is not a change of level."""


class StartKind(StrEnum):
    """The start of a run (after Barrett et al. 2017)."""

    FLAT = "flat"
    WARM_UP = "warm-up"
    SLOWDOWN = "slowdown"
    NO_STEADY_STATE = "no steady state"


@dataclass(frozen=True)
class Start:
    """The kind of start, and the number of values before the steady part (at least one if there are two)."""

    kind: StartKind
    steps: int


def detect_start(series: Series) -> Start:
    """Detect the steady part of a series of n values in time order.

    The start is a change point within the first `LATEST` n values: the largest standardised difference between the
    mean before and the mean after, significant at `SIGNIFICANCE` over all candidates (Bonferroni) and at least
    `LEAST_CHANGE` of the mean. The search repeats on the remainder until nothing is significant. The noise is
    estimated from the last 1 - `LATEST` of the series, autocorrelation included, with winsorised values. The
    remainder is steady if its two halves do not differ and it has no trend.
    """
    x = np.asarray(series, np.float64)
    if len(x) < LEAST_STEPS:
        return Start(StartKind.FLAT, min(1, len(x) - 1))
    latest = int(len(x) * LATEST)
    clipped = _winsorise(x, x[latest:])
    start = _last_change(clipped, latest)
    remainder = x[max(1, start) :]
    if start >= latest or _is_moving(remainder):
        return Start(StartKind.NO_STEADY_STATE, max(1, min(start, latest)))
    if start == 0:
        return Start(StartKind.WARM_UP if x[0] > clipped[0] else StartKind.FLAT, 1)
    is_slower = np.median(x[:start]) > np.median(remainder)
    return Start(StartKind.WARM_UP if is_slower else StartKind.SLOWDOWN, start)


def detect_late_start(series: Series, faults: Series) -> Start | None:
    """Detect a warm-up that the page faults explain and that may end after `LATEST` of the n steps.

    `series` has the step times, `faults` the page faults of the same steps. The warm-up ends where the faults, as a
    median of five steps, settle at their last level. The remainder must have `LEAST_AFTER` steps and be steady as in
    `detect_start`. None if the faults do not fall by `FALL`, or the steps not clearly with them. The first step,
    which touches all memory for the first time, is not considered.
    """
    x, counts = np.asarray(series, np.float64), np.asarray(faults, np.float64)
    if len(x) < LEAST_STEPS + LEAST_AFTER:
        return None
    level = float(np.median(counts[-LEAST_AFTER:]))
    above = np.flatnonzero(_median_of_five(counts[1:]) > SETTLED * level)
    start = int(above[-1]) + 2 if len(above) else 0
    if start < 3 or len(x) - start < LEAST_AFTER or counts[1:start].mean() < FALL * max(level, 1.0):
        return None
    later = _winsorise(x[start:], x[start:])
    return Start(StartKind.WARM_UP, start) if _is_slower(x[1:start], later) and not _is_moving(later) else None


def _is_slower(early: NDArray[np.float64], steady: NDArray[np.float64]) -> bool:
    """Whether `early`, which may decline, is slower by `LEAST_CHANGE` and more than the noise of `steady`."""
    change, noise = float(early.mean() - steady.mean()), mean(steady)
    scale = (noise.variance * (1 + len(steady) / len(early))) ** 0.5
    critical = t_quantile(1 - SIGNIFICANCE / 2, max(1.0, noise.dof))
    return bool(change > max(LEAST_CHANGE * float(steady.mean()), critical * scale))


def _median_of_five(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.median(np.lib.stride_tricks.sliding_window_view(np.pad(x, 2, mode="edge"), 5), axis=1)


def _last_change(x: NDArray[np.float64], latest: int) -> int:
    """The last change point of `x` before `latest`; 0 without one."""
    reference = x[latest:]
    wider = inflation(reference)
    noise = float(reference.std(ddof=1)) * wider**0.5
    critical = t_quantile(1 - SIGNIFICANCE / 2 / latest, max(1.0, len(reference) / wider - 1))
    least = LEAST_CHANGE * abs(float(reference.mean()))
    start = 0
    while start < latest:
        n = len(x) - start
        d = np.arange(1, latest - start + 1)
        sums = np.cumsum(x[start:])
        change = np.abs(sums[d - 1] / d - (sums[-1] - sums[d - 1]) / (n - d))
        scale = noise * np.sqrt(1 / d + 1 / (n - d))
        is_clear = (change > critical * scale) & (change > least)
        if not is_clear.any():
            break
        start += int(d[np.argmax(np.where(is_clear, change / np.maximum(scale, least / 1000), 0))])
    return start


def _winsorise(x: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Clip `x` at `WINSOR` robust standard deviations, or 10 `LEAST_CHANGE`, around the median of `reference`."""
    middle = float(np.median(reference))
    reach = max(WINSOR * 1.4826 * float(np.median(np.abs(reference - middle))), 10 * LEAST_CHANGE * abs(middle))
    return np.clip(x, middle - reach, middle + reach)


def _is_moving(x: NDArray[np.float64]) -> bool:
    """Whether the means of the two halves differ, or a straight line fitted to all values has a slope."""
    half = len(x) // 2
    if not x.any():
        return False  # a clock that stands still
    change = difference(mean(x[half:]), mean(x[:half])).scaled(1 / float(x.mean()))
    slope = trend(x, np.arange(len(x)))
    return _is_significant(change, LEAST_CHANGE) or _is_significant(slope, 2 * LEAST_CHANGE)


def _is_significant(change: Estimate, least: float) -> bool:
    if abs(change.value) <= least or change.dof <= 0:
        return False
    return bool(abs(change.value) > t_quantile(1 - SIGNIFICANCE / 2, change.dof) * change.variance**0.5)
