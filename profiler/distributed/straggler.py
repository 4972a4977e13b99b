"""Blame by arrival: which rank the others wait for, since when, and what it costs.

A mark after `backward()` is late on every rank alike; a rank that is late arrives last at a collective, and waits
least. Its cost in a step is what the step would be shorter by if it had arrived as the second last. The phases that
make it late are those in which it works longer than the others: as all ranks take equally long from one collective to
the next, the excess of its work over all phases is what the others wait longer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.epoch import NS
from epoch_gap.profiler.analysis.stats import Estimate, mean
from epoch_gap.profiler.distributed.arrivals import Arrivals
from epoch_gap.profiler.distributed.communication import COMMUNICATION, Exposed
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.run import StepTable

MATTERS = 0.02
"""share of a step; ranks that are apart by less are named by nobody"""
ALWAYS = 0.8
"""share of the steps from which a straggler is constant"""
COVERS = 0.8
"""share of the cost that one phase must explain to be its cause"""
LEAST_STEPS = 10
LEAST_SHARE = 0.9
"""of the steps that must have the collectives of all ranks"""
BETWEEN = "between steps"
"""in place of a phase: the recorder's own time, which belongs to none"""


class Pattern(StrEnum):
    """Who is late."""

    NOBODY = "nobody"
    CONSTANT = "constant"
    """one rank, nearly always"""
    INTERMITTENT = "intermittent"
    """one rank, in some steps"""
    ROTATING = "rotating"
    """now one rank, now another"""
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class RankLateness:
    """One rank's part in the waiting. Seconds are per step."""

    rank: int
    last_share: float
    """of the steps, in how many the others waited for it"""
    wait: float
    """for others"""
    cost: Estimate
    """what the steps would be shorter by without its lateness"""
    net_cost: Estimate
    """the same beyond the mean of the other ranks"""


@dataclass(frozen=True)
class Blame:
    """Who is late, if anybody is."""

    pattern: Pattern
    straggler: RankLateness | None
    """only of a constant or intermittent pattern"""
    cause: str | None
    """the phase that makes it late, or `BETWEEN`; None: no phase explains `COVERS` of it"""
    coverage: float
    """the share of the cost that the phase with the largest excess explains"""
    reason: str
    """why nothing can be said; empty if it can"""
    by_rank: tuple[RankLateness, ...]
    lost: Estimate
    """seconds per step that the lateness of all ranks costs together"""
    excess: Mapping[str, Estimate] = field(default_factory=dict)
    """by phase, or `BETWEEN`: seconds per step that the straggler works beyond the mean of the other ranks"""


def unknown(reason: str) -> Blame:
    """No blame, with the reason."""
    return Blame(Pattern.UNKNOWN, None, None, 0.0, reason, (), Estimate(0.0, 0.0, 0.0))


def find_straggler(arrivals: Arrivals, exposed: Mapping[Phase, Exposed], tables: Sequence[StepTable]) -> Blame:
    """Who is late. Says nothing for too few steps or ranks, missing times, or clocks that are too far apart."""
    steps, dropped = len(arrivals.steps), arrivals.dropped
    if len(arrivals.ranks) < 2:
        return unknown("there is one rank, which waits for nobody")
    if steps < LEAST_STEPS:
        return unknown(f"only {steps} steps have the collectives of all ranks; at least {LEAST_STEPS} are needed")
    if steps < LEAST_SHARE * (steps + dropped):
        return unknown(f"{dropped} of {steps + dropped} steps lack the collectives of some rank")
    if arrivals.error_ns is None:
        return unknown("the ranks have different clocks, and no offset between them fits all collectives")
    costs = sum((_costs(times) for times in exposed.values()), np.zeros((len(arrivals.ranks), steps), np.int64))
    ranks = _measure_ranks(arrivals, exposed, np.asarray(costs * NS, np.float64))
    lost = mean(costs.sum(axis=0) * NS)
    threshold = MATTERS * float(np.mean([table.wall_ns.mean() for table in tables])) * NS
    named = max(ranks, key=lambda rank: rank.net_cost.value)
    error = arrivals.error_ns * NS
    if _exceeds(named.net_cost, threshold):
        if not _exceeds(named.net_cost, threshold + error):
            return unknown(_below_error(named.cost.value, error))
        excess = _measure_excess(arrivals.ranks.index(named.rank), exposed, tables)
        cause = max(excess, key=lambda name: excess[name].value)
        coverage = excess[cause].value / named.net_cost.value
        pattern = Pattern.CONSTANT if named.last_share >= ALWAYS else Pattern.INTERMITTENT
        return Blame(pattern, named, cause if coverage >= COVERS else None, coverage, "", ranks, lost, excess)
    if _exceeds(lost, threshold):
        if not _exceeds(lost, threshold + error):
            return unknown(_below_error(lost.value, error))
        return Blame(Pattern.ROTATING, None, None, 0.0, "", ranks, lost)
    return Blame(Pattern.NOBODY, None, None, 0.0, "", ranks, lost)


