"""Change points of a series: where its level changes, by how much, and how well both are known.

The candidates are one change anywhere, and two changes anywhere: a level that came and went hides from a search for
one. Each model is a least-squares fit to the logarithms; its F-test is corrected for all candidates of its kind
(Bonferroni), so that a series of independent values without a change has one with 5 % probability at most. The noise
is widened by the autocorrelation of the residuals. The search repeats within the segments, as in binary segmentation.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.stats import LEVEL, Estimate, Interval, inflation, t_quantile

LEAST_RUNS = 3
"""values of a segment: a deviating one is an outlier, not a level"""
MODELS = 2
"""one change, and two at once: each has half of the error"""
MOST_FOR_TWO = 1000
"""values up to which two changes at once are sought: their pairs are a million"""
LOCATION = -2 * math.log(1 - math.sqrt(LEVEL))
"""7.35: the excess of the squared residuals over their smallest sum, in variances, up to which a position belongs to
the 95 % set of positions (Hansen 2000: Sample splitting and threshold estimation. Econometrica 68)"""


@dataclass(frozen=True)
class ChangePoint:
    """A change of level within a series."""

    index: int
    """of the first value after it"""
    earliest: int
    latest: int
    """the range of the index, at 95 %"""
    ratio: Interval
    """the level after it over the level before it, at 95 % for all positions of the change together"""


def find_changes(values: Sequence[float], least: float = 0.0) -> list[ChangePoint]:
    """The change points of a series of positive values in time order.

    Both levels that a change separates have `LEAST_RUNS` values, and differ by more than the share `least`.
    """
    x = np.log(np.asarray(values, np.float64))
    x = x - x.mean() if len(x) else x
    indices = _refine(x, sorted(_search(x, 0, len(x))))
    while True:
        edges = [0, *indices, len(x)]
        changes = [_measure(x, *around) for around in zip(edges, indices, edges[2:], strict=False)]
        clear = [c for c in changes if c.ratio.excludes(1) and abs(c.ratio.value - 1) > least]
        if len(clear) == len(indices):
            return clear
        indices = [change.index for change in clear]


def detectable_change(values: Sequence[float]) -> float | None:
    """The smallest change in the middle of such a series that would be found, as a share; None if it is too short."""
    x = np.log(np.asarray(values, np.float64))
    n = len(x)
    if n < 2 * LEAST_RUNS:
        return None
    indices = tuple(change.index for change in find_changes(values))
    noise = _noise(_residuals(x, indices), len(indices) + 1)
    half = _critical(n, noise.dof) * math.sqrt(noise.variance * (1 / (n // 2) + 1 / (n - n // 2)))
    return math.exp(half) - 1


def _search(x: NDArray[np.float64], low: int, high: int) -> set[int]:
    """The change points within a segment."""
    found = _best_model(x[low:high])
    edges = [low, *(low + index for index in found), high]
    if not found:
        return set()
    return set(edges[1:-1]).union(*(_search(x, a, b) for a, b in pairwise(edges)))


def _best_model(x: NDArray[np.float64]) -> tuple[int, ...]:
    """The indices of the one or two changes that fit best, if either model is significant; else empty."""
    n = len(x)
    models = [_one_change(x)] if n >= 2 * LEAST_RUNS else []
    models += [_two_changes(x)] if 3 * LEAST_RUNS <= n <= MOST_FOR_TWO else []
    tested = [(_p_value(x, indices, candidates), indices) for indices, candidates in models]
    p, indices = min(tested, default=(1.0, ()))
    return indices if p * MODELS <= 1 - LEVEL else ()


def _one_change(x: NDArray[np.float64]) -> tuple[tuple[int, ...], int]:
    """The best index of one change, and the number of candidates."""
    squares = _residual_squares(x)
    return (LEAST_RUNS + int(squares.argmin()),), len(squares)


def _residual_squares(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The squared residuals around two levels, for a change at each index from `LEAST_RUNS` to n - `LEAST_RUNS`."""
    n, d = len(x), np.arange(LEAST_RUNS, len(x) - LEAST_RUNS + 1)
    before = np.cumsum(x)[d - 1]
    explained = before**2 / d + (x.sum() - before) ** 2 / (n - d)
    return np.maximum(0.0, float(x @ x) - explained)


