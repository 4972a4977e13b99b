"""Fewer points to draw, for pictures alone: every statistic is made of all."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.stats import Series

MOST = 2000
"""points of a line: more than a screen is wide"""


def kept(values: Series, most: int = MOST) -> NDArray[np.int64]:
    """Which of n values to draw: all up to `most`, else the least and the largest of as many stretches as fit.

    Minimum and maximum of each stretch, so that no peak is lost (after M4, Jugel et al. 2014). Ascending places, at
    most `most`; values that are not finite are drawn only where nothing is left out.
    """
    n = len(values)
    if n <= most:
        return np.arange(n)
    edges = np.linspace(0, n, most // 2 + 1).astype(np.int64)
    x = np.asarray(values, np.float64)
    places = {
        int(start + find(part))
        for start, stop in pairwise(edges)
        if not np.isnan(part := x[start:stop]).all()
        for find in (np.nanargmin, np.nanargmax)
    }
    return np.array(sorted(places), np.int64)


def note(drawn: int, of: int) -> str:
    """What a chart says of points that it does not draw; empty where it draws all."""
    return f" ({drawn} of {of} points drawn)" if drawn < of else ""
