"""What the exchange of gradients costs a rank, from one training in which blocks of steps left it out (`no_sync`).

Its cost may be more than the time in which a rank is held: DDP also works on its buckets, and hidden transfers take
CPU time, too.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.epoch import NS
from epoch_gap.profiler.analysis.stats import Estimate, Series, mean
from epoch_gap.profiler.distributed.arrivals import counted_steps
from epoch_gap.profiler.distributed.communication import Exposed
from epoch_gap.profiler.experiments.arms import groups_of
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.run import Run, StepTable

LEVELS = ((), ("no_sync",))


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
    """The cost of the exchange; None unless it was turned on and off in the runs, in at least one group of blocks.

    `steps` are the ranks' steps with it, those of `exposed`. Steps are compared within their group, so that a slow
    change of the machine cancels.
    """
    alternation = runs[0].config.alternate
    if alternation is None or alternation.levels != LEVELS or not exposed:
        return None
    without = [counted_steps(run, level=1) for run in runs]
    tables = [*steps, *without]
    groups = sorted(set.intersection(*(set(groups_of(alternation, table.index).tolist()) for table in tables)))
    if not groups:
        return None

    def by_group(tables: Sequence[StepTable], seconds: Iterable[Series]) -> NDArray[np.float64]:
        """The mean of each group's steps, then of the ranks, of shape (groups,). `seconds`: by rank and step."""
        of_ranks = []
        for table, of_step in zip(tables, seconds, strict=True):
            group_of_step = groups_of(alternation, table.index)
            of_ranks.append([of_step[group_of_step == group].mean() for group in groups])
        return np.asarray(np.mean(of_ranks, axis=0), np.float64)

    def longer(seconds: Callable[[StepTable], Series]) -> NDArray[np.float64]:
        return by_group(steps, map(seconds, steps)) - by_group(without, map(seconds, without))

    passes = longer(_passes)
    held = by_group(steps, np.sum([times.held for times in exposed.values()], axis=0) * NS)
    is_cpu_known = all(table.usage is not None for table in tables)
    return ExchangeCost(
        longer=mean(passes),
        held=mean(held),
        work=mean(passes - held),
        cpu=mean(longer(_cpu)) if is_cpu_known else None,
    )


def _passes(table: StepTable) -> Series:
    zero = np.zeros(len(table), np.int64)
    ns = sum((table.phase_ns.get(phase, zero) for phase in (Phase.FORWARD, Phase.BACKWARD)), zero)
    return np.asarray(ns * NS, np.float64)


def _cpu(table: StepTable) -> Series:
    assert table.usage is not None
    return np.asarray(table.usage.cpu_ns * NS, np.float64)
