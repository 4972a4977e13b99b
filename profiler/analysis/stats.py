"""Statistics: values with the variance of their error, and intervals from them. Pure functions."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
LEAST_INDEPENDENT = 3
"""A series counts as at least this many independent values: in a short one, trend and correlation look alike."""
LEAST_FOR_SKEWNESS = 30
"""independent values; with fewer, the third moment is too uncertain, and an interval that uses it diverges"""
DIRECT_LAGS = 20
"""Lags up to this one are computed one by one, larger ones by Fourier transform."""

Series = NDArray[np.floating[Any]] | NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval; `low` and `high` are None if the spread is unknown."""

    value: float
    low: float | None
    high: float | None

    def excludes(self, value: float) -> bool:
        """Whether `value` is outside the interval; False if the interval is unknown."""
        return self.low is not None and self.high is not None and not self.low <= value <= self.high


@dataclass(frozen=True)
class Estimate:
    """A value, the variance of its error, and the degrees of freedom behind that variance (0: unknown)."""

    value: float
    variance: float = 0.0
    dof: float = math.inf
    third_moment: float = 0.0
    """third central moment of the error; positive if a few large values dominate a mean"""

    def scaled(self, factor: float) -> "Estimate":
        """`factor` times this estimate."""
        return Estimate(self.value * factor, self.variance * factor**2, self.dof, self.third_moment * factor**3)

    def interval(self, least: float = -math.inf) -> Interval:
        """Student's t interval at 95 %, skewed like the error, cut at `least`, the smallest possible value."""
        if self.dof <= 0:
            return Interval(self.value, None, None)
        t, error = t_quantile(0.5 + LEVEL / 2, self.dof), math.sqrt(self.variance)
        skewness = self.third_moment / error**3 if self.variance > 0 else 0.0
        low, high = (self.value - error * _skewed(quantile, skewness) for quantile in (t, -t))
        return Interval(self.value, max(least, low), high)


def _skewed(t: float, skewness: float) -> float:
    """The quantile of a studentised mean with a skewed error, from the quantile `t` of Student's distribution.

    The inverse of the cubic transformation of Hall 1992 (On the removal of skewness by transformation).
    """
    if abs(skewness) < 1e-6:
        return t
    return 3 / skewness * (math.cbrt(1 + skewness * (t - skewness / 6)) - 1)


def t_quantile(p: float, dof: float) -> float:
    """The p-quantile of Student's t with `dof` > 0 degrees of freedom."""
    from scipy.special import stdtrit  # imported late: it loads a BLAS, which a timed process should not

    return float(stdtrit(dof, p))


def f_quantile(p: float, dof: float, dof_below: float) -> float:
    """The p-quantile of the F distribution of a ratio of two variances with these degrees of freedom, each > 0."""
    from scipy.special import fdtri  # imported late, as above

    return float(fdtri(dof, dof_below, p))


def total(parts: Iterable[Estimate]) -> Estimate:
    """The sum of independent estimates; degrees of freedom after Welch and Satterthwaite.

    A part of unknown spread (dof 0) adds its value and no variance.
    """
    parts = list(parts)
    known = [part for part in parts if part.dof > 0 and part.variance > 0]
    variance, third_moment = sum(part.variance for part in known), sum(part.third_moment for part in known)
    value = math.fsum(part.value for part in parts)
    if not known:
        return Estimate(value, 0.0, math.inf if any(part.dof > 0 for part in parts) else 0.0)
    spread = sum(part.variance**2 / part.dof for part in known)
    return Estimate(value, variance, variance**2 / spread if spread else math.inf, third_moment)


def difference(a: Estimate, b: Estimate) -> Estimate:
    """a - b for independent estimates; its spread is unknown if one of theirs is.

    The interval is Student's, without skewness: outliers in only one sample do not justify a tighter lower bound.
    """
    whole = total([a, b.scaled(-1)])
    return replace(whole, third_moment=0.0) if a.dof > 0 and b.dof > 0 else Estimate(whole.value, 0.0, 0.0)


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
    """The mean of a series of n >= 1 values in time order.

    The variance of the mean is s^2 / n times `inflation`, for autocorrelation. A trend inflates it too; the inflation
    is limited so that at least `LEAST_INDEPENDENT` values remain. With `population`, the result estimates the mean of
    a finite population of that size, and the variance shrinks by 1 - n / population (Cochran 1977). The skewness of
    the mean is that of the series over the root of the number of independent values, from `LEAST_FOR_SKEWNESS` on.
    """
    n = len(series)
    value = float(np.mean(series))
    if n < 2:
        return Estimate(value, 0.0, 0.0)
    wider = inflation(series)
    variance = float(np.var(series, ddof=1)) / n * wider
    if population is not None:
        variance *= max(0.0, 1 - n / population)
    skewed = skewness(series) / math.sqrt(n / wider) if n / wider >= LEAST_FOR_SKEWNESS else 0.0
    third_moment = skewed * variance**1.5
    return Estimate(value, variance, max(1.0, n / wider - 1), third_moment)


def skewness(series: Series) -> float:
    """Third central moment of n >= 1 values over the 1.5th power of the second; 0 for equal values."""
    x = np.asarray(series, np.float64)
    x = x - x.mean()
    square = float(x @ x) / len(x)
    return float(np.mean(x**3)) / square**1.5 if square > 0 else 0.0


