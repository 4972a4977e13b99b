"""The spread between processes: from the rounds of a session, and from what earlier sessions and the floor tell.

Three rounds alone give an interval of Student's distribution with two degrees of freedom: 4.3 standard errors. The
spread of the same two subjects on the same machine in earlier sessions is the same quantity, so it is pooled with
that of the session, unless the session's own is clearly larger.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from epoch_gap.profiler.analysis.stats import Estimate, f_quantile, total

DISAGREES = 0.6
"""A session keeps its own variance if its ratio to the earlier one exceeds this quantile of the F distribution. The
quantile is low because a machine that was quieter before would make the interval too narrow: by simulation, it covers
96 % if the sessions agree, and 93 % if the earlier ones were two to three times quieter."""


@dataclass(frozen=True)
class Basis:
    """The values that an interval between processes rests on."""

    rounds: int
    """of the session itself"""
    earlier_rounds: int = 0
    """of earlier sessions, whose spread was pooled with the session's"""
    earlier_sessions: int = 0
    from_noise_floor: bool = False
    """whether the spread is that of the machine's noise floor, in place of earlier sessions"""


@dataclass(frozen=True)
class Variance:
    """A variance of single values, its degrees of freedom, and the values that it rests on."""

    value: float
    dof: float
    basis: Basis


def mean_of_rounds(values: Sequence[float], earlier: Sequence[Sequence[float]] = ()) -> tuple[Estimate, Basis]:
    """The mean of one value per round, at least two, with the spread between rounds, and what that rests on.

    The spread contains what the processes of a round do not know about themselves and what they do. `earlier` holds
    the values of earlier sessions, of which each is taken around its own mean.
    """
    variance = _pool(values, earlier)
    return Estimate(math.fsum(values) / len(values), variance.value / len(values), variance.dof), variance.basis


def widen(single: Estimate, of_one: Variance | None) -> tuple[Estimate, Basis | None]:
    """The value of a single pair of processes with the variance of such a value added.

    Without it, the spread is unknown (dof 0, basis None).
    """
    if of_one is None:
        return Estimate(single.value, 0.0, 0.0), None
    return Estimate(single.value, single.variance + of_one.value, of_one.dof), of_one.basis


def _pool(values: Sequence[float], earlier: Sequence[Sequence[float]]) -> Variance:
    """The variance of a session's values, at least two, pooled with that of earlier sessions if they agree."""
    repeated = [session for session in earlier if len(session) > 1]
    dof, square = len(values) - 1, _sum_of_squares(values)
    more_dof, more_square = sum(len(s) - 1 for s in repeated), math.fsum(map(_sum_of_squares, repeated))
    own = Variance(square / dof, dof, Basis(len(values)))
    if not more_dof or own.value > more_square / more_dof * f_quantile(DISAGREES, dof, more_dof):
        return own
    basis = Basis(len(values), sum(map(len, repeated)), len(repeated))
    return Variance((square + more_square) / (dof + more_dof), dof + more_dof, basis)


def variance_of_one(slow: Sequence[Sequence[float]], fast: Sequence[Sequence[float]]) -> Variance | None:
    """The variance of the difference of two single processes that did not alternate, from earlier sessions.

    `slow` and `fast` hold the values of each earlier session's processes. Those of a side are taken as one sample, so
    that the machine's changes from session to session count. None without two processes of each side.
    """
    samples = [[value for session in side for value in session] for side in (slow, fast)]
    if min(map(len, samples)) < 2:
        return None
    parts = [Estimate(0.0, _sum_of_squares(sample) / (len(sample) - 1), len(sample) - 1) for sample in samples]
    whole = total(parts)
    return Variance(whole.variance, whole.dof, Basis(1, min(map(len, samples)), len(slow)))


def _sum_of_squares(values: Sequence[float]) -> float:
    x = np.asarray(values, np.float64)
    return float(((x - x.mean()) ** 2).sum())
