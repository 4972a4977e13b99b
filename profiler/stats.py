"""Statistics, pure: values with the variance of their error, and intervals from them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

LEVEL = 0.95
LEAST_INDEPENDENT = 3
"""A series counts for at least this many independent values: a short one cannot tell a trend from autocorrelation."""

Series = NDArray[np.floating[Any]] | NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval; `low` and `high` are None where the spread is unknown."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Estimate:
    """A value, the variance of its error, and the degrees of freedom behind that variance (0: unknown)."""

    value: float
    variance: float = 0.0
    dof: float = math.inf

    def scaled(self, factor: float) -> "Estimate":
        """`factor` times this."""
        return Estimate(self.value * factor, self.variance * factor**2, self.dof)

    def interval(self, least: float = -math.inf) -> Interval:
        """Student's t interval at 95 %, cut at `least` where the value cannot be smaller."""
        if self.dof <= 0:
            return Interval(self.value, None, None)
        half = float(student_t.ppf(0.5 + LEVEL / 2, self.dof)) * math.sqrt(self.variance)
        return Interval(self.value, max(least, self.value - half), self.value + half)


def total(parts: Iterable[Estimate]) -> Estimate:
    """The sum of independent estimates; degrees of freedom by Welch and Satterthwaite.

    A part of unknown spread (dof 0) adds its value and no variance.
    """
    parts = list(parts)
    known = [part for part in parts if part.dof > 0 and part.variance > 0]
    variance = sum(part.variance for part in known)
    value = math.fsum(part.value for part in parts)
    if not known:
        return Estimate(value, 0.0, math.inf if any(part.dof > 0 for part in parts) else 0.0)
    spread = sum(part.variance**2 / part.dof for part in known)
    return Estimate(value, variance, variance**2 / spread if spread else math.inf)


def difference(a: Estimate, b: Estimate) -> Estimate:
    """a - b for independent estimates; of unknown spread where one of them is."""
    whole = total([a, b.scaled(-1)])
    return whole if a.dof > 0 and b.dof > 0 else Estimate(whole.value, 0.0, 0.0)


def log_ratio(a: Estimate, b: Estimate) -> Estimate:
    """ln(a / b) for independent positive estimates, with its first-order variance."""
    logs = [Estimate(math.log(e.value), e.variance / e.value**2, e.dof) for e in (a, b)]
    return difference(*logs)


def ratio(log: Estimate) -> Interval:
    """The interval of a ratio from the estimate of its logarithm."""
    interval = log.interval()
    low = None if interval.low is None else math.exp(interval.low)
    high = None if interval.high is None else math.exp(interval.high)
    return Interval(math.exp(interval.value), low, high)


def mean(series: Series, population: int | None = None) -> Estimate:
    """The mean of a series of n values that follow each other in time, n >= 1.

    The variance of the mean is s^2 / n * (1 + r) / (1 - r), with r the lag-1 autocorrelation, corrected for its
    bias in short series and taken as 0 where it is negative (first-order autoregression; Priestley 1981); a trend
    is not told from it, so the inflation ends where `LEAST_INDEPENDENT` values are left. With `population`, the mean
    of a finite population of that size is meant, and the variance shrinks by 1 - n / population (Cochran 1977).
    """
    n = len(series)
    value = float(np.mean(series))
    if n < 2:
        return Estimate(value, 0.0, 0.0)
    r = autocorrelation(series)
    most = max(1.0, n / LEAST_INDEPENDENT)
    inflation = most if r == 1 else min(most, (1 + r) / (1 - r))
    variance = float(np.var(series, ddof=1)) / n * inflation
    if population is not None:
        variance *= max(0.0, 1 - n / population)
    return Estimate(value, variance, max(1.0, n / inflation - 1))


def autocorrelation(series: Series) -> float:
    """Lag-1 autocorrelation in [0, 1], corrected for its bias of about -(1 + 3 r) / n (Kendall 1954)."""
    x = np.asarray(series, np.float64)
    n, x = len(x), x - x.mean()
    square = float(x @ x)
    if n < 4 or square == 0:
        return 0.0
    r = float(x[:-1] @ x[1:]) / square
    return min(1.0, max(0.0, (n * r + 1) / (n - 3)))


def between(values: Iterable[float]) -> Estimate:
    """The mean of independent values, one per process."""
    x = np.array(list(values))
    if len(x) < 2:
        return Estimate(float(x.mean()), 0.0, 0.0)
    return Estimate(float(x.mean()), float(x.var(ddof=1)) / len(x), len(x) - 1)
