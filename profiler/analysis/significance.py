"""Tests of estimates against 0, and how several tests share one error rate."""

import math
from collections.abc import Sequence

from epoch_gap.profiler.analysis.stats import LEVEL, Estimate

ERROR = 1 - LEVEL
"""of all decisions that are taken together"""


def p_positive(estimate: Estimate) -> float:
    """The p-value of the one-sided test that a value is positive: Student's; 1 if its spread is unknown."""
    from scipy.special import stdtr  # imported late, as in stats.py

    if estimate.dof <= 0:
        return 1.0
    if estimate.variance <= 0:
        return 0.0 if estimate.value > 0 else 1.0
    return float(stdtr(estimate.dof, -estimate.value / math.sqrt(estimate.variance)))


def p_different(estimate: Estimate) -> float:
    """The p-value of the two-sided test that a value is not 0: Student's; 1 if its spread is unknown."""
    return min(1.0, 2 * min(p_positive(estimate), p_positive(estimate.scaled(-1))))


def share_error(p_values: Sequence[float]) -> tuple[set[int], list[float]]:
    """The claims that are decided by Holm's method, and the error rate that each was allowed.

    In the order of their p-values, the i-th of n claims, from 0, is decided if its p-value is at most 0.05 / (n - i)
    and those before it were decided.
    """
    allowed = [ERROR] * len(p_values)
    decided: set[int] = set()
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        allowed[i] = ERROR / (len(p_values) - rank)
        if p_values[i] <= allowed[i] and len(decided) == rank:
            decided.add(i)
    return decided, allowed