def _two_changes(x: NDArray[np.float64]) -> tuple[tuple[int, ...], int]:
    """The best indices of two changes, and the number of candidates."""
    n, sums = len(x), np.concatenate([[0.0], np.cumsum(x)])
    first, second = np.triu_indices(n + 1, LEAST_RUNS)
    inside = (first >= LEAST_RUNS) & (second <= n - LEAST_RUNS)
    a, b = first[inside], second[inside]
    explained = sums[a] ** 2 / a + (sums[b] - sums[a]) ** 2 / (b - a) + (sums[n] - sums[b]) ** 2 / (n - b)
    best = int(explained.argmax())
    return (int(a[best]), int(b[best])), len(a)


def _p_value(x: NDArray[np.float64], indices: tuple[int, ...], candidates: int) -> float:
    """Of the F-test of these levels against one level, times the number of candidates."""
    from scipy.special import fdtrc  # imported late, as in stats.py

    residuals = _residuals(x, indices)
    noise = _noise(residuals, len(indices) + 1)
    explained = float((x - x.mean()) @ (x - x.mean())) - float(residuals @ residuals)
    if noise.variance <= 0:
        return 0.0 if explained > 0 else 1.0
    statistic = max(0.0, explained) / len(indices) / noise.variance
    return min(1.0, candidates * float(fdtrc(len(indices), noise.dof, statistic)))


def _residuals(x: NDArray[np.float64], indices: tuple[int, ...]) -> NDArray[np.float64]:
    return np.concatenate([part - part.mean() for part in np.split(x, indices)])


def _noise(residuals: NDArray[np.float64], levels: int) -> Estimate:
    """The variance of a value, widened by the autocorrelation of the residuals.

    The degrees of freedom are those of independent values: fewer would also count the error of the autocorrelation
    itself, which in a short series hides steps of ten standard deviations.
    """
    n = len(residuals)
    variance = float(residuals @ residuals) / max(1, n - levels) * inflation(residuals)
    return Estimate(0.0, variance, max(1, n - levels))


def _refine(x: NDArray[np.float64], indices: list[int]) -> list[int]:
    """Each change point where it fits best between its neighbours, from the first to the last."""
    edges = [0, *indices, len(x)]
    for i in range(1, len(edges) - 1):
        (index,), _ = _one_change(x[edges[i - 1] : edges[i + 1]])
        edges[i] = edges[i - 1] + index
    return edges[1:-1]


def _measure(x: NDArray[np.float64], low: int, index: int, high: int) -> ChangePoint:
    """The change at `index` between two others, or the ends: the range of its position, and both levels."""
    segment, d = x[low:high], index - low
    n, squares = len(segment), _residual_squares(segment)
    noise = _noise(_residuals(segment, (d,)), 2)
    step = float(segment[d:].mean() - segment[:d].mean())
    half = _critical(n, noise.dof) * math.sqrt(noise.variance * (1 / d + 1 / (n - d)))
    near = np.flatnonzero(squares <= squares[d - LEAST_RUNS] + LOCATION * noise.variance)
    return ChangePoint(
        index=index,
        earliest=low + LEAST_RUNS + int(near[0]),
        latest=low + LEAST_RUNS + int(near[-1]),
        ratio=Interval(math.exp(step), math.exp(step - half), math.exp(step + half)),
    )


def _critical(n: int, dof: float) -> float:
    """The quantile of Student's distribution that holds for all positions of a change among n values together."""
    candidates = n - 2 * LEAST_RUNS + 1
    return t_quantile(1 - (1 - LEVEL) / MODELS / 2 / candidates, dof)
