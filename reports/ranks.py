"""The view of a distributed training: the tables that its page, its picture and the terminal share."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.epoch import NS
from epoch_gap.profiler.distributed.analysis import DistributedAnalysis
from epoch_gap.profiler.distributed.communication import COMMUNICATION
from epoch_gap.profiler.distributed.straggler import BETWEEN
from epoch_gap.profiler.phases import Phase, in_order
from epoch_gap.profiler.storage.run import Run, StepTable
from epoch_gap.reports import formats
from epoch_gap.reports.sentences.ranks import describe_blame, describe_conditions, describe_ends

MOST_ROWS = 16
"""ranks that a table lists; of more, those that cost or wait most"""


@dataclass(frozen=True, eq=False)
class RanksView:
    """Everything that a report of a distributed training shows."""

    analysis: DistributedAnalysis

    @property
    def verdict(self) -> str:
        """Who is late, and what it costs."""
        return describe_blame(self.analysis)

    @property
    def headline(self) -> str:
        """The verdict without the cause."""
        return self.verdict.split(". ")[0]

    @property
    def ends(self) -> tuple[str, ...]:
        """Which rank ended, if one ended early; empty if all completed."""
        return tuple(describe_ends(self.analysis.training))

    @property
    def conditions(self) -> tuple[str, ...]:
        """Clocks, collectives, threads, and what the times cost."""
        return tuple(describe_conditions(self.analysis))

    @property
    def ranks(self) -> tuple[int, ...]:
        """The ranks whose runs are stored."""
        return self.analysis.training.ranks

    @property
    def steps(self) -> tuple[StepTable, ...]:
        """The steps that the tables are means of, by rank."""
        return tuple(run.train for run in self.analysis.split)

    @cached_property
    def by_phase(self) -> Mapping[Phase, NDArray[np.float64]]:
        """Mean seconds per step of each rank, shape (ranks,), by phase; communication is a group of its own."""
        named = in_order(phase for table in self.steps for phase in table.phase_ns)
        shown = [phase for phase in named if phase not in COMMUNICATION]
        shown += [phase for phase in COMMUNICATION if phase in named]
        means = {phase: np.array([_mean(table, phase) for table in self.steps]) for phase in shown}
        return {phase: seconds for phase, seconds in means.items() if seconds.any()}

    @property
    def listed(self) -> list[int]:
        """The places of the ranks that tables list, in order."""
        places = range(len(self.ranks))
        if len(self.ranks) <= MOST_ROWS:
            return list(places)
        costs = [rank.cost.value for rank in self.analysis.blame.by_rank] or [0.0] * len(self.ranks)
        ordered = sorted(places, key=lambda place: -costs[place])
        return sorted(ordered[:MOST_ROWS])

    @property
    def run(self) -> Run:
        """The run that stands for the conditions of all."""
        return self.analysis.training.runs[0]

    @property
    def source(self) -> str:
        """The line below every picture: data, batch, machines, day, runs."""
        runs = self.analysis.training.runs
        machines = " and ".join(dict.fromkeys(run.manifest.environment.machine.description for run in runs))
        ids = ", ".join(run.short_id for run in runs[:MOST_ROWS]) + (", ..." if len(runs) > MOST_ROWS else "")
        day = self.run.manifest.created[:10]
        return (
            f"{self.run.manifest.data.title}, batch {self.run.batch_size} per rank | {machines} | {day} | runs {ids}"
        )


def _mean(table: StepTable, phase: Phase) -> float:
    return float(table.phase_ns[phase].mean()) * NS if phase in table.phase_ns and len(table) else 0.0


def rank_rows(view: RanksView) -> list[list[str]]:
    """One row per rank: its step, its own work, its communication, and how often it was late."""
    group = [phase for phase in COMMUNICATION if phase in view.by_phase]
    rows = [["rank", "step", "own work", *group, "late in", "costs per epoch"]]
    late = {rank.rank: rank for rank in view.analysis.blame.by_rank}
    for place in view.listed:
        whole = sum(float(seconds[place]) for seconds in view.by_phase.values())
        parts = [float(view.by_phase[phase][place]) for phase in group]
        found = late.get(view.ranks[place])
        cost = None if found is None else view.analysis.per_epoch(found.cost)
        rows.append(
            [
                str(view.ranks[place]),
                formats.milliseconds(whole),
                formats.milliseconds(whole - sum(parts)),
                *map(formats.milliseconds, parts),
                "n/a" if found is None else formats.percent(found.last_share),
                "n/a" if cost is None else formats.interval(cost),
            ]
        )
    return rows


def phase_rows(view: RanksView) -> list[list[str]]:
    """One row per phase, one column per rank: ms per step; the group of communication last, with its sum."""
    rows = [["ms per step", *(f"rank {view.ranks[place]}" for place in view.listed)]]
    rows += [_phase_row(view, str(phase), seconds) for phase, seconds in view.by_phase.items()]
    group = [seconds for phase, seconds in view.by_phase.items() if phase in COMMUNICATION]
    if group:
        rows.append(_phase_row(view, "all communication", np.sum(group, axis=0)))
    return [*rows, _phase_row(view, "step", np.sum([*view.by_phase.values()], axis=0))]


def _phase_row(view: RanksView, name: str, seconds: NDArray[np.float64]) -> list[str]:
    return [name, *(formats.milliseconds(float(seconds[place])).removesuffix(" ms") for place in view.listed)]


def excess_rows(view: RanksView) -> list[list[str]]:
    """One row per phase: by how much the straggler works longer than the others; without one, empty."""
    straggler = view.analysis.blame.straggler
    if straggler is None:
        return []
    named = sorted(view.analysis.blame.excess.items(), key=lambda item: -item[1].value)
    rows = [[f"rank {straggler.rank} works longer than the others in", "per step"]]
    shown = ((name, excess) for name, excess in named if excess.value or name != BETWEEN)
    return [*rows, *([str(name), formats.interval_ms(excess.interval())] for name, excess in shown)]


def collective_rows(view: RanksView) -> list[list[str]]:
    """One row per collective of a step: where it is waited for, its size, its wait and its transfer."""
    arrivals = view.analysis.arrivals
    if arrivals is None:
        return []
    rows = [["collective", "in", "size", "wait", "transfer"]]
    for number, (point, times) in enumerate(zip(arrivals.points, view.analysis.buckets, strict=True), start=1):
        size = f"{point.bytes / 1e6:.2f} MB"
        waits = [formats.milliseconds(times.wait), formats.milliseconds(times.transfer)]
        rows.append([f"{number} {point.kind}", str(point.phase), size, *waits])
    return rows