def inflation(series: Series) -> float:
    """The ratio, >= 1, of the variance of the mean of n values to what it would be if they were independent.

    The larger of two: (1 + r) / (1 - r), a first-order autoregression with lag-1 autocorrelation r; and, for longer
    memory, 1 + 2 (r_1 + r_2 + ...) up to lag sqrt(n) or the first non-positive one (initial positive sequence,
    Geyer 1992), each corrected for its bias of -1 / n.
    """
    x = np.asarray(series, np.float64)
    n, x = len(x), x - x.mean()
    r, square = autocorrelation(series), float(x @ x)
    most = max(1.0, n / LEAST_INDEPENDENT)
    if r == 1:
        return most
    long = 1.0
    for product in _lagged(x, math.isqrt(n)):
        at_lag = product / square + 1 / n if square else 0.0
        if at_lag <= 0:
            break
        long += 2 * at_lag
    return min(most, max(long, (1 + r) / (1 - r)))


def _lagged(x: NDArray[np.float64], most: int) -> Iterator[float]:
    """The products of a series with itself at lags 1 to `most`.

    The first `DIRECT_LAGS` one by one, since most series need no more; the others together, by Fourier transform.
    """
    few = min(most, DIRECT_LAGS)
    for lag in range(1, few + 1):
        yield float(x[lag:] @ x[:-lag])
    if most > few:
        size = 1 << (len(x) + most).bit_length()  # zero-padded, so that nothing wraps around
        power = np.abs(np.fft.rfft(x, size)) ** 2
        yield from np.fft.irfft(power, size)[few + 1 : most + 1].tolist()


def trend(series: Series, at: Series) -> Estimate:
    """The change of a series from first value to last along a fitted straight line, as a share of its mean.

    `at` holds the times of the values, shape (n,). The slope's variance is that of least squares, inflated for the
    residuals' autocorrelation as in `mean`. The spread is unknown below four values.
    """
    x, t = np.asarray(series, np.float64), np.asarray(at, np.float64)
    n, level, t = len(x), float(x.mean()), t - t.mean()
    square = float(t @ t)
    if n < 2 or square == 0 or level == 0:
        return Estimate(0.0, 0.0, 0.0)
    slope = float(t @ x) / square
    share = float(t[-1] - t[0]) / level
    if n < 4:
        return Estimate(slope * share, 0.0, 0.0)
    residuals = x - level - slope * t
    wider = inflation(residuals)
    variance = float(residuals @ residuals) / (n - 2) / square * wider
    return Estimate(slope * share, variance * share**2, max(1.0, n / wider - 2))


@dataclass(frozen=True)
class Spread:
    """Percentiles and outliers of a series. Outliers are counted, never dropped from the mean."""

    p5: float
    p50: float
    p95: float
    p99: float | None
    """None below 1000 values"""
    largest: float
    outliers: int
    """beyond three interquartile ranges from the quartiles (Tukey's outer fences)"""
    mean_without: float
    """the mean without the outliers"""


def spread(series: Series) -> Spread:
    """Percentiles and outliers of a series of n >= 1 values."""
    x = np.asarray(series, np.float64)
    p5, p50, p95, p99 = (float(p) for p in np.percentile(x, [5, 50, 95, 99]))
    low, high = outer_fences(x)
    inside = x[(x >= low) & (x <= high)]
    return Spread(
        p5, p50, p95, p99 if len(x) >= 1000 else None, float(x.max()), len(x) - len(inside), float(inside.mean())
    )


def outer_fences(series: Series) -> tuple[float, float]:
    """Tukey's outer fences of n >= 1 values: three interquartile ranges below and above the quartiles."""
    q1, q3 = (float(p) for p in np.percentile(series, [25, 75]))
    return q1 - 3 * (q3 - q1), q3 + 3 * (q3 - q1)


def unseen_share(n: int) -> float:
    """The 95 % upper bound on the share of a kind of value if none of n >= 1 independent values is of that kind.

    1 - 0.05^(1 / n), about 3 / n: the exact form of the rule of three (Hanley & Lippman-Hand 1983).
    """
    return 1 - float((1 - LEVEL) ** (1 / n))


def required_steps(series: Series, population: float, share: float) -> int:
    """The sample size that estimates the mean of a population, finite or not, to +- `share` at 95 %.

    Cochran's sample size for a finite population (1977, 4.6), with the variance and the autocorrelation of `series`,
    n >= 2 values.
    """
    n, x = len(series), np.asarray(series, np.float64)
    effective = float(x.var(ddof=1)) * inflation(x)
    z = t_quantile(0.5 + LEVEL / 2, max(1, n - 1))
    least = (share * float(x.mean()) / z) ** 2 + effective / population
    return math.ceil(effective / least) if least > 0 else 0


def autocorrelation(series: Series) -> float:
    """Lag-1 autocorrelation, clipped to [0, 1], corrected for its bias of about -(1 + 3 r) / n (Kendall 1954)."""
    x = np.asarray(series, np.float64)
    n, x = len(x), x - x.mean()
    square = float(x @ x)
    if n < 4 or square == 0:
        return 0.0
    r = float(x[:-1] @ x[1:]) / square
    return min(1.0, max(0.0, (n * r + 1) / (n - 3)))


def mean_of_processes(values: Iterable[float]) -> Estimate:
    """The mean of independent values, one per process; its spread is unknown for a single value."""
    x = np.array(list(values))
    if len(x) < 2:
        return Estimate(float(x.mean()), 0.0, 0.0)
    return Estimate(float(x.mean()), float(x.var(ddof=1)) / len(x), len(x) - 1)
