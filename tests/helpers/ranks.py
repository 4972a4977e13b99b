"""Trainings of several ranks from a script: what each rank computes is known, and so is who waits for whom."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.distributed.training import DistributedTraining, group_ranks
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.collectives import Collective, CollectiveKind
from epoch_gap.profiler.storage.manifest import RunStatus
from epoch_gap.profiler.storage.run import CollectiveTable, Run, StepTable
from tests.helpers.runs import manifest

MS = 1_000_000
WORK = {Phase.FETCH: 5, Phase.COLLATE: 10, Phase.FORWARD: 100, Phase.BACKWARD: 200, Phase.STEP: 20}
"""ms of own work per step"""
BROADCAST_MS, TRANSFER_MS, FINISH_MS = 2, 12, 3
BUCKETS = (0.3, 0.7, 1.0)
"""when a bucket is ready, as a share of backward's work"""


@dataclass
class Script:
    """A training. `own_ms` of a phase has the shape (ranks, steps)."""

    ranks: int = 2
    steps: int = 60
    noise: float = 0.0
    """relative standard deviation of every piece of work"""
    seed: int = 1
    delays: dict[Phase, NDArray[np.float64]] = field(default_factory=dict)
    """ms beyond `WORK`, broadcast to (ranks, steps)"""
    offset_ms: dict[int, float] = field(default_factory=dict)
    """how far a rank's clock is ahead"""
    boots: tuple[str, ...] = ()
    """default: one boot"""

    def __post_init__(self) -> None:
        shape, random = (self.ranks, self.steps), np.random.default_rng(self.seed)
        self.own_ms = {
            phase: ms * np.exp(random.normal(0, self.noise, shape)) + np.zeros(shape) for phase, ms in WORK.items()
        }
        for phase, delay in self.delays.items():
            self.own_ms[phase] = self.own_ms[phase] + delay


def late(rank: int, ms: float, ranks: int = 2) -> NDArray[np.float64]:
    """A delay of one rank in every step, for `Script.delays`."""
    return np.where(np.arange(ranks) == rank, ms, 0.0)[:, None]


def simulate(
    script: Script, conditions: Mapping[str, Any] = MappingProxyType({}), **changes: Any
) -> DistributedTraining:
    """Play a script; `changes` are merged into every rank's manifest, and `conditions` into its framework."""
    own = {phase: np.rint(ms * MS).astype(np.int64) for phase, ms in script.own_ms.items()}
    shape = script.ranks, script.steps
    start, ends = np.zeros(shape, np.int64), {phase: np.zeros(shape, np.int64) for phase in WORK}
    ready = np.zeros((*shape, 1 + len(BUCKETS)), np.int64)
    done = np.zeros_like(ready)
    now = np.full(script.ranks, 1_000 * MS)
    for s in range(script.steps):
        start[:, s] = now
        for phase in (Phase.FETCH, Phase.COLLATE):
            ends[phase][:, s] = now = now + own[phase][:, s]
        ready[:, s, 0] = now
        done[:, s, 0] = now = np.full(script.ranks, now.max() + BROADCAST_MS * MS)
        ends[Phase.FORWARD][:, s] = now = now + own[Phase.FORWARD][:, s]
        free = np.int64(0)
        for number, share in enumerate(BUCKETS, start=1):
            at = now + np.rint(own[Phase.BACKWARD][:, s] * share).astype(np.int64)
            free = max(free, at.max()) + TRANSFER_MS * MS
            ready[:, s, number], done[:, s, number] = at, free
        ends[Phase.BACKWARD][:, s] = now = done[:, s, -1] + FINISH_MS * MS
        ends[Phase.STEP][:, s] = now = now + own[Phase.STEP][:, s]
        now = now + MS  # between steps
    framework = {"phases": sorted(map(str, WORK)), **conditions}
    told = {**changes, "framework": framework}
    return group_ranks([_run(script, rank, start, ends, ready, done, told) for rank in range(script.ranks)])


def _run(
    script: Script,
    rank: int,
    start: NDArray[np.int64],
    ends: dict[Phase, NDArray[np.int64]],
    ready: NDArray[np.int64],
    done: NDArray[np.int64],
    changes: dict[str, Any],
) -> Run:
    offset = round(script.offset_ms.get(rank, 0.0) * MS)
    boot = script.boots[rank] if script.boots else "one boot"
    place = {"rank": rank, "world_size": script.ranks, "host": f"host {boot}", "boot": boot}
    phases = {}
    previous = start[rank]
    for phase, end in ends.items():
        phases[phase], previous = end[rank] - previous, end[rank]
    steps, points = script.steps, ready.shape[2]
    numbers = np.arange(steps)
    zeros = np.zeros(steps, np.int64)
    train = StepTable(
        epoch=zeros,
        index=numbers,
        fenced=np.zeros(steps, np.bool_),
        images=zeros + 10,
        loss=2.0 - 0.001 * numbers,
        correct=zeros + 5,
        start_ns=start[rank] + offset,
        wall_ns=previous - start[rank],
        phase_ns=phases,
        rss_bytes=zeros,
    )
    kinds = [CollectiveKind.BROADCAST, *[CollectiveKind.ALL_REDUCE] * len(BUCKETS)]
    waits = [Phase.FORWARD, *[Phase.BACKWARD] * len(BUCKETS)]
    collectives = CollectiveTable(
        epoch=np.zeros(steps * points, np.int64),
        step=np.repeat(numbers, points),
        phase=np.array(waits * steps, np.object_),
        kind=np.array(kinds * steps, np.object_),
        bytes=np.array([100, 1000, 1000, 500] * steps, np.int64),
        ready_ns=ready[rank].ravel() + offset,
        done_ns=done[rank].ravel() + offset,
    )
    told = manifest(rank=place, session="ranks", **changes)
    id = f"20261129T120000.000Z-fake-cpu-{rank:06x}"
    empty = train.where(np.zeros(steps, np.bool_))
    return Run(id, Path(id), RunStatus.COMPLETE, replace(told, id=id), train, empty, (), (), (), collectives)


def without_collectives(training: DistributedTraining, rank: int, of_step: int | None = None) -> DistributedTraining:
    """The training as if a rank had not timed its collectives, in one step or in any."""
    run = training.runs[rank]
    keep = run.collectives.step != of_step if of_step is not None else np.zeros(len(run.collectives), np.bool_)
    runs = [*training.runs]
    runs[rank] = replace(run, collectives=run.collectives.where(keep))
    return group_ranks(runs)


def known_collective(number: int) -> Collective:
    """A collective with known numbers, for the store."""
    return Collective(Phase.BACKWARD, CollectiveKind.ALL_REDUCE, 100 + number, 1_000 + number, 2_000 + number)
