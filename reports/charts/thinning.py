"""Fewer points to draw. Only pictures are thinned: every statistic uses all values."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.stats import Series

MOST = 2000
"""points per line: more than a screen has pixels in width"""


def drawn_indices(values: Series, most: int = MOST) -> NDArray[np.int64]:
    """Indices of the values to draw, ascending, at most `most` of n.

    All of them up to `most`; beyond that the minimum and the maximum of each of `most` / 2 equal stretches, so that
    no peak is lost (after M4, Jugel et al. 2014). Values that are not finite are drawn only if no value is omitted.
    """
    n = len(values)
    if n <= most:
        return np.arange(n)
    edges = np.linspace(0, n, most // 2 + 1).astype(np.int64)
    x = np.asarray(values, np.float64)
    indices = {
        int(start + extreme(part))
        for start, stop in pairwise(edges)
        if not np.isnan(part := x[start:stop]).all()
        for extreme in (np.nanargmin, np.nanargmax)
    }
    return np.array(sorted(indices), np.int64)


def note(drawn: int, total: int) -> str:
    """The chart's note on omitted points; empty if all are drawn."""
    return f" ({drawn} of {total} points drawn)" if drawn < total else ""
