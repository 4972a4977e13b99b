"""The exposed communication of every rank: the time of a phase in which it only waits for others and for data.

A rank computes until its last collective of the phase is ready, and is held until all of them are done. That span is

    wait      until the last rank is ready, too
    transfer  then as long as the fastest rank is held
    rest      what is left

Both ends are taken from one rank's clock, and all are integer ns: compute + wait + transfer + rest = phase, exactly.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.distributed.arrivals import Arrivals, step_key
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.run import Run, StepTable

WAIT, TRANSFER, REST = Phase("wait"), Phase("transfer"), Phase("communication")
COMMUNICATION = (WAIT, TRANSFER, REST)
"""The group of phases in which a rank computes nothing. MLX's ranks mark the last of them themselves."""

Times = NDArray[np.int64]
"""ns, shape (ranks, steps)"""


@dataclass(frozen=True, eq=False)
class Exposed:
    """The exposed communication of one phase."""

    held: Times
    """from the rank's last collective being ready to all of them being done"""
    lateness: Times
    """how much earlier than the last rank this one was ready"""

    @cached_property
    def wait(self) -> Times:
        """Until the last rank is ready."""
        return np.asarray(np.minimum(self.lateness, self.held), np.int64)

    @cached_property
    def transfer(self) -> Times:
        """Then the least that any rank is held."""
        return np.asarray(np.minimum(self.held - self.wait, self.held.min(axis=0)), np.int64)

    @cached_property
    def rest(self) -> Times:
        """What is left."""
        return self.held - self.wait - self.transfer

    @cached_property
    def parts(self) -> Mapping[Phase, Times]:
        """By phase of the group; they sum to `held`."""
        return {WAIT: self.wait, TRANSFER: self.transfer, REST: self.rest}


@dataclass(frozen=True, eq=False)
class BucketTimes:
    """One collective over all steps, hidden behind computation or not: mean seconds."""

    wait: float
    """from a rank's being ready to the last rank's, mean over ranks"""
    transfer: float
    """the least over ranks from ready to done"""


def measure_exposed(arrivals: Arrivals, tables: tuple[StepTable, ...]) -> dict[Phase, Exposed]:
    """The exposed communication by phase; `tables` are the ranks' steps, those of `arrivals`."""
    exposed = {}
    for phase in arrivals.phases:
        ready = arrivals.ready_ns[:, :, arrivals.last_of(phase)]
        of_phase = [i for i, point in enumerate(arrivals.points) if point.phase is phase]
        held = arrivals.done_ns[:, :, of_phase].max(axis=2) - ready
        longest = np.stack([table.phase_ns[phase] for table in tables])
        exposed[phase] = Exposed(np.minimum(held, longest), ready.max(axis=0) - ready)
    return exposed


def measure_buckets(arrivals: Arrivals) -> list[BucketTimes]:
    """Wait and transfer of each collective."""
    wait = arrivals.ready_ns.max(axis=0) - arrivals.ready_ns
    transfer = (arrivals.done_ns - arrivals.ready_ns).min(axis=0)
    means = zip(wait.mean(axis=(0, 1)) / 1e9, transfer.mean(axis=0) / 1e9, strict=True)
    return [BucketTimes(float(w), float(t)) for w, t in means]


def common_steps(run: Run, arrivals: Arrivals) -> StepTable:
    """A rank's steps of `arrivals`, in order."""
    return run.train.where(np.isin(step_key(run.train.epoch, run.train.index), arrivals.steps))


def split_communication(run: Run, steps: StepTable, exposed: Mapping[Phase, Exposed], place: int) -> Run:
    """A rank's run, of these steps alone, with `COMMUNICATION` as phases of its own.

    What they take is taken from the phases that waited. `place` is the rank's place in the times.
    """
    phases = dict(steps.phase_ns)
    for phase, times in exposed.items():
        phases[phase] = phases[phase] - times.held[place]
    for part in COMMUNICATION:
        moved = sum((times.parts[part][place] for times in exposed.values()), np.zeros(len(steps), np.int64))
        phases[part] = phases.get(part, np.zeros(len(steps), np.int64)) + moved
    named = (*run.framework.phases, *(part for part in COMMUNICATION if part not in run.framework.phases))
    framework = replace(run.framework, phases=tuple(map(str, named)))
    manifest = replace(run.manifest, framework=framework)
    return replace(run, manifest=manifest, train=replace(steps, phase_ns=phases, phase_usage={}))
