"""Change points of a series: where its level changes, by how much, and how well both are known.

The candidates are up to `MOST_AT_ONCE` changes at once, anywhere: levels that come and go hide from a search for one.
Each model is the least-squares fit to the logarithms with so many changes. Its F-test is corrected for all positions
(Bonferroni), and the models share the error, so that a series of independent values without a change has one with 5 %
probability at most. The noise is widened by the autocorrelation of the residuals. The search repeats within segments.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.stats import LEVEL, Estimate, Interval, inflation, t_quantile

LEAST_RUNS = 3
"""values of a segment: a deviating one is an outlier, not a level"""
MOST_AT_ONCE = 5
"""changes of a model"""
MOST_RUNS = 1000
"""The newest values that are searched: the squares of all their segments are a million numbers."""
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
    older = max(0, len(values) - MOST_RUNS)
    x = np.log(np.asarray(values[older:], np.float64))
    indices = _refine(x, sorted(_search(x, 0, len(x))))
    while True:
        edges = [0, *indices, len(x)]
        changes = [_measure(x, *around) for around in zip(edges, indices, edges[2:], strict=False)]
        clear = [c for c in changes if c.ratio.excludes(1) and abs(c.ratio.value - 1) > least]
        if len(clear) == len(indices):
            return [_later(change, older) for change in clear]
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


def _later(change: ChangePoint, by: int) -> ChangePoint:
    return replace(change, index=change.index + by, earliest=change.earliest + by, latest=change.latest + by)


def _search(x: NDArray[np.float64], low: int, high: int) -> set[int]:
    """The change points within a segment."""
    found = _best_model(x[low:high])
    edges = [low, *(low + index for index in found), high]
    if not found:
        return set()
    return set(edges[1:-1]).union(*(_search(x, a, b) for a, b in pairwise(edges)))


def _best_model(x: NDArray[np.float64]) -> tuple[int, ...]:
    """The indices of the changes of the model with the smallest p-value, if it is significant; else empty."""
    tested = [(_p_value(x, indices) / _share_of_error(len(indices)), indices) for indices in _models(x)]
    p, indices = min(tested, default=(1.0, ()))
    return indices if p <= 1 - LEVEL else ()


def _share_of_error(changes: int) -> float:
    """Half of it for one change, a quarter for two, and so on."""
    return 0.5**changes


def _models(x: NDArray[np.float64]) -> Iterator[tuple[int, ...]]:
    """The best indices of one change, of two, ..., by dynamic programming."""
    n, costs = len(x), _segment_squares(x)
    best, before = costs[0], []
    for _ in range(min(MOST_AT_ONCE, n // LEAST_RUNS - 1)):
        total = best[:, None] + costs
        before.append(total.argmin(axis=0))
        best = total.min(axis=0)
        indices = [n]
        for last in reversed(before):
            indices.append(int(last[indices[-1]]))
        yield tuple(indices[:0:-1])


def _segment_squares(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The squared residuals of x[i:j] around its mean, of shape (n + 1, n + 1); infinite if it is too short."""
    n, centred = len(x), x - x.mean() if len(x) else x
    sums, squares = (np.concatenate([[0.0], np.cumsum(values)]) for values in (centred, centred**2))
    result = np.full((n + 1, n + 1), math.inf)
    i, j = np.triu_indices(n + 1, LEAST_RUNS)
    result[i, j] = np.maximum(0.0, squares[j] - squares[i] - (sums[j] - sums[i]) ** 2 / (j - i))
    return result


def _p_value(x: NDArray[np.float64], indices: tuple[int, ...]) -> float:
    """Of the F-test of these levels against one level, times the number of positions that they could have."""
    from scipy.special import fdtrc  # imported late, as in stats.py

    n, changes = len(x), len(indices)
    residuals = _residuals(x, indices)
    noise = _noise(residuals, changes + 1)
    explained = float((x - x.mean()) @ (x - x.mean())) - float(residuals @ residuals)
    if noise.variance <= 0:
        return 0.0 if explained > 0 else 1.0
    statistic = max(0.0, explained) / changes / noise.variance
    positions = math.comb(n - (changes + 1) * LEAST_RUNS + changes, changes)
    return min(1.0, positions * float(fdtrc(changes, noise.dof, statistic)))


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
        edges[i] = edges[i - 1] + LEAST_RUNS + int(_squares_by_position(x[edges[i - 1] : edges[i + 1]]).argmin())
    return edges[1:-1]


def _squares_by_position(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The squared residuals around two levels, for a change at each index from `LEAST_RUNS` to n - `LEAST_RUNS`."""
    costs = _segment_squares(x)
    inside = slice(LEAST_RUNS, len(x) - LEAST_RUNS + 1)
    return costs[0, inside] + costs[inside, len(x)]


def _measure(x: NDArray[np.float64], low: int, index: int, high: int) -> ChangePoint:
    """The change at `index` between two others, or the ends: the range of its position, and both levels."""
    segment, d = x[low:high], index - low
    n, squares = len(segment), _squares_by_position(segment)
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
    positions = n - 2 * LEAST_RUNS + 1
    return t_quantile(1 - (1 - LEVEL) * _share_of_error(1) / 2 / positions, dof)