def _below_error(seconds: float, error: float) -> str:
    return f"the ranks are {seconds * 1e3:.1f} ms apart, and their clocks may be {error * 1e3:.1f} ms apart"


def _exceeds(estimate: Estimate, threshold: float) -> bool:
    low = estimate.interval().low
    return low is not None and low > threshold


def _costs(times: Exposed) -> NDArray[np.int64]:
    """What each rank's lateness costs at the collectives of one phase, ns; only the last rank's is not 0."""
    second, last = np.partition(times.lateness, 1, axis=0)[1], times.lateness.argmin(axis=0)
    cost = np.minimum(second, times.wait.max(axis=0))
    costs = np.zeros_like(times.lateness)
    costs[last, np.arange(costs.shape[1])] = cost
    return costs


def _measure_ranks(
    arrivals: Arrivals, exposed: Mapping[Phase, Exposed], costs: NDArray[np.float64]
) -> tuple[RankLateness, ...]:
    """`costs` are in seconds, of shape (ranks, steps)."""
    last = np.where(costs.max(axis=0) > 0, costs.argmax(axis=0), -1)
    others = len(arrivals.ranks) - 1
    total, waits = costs.sum(axis=0), np.sum([times.wait for times in exposed.values()], axis=0) * NS
    return tuple(
        RankLateness(
            rank=rank,
            last_share=float((last == place).mean()),
            wait=float(waits[place].mean()),
            cost=mean(costs[place]),
            net_cost=mean(costs[place] - (total - costs[place]) / others),
        )
        for place, rank in enumerate(arrivals.ranks)
    )


def _measure_excess(place: int, exposed: Mapping[Phase, Exposed], tables: Sequence[StepTable]) -> dict[str, Estimate]:
    """By how much the rank at `place` works longer than the mean of the others, by phase and between steps.

    Without communication. A phase that a rank does not mark takes it no time.
    """
    found = {}
    for phase in dict.fromkeys(phase for table in tables for phase in table.phase_ns if phase not in COMMUNICATION):
        zero = np.zeros(len(tables[0]), np.int64)
        ns = np.array([table.phase_ns.get(phase, zero) for table in tables])
        found[str(phase)] = _beyond_others(place, ns - exposed[phase].held if phase in exposed else ns)
    gaps = np.array([_gaps(table) for table in tables])
    return {**found, BETWEEN: _beyond_others(place, gaps) if gaps.size else Estimate(0.0)}


def _beyond_others(place: int, ns: NDArray[np.int64]) -> Estimate:
    """`ns` has the shape (ranks, steps)."""
    others = (ns.sum(axis=0) - ns[place]) / (len(ns) - 1)
    return mean((ns[place] - others) * NS)


def _gaps(table: StepTable) -> NDArray[np.int64]:
    """From the end of each step to the start of the next one, ns."""
    follows = (table.epoch[1:] == table.epoch[:-1]) & (table.index[1:] == table.index[:-1] + 1)
    return np.asarray((table.start_ns[1:] - table.start_ns[:-1] - table.wall_ns[:-1])[follows], np.int64)
