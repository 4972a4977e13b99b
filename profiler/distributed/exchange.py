"""What the exchange of gradients costs a rank, from one training in which blocks of steps left it out (`no_sync`).

Its cost is more than the time in which a rank is held: copying gradients into buckets and back is the rank's own
work, and where no core is free, the threads that reduce hidden buckets slow the backward pass down.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.stats import Estimate, difference, mean
from epoch_gap.profiler.distributed.arrivals import REBUILT, step_key
from epoch_gap.profiler.distributed.communication import Exposed
from epoch_gap.profiler.experiments.arms import follows_a_switch, levels_of
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.run import Run, StepTable

LEVELS = ((), ("no_sync",))
NS = 1e-9

Series = NDArray[np.float64]


@dataclass(frozen=True)
class ExchangeCost:
    """Seconds per step, means of the ranks; `longer` is the sum of `held` and `work`."""

    longer: Estimate
    """by how much forward and backward take longer than without the exchange"""
    held: Estimate
    """in which a rank computes nothing, by the arrivals"""
    work: Estimate
    """by how much a rank works longer"""
    cpu: Estimate | None
    """by how much its process uses more CPU time in a step, all threads together; None: not known"""


def measure_exchange(
    runs: Sequence[Run], steps: Sequence[StepTable], exposed: Mapping[Phase, Exposed]
) -> ExchangeCost | None:
    """The cost of the exchange; None unless it was turned on and off in the runs.

    `steps` are the ranks' steps with it, those of `exposed`. Of the steps without it, the first of a block does not
    count: it may wait for ranks that are late from the block before.
    """
    without = [_steps_without(run) for run in runs]
    if not exposed or not all(map(len, without)):
        return None
    held = np.sum([times.held.mean(axis=0) for times in exposed.values()], axis=0) * NS
    taken, taken_without = (_mean_of_ranks(tables, _passes) for tables in (steps, without))
    known = all(table.usage is not None for table in (*steps, *without))
    cpu = [mean(_mean_of_ranks(tables, _cpu)) for tables in (steps, without)] if known else None
    return ExchangeCost(
        longer=difference(mean(taken), mean(taken_without)),
        held=mean(held),
        work=difference(mean(taken - held), mean(taken_without)),
        cpu=difference(*cpu) if cpu is not None else None,
    )


def _steps_without(run: Run) -> StepTable:
    alternation, table = run.config.alternate, run.train
    if alternation is None or alternation.levels != LEVELS:
        return table.where(np.zeros(len(table), np.bool_))
    is_off = levels_of(alternation, table.index) == LEVELS.index(("no_sync",))
    return table.where(is_off & ~follows_a_switch(alternation, table.index) & (table.index >= REBUILT))


def _mean_of_ranks(tables: Sequence[StepTable], seconds: Callable[[StepTable], Series]) -> Series:
    """Of each step that all ranks have, the mean of the ranks."""
    keys = [step_key(table.epoch, table.index) for table in tables]
    common = sorted(set(keys[0].tolist()).intersection(*(one.tolist() for one in keys[1:])))
    of_ranks = [seconds(table)[np.isin(one, common)] for table, one in zip(tables, keys, strict=True)]
    return np.asarray(np.mean(of_ranks, axis=0), np.float64)


def _passes(table: StepTable) -> Series:
    ns = sum(
        (table.phase_ns[p] for p in (Phase.FORWARD, Phase.BACKWARD) if p in table.phase_ns), np.zeros(len(table))
    )
    return np.asarray(ns * NS, np.float64)


def _cpu(table: StepTable) -> Series:
    assert table.usage is not None
    return np.asarray(table.usage.cpu_ns * NS, np.float64)
