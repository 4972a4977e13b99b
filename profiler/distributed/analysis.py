"""The analysis of one distributed training, computed once for all of its reports."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.epoch import NS, EpochEstimate
from epoch_gap.profiler.analysis.run_analysis import RunAnalysis, analyse_run
from epoch_gap.profiler.analysis.stats import Estimate, Interval
from epoch_gap.profiler.distributed.arrivals import Arrivals, align_arrivals, step_key
from epoch_gap.profiler.distributed.communication import (
    BucketTimes,
    Exposed,
    common_steps,
    measure_buckets,
    measure_exposed,
    split_communication,
)
from epoch_gap.profiler.distributed.exchange import ExchangeCost, measure_exchange
from epoch_gap.profiler.distributed.straggler import Blame, find_straggler, unknown
from epoch_gap.profiler.distributed.training import DistributedTraining
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.collectives import CollectiveKind
from epoch_gap.profiler.storage.run import Run, StepTable


@dataclass(frozen=True, eq=False)
class DistributedAnalysis:
    """A distributed training, and what the arrivals of its ranks show."""

    training: DistributedTraining
    arrivals: Arrivals | None
    """None: not every rank has times of its collectives"""
    steps: tuple[StepTable, ...]
    """the ranks' steps of `arrivals`; without them, empty"""
    exposed: Mapping[Phase, Exposed]
    """by the phase that it is part of"""
    buckets: tuple[BucketTimes, ...]
    """of the points of `arrivals`"""
    blame: Blame
    split: tuple[Run, ...]
    """the runs with their communication as phases of its own; without `arrivals`, as they are"""

    @cached_property
    def analyses(self) -> tuple[RunAnalysis, ...]:
        """Of each rank's `split` run. Raises UserError as `analyse_run` does."""
        return tuple(map(analyse_run, self.split))

    @property
    def epochs(self) -> tuple[EpochEstimate, ...]:
        """Each rank's epoch: its share of the images. On a lazy device, from fenced steps."""
        modes = (a.fenced if _is_lazy(a.run) and a.fenced is not None else a.asrun for a in self.analyses)
        return tuple(mode.own_epoch for mode in modes)

    @property
    def steps_per_epoch(self) -> float:
        """Steps that every rank takes in a full epoch."""
        run = self.training.runs[0]
        return run.manifest.full_epoch.train_images / run.batch_size

    @property
    def step_seconds(self) -> float:
        """Mean seconds of a step of `arrivals`."""
        return float(np.mean([steps.wall_ns.mean() for steps in self.steps])) * NS if self.steps else 0.0

    @property
    def cost_per_epoch(self) -> Interval | None:
        """Seconds per epoch that the straggler costs; None without one."""
        straggler = self.blame.straggler
        return None if straggler is None else self.per_epoch(straggler.cost)

    def per_epoch(self, lost: Estimate) -> Interval:
        """Seconds per epoch, at least 0, from the seconds per step that lateness costs."""
        return lost.scaled(self.steps_per_epoch).interval(least=0.0)

    @property
    def own_cost_share(self) -> float | None:
        """What timing the collectives costs, as a share of a step; None: not known."""
        cost = self.training.runs[0].framework.conditions.get("collective_cost_ns")
        if cost is None or self.arrivals is None or not self.step_seconds:
            return None
        return len(self.arrivals.points) * float(cost) * NS / self.step_seconds

    @cached_property
    def timers(self) -> tuple[tuple[float, float], ...]:
        """Exposed seconds per step of `backward`, by rank: by arrivals, and by the framework's own timers.

        Empty if these were not read. DDP's timers of a step are noted in the next one, so only steps count whose next
        one counts, too: a step without the exchange repeats older timers.
        """
        if self.arrivals is None or Phase.BACKWARD not in self.exposed:
            return ()
        followed = np.isin(self.arrivals.steps + 1, self.arrivals.steps)
        if not followed.any():
            return ()
        by_arrivals = self.exposed[Phase.BACKWARD].held[:, followed].mean(axis=1) * NS
        by_timers = [_mean_of_timers(run, self.arrivals.steps[followed]) for run in self.training.runs]
        known = zip(by_arrivals, by_timers, strict=True)
        return tuple((float(own), theirs) for own, theirs in known if theirs is not None)

    @cached_property
    def exchange(self) -> ExchangeCost | None:
        """None unless the exchange of gradients was turned on and off in blocks of steps."""
        return measure_exchange(self.training.runs, self.steps, self.exposed)


def analyse_ranks(training: DistributedTraining) -> DistributedAnalysis:
    """Analyse the runs of one training."""
    arrivals = align_arrivals(training)
    if arrivals is None:
        without = [rank for rank, run in zip(training.ranks, training.runs, strict=True) if not len(run.collectives)]
        names = ", ".join(map(str, without))
        reason = f"no times of the collectives of rank {names}" if without else "no step has the times of all ranks"
        return DistributedAnalysis(training, None, (), {}, (), unknown(reason), training.runs)
    steps = tuple(common_steps(run, arrivals) for run in training.runs)
    unmarked = [phase for phase in arrivals.phases if not all(phase in table.phase_ns for table in steps)]
    if unmarked:
        reason = f"the ranks wait in {' and '.join(unmarked)}, which not all of them mark"
        return DistributedAnalysis(training, None, (), {}, (), unknown(reason), training.runs)
    exposed = measure_exposed(arrivals, steps)
    placed = zip(training.runs, steps, range(len(steps)), strict=True)
    return DistributedAnalysis(
        training=training,
        arrivals=arrivals,
        steps=steps,
        exposed=exposed,
        buckets=tuple(measure_buckets(arrivals)),
        blame=unknown(_missing(training)) if training.missing else find_straggler(arrivals, exposed, steps),
        split=tuple(split_communication(run, of_rank, exposed, place) for run, of_rank, place in placed),
    )


def _missing(training: DistributedTraining) -> str:
    return f"no run of rank {', '.join(map(str, training.missing))} was stored"


def _is_lazy(run: Run) -> bool:
    return Phase.FLUSH in run.framework.phases


def _mean_of_timers(run: Run, steps: NDArray[np.int64]) -> float | None:
    """Mean seconds over the steps with these keys, noted in the next one; None without any."""
    table = run.collectives.where(np.equal(run.collectives.kind, CollectiveKind.TIMERS).astype(np.bool_))
    noted = table.where(np.isin(step_key(table.epoch, table.step) - 1, steps))
    return float((noted.done_ns - noted.ready_ns).mean()) * NS if len(noted) else None
