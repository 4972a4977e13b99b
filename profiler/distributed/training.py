"""The runs of one distributed training, one per rank, and how each of them ended."""

from collections.abc import Sequence
from dataclasses import dataclass

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.machine.rank import Rank
from epoch_gap.profiler.storage.manifest import Manifest, RunStatus
from epoch_gap.profiler.storage.run import Run


@dataclass(frozen=True)
class DistributedTraining:
    """The runs of a training's ranks."""

    runs: tuple[Run, ...]
    """at least one, by rank; a rank whose run was never stored is missing"""

    @property
    def ranks(self) -> tuple[int, ...]:
        """The rank of each run."""
        return tuple(rank_of(run.manifest).rank for run in self.runs)

    @property
    def world_size(self) -> int:
        """The ranks that the training had."""
        return rank_of(self.runs[0].manifest).world_size

    @property
    def missing(self) -> tuple[int, ...]:
        """The ranks without a stored run."""
        return tuple(rank for rank in range(self.world_size) if rank not in self.ranks)

    @property
    def shares_a_clock(self) -> bool:
        """Whether all ranks read the monotonic clock of one boot of one host."""
        boots = {rank_of(run.manifest).boot for run in self.runs}
        return len(boots) == 1 and "" not in boots

    @property
    def is_complete(self) -> bool:
        """Whether every rank has completed its run."""
        return not self.missing and all(run.status is RunStatus.COMPLETE for run in self.runs)

    @property
    def first_to_end(self) -> Run | None:
        """The run that ended first, if any ended before it was complete.

        A rank that was killed could not store its end, and the others ended because of it; among equals, the rank
        with the fewest steps.
        """
        ended = [run for run in self.runs if run.status in (RunStatus.INTERRUPTED, RunStatus.FAILED)]
        return min(ended, key=_order_of_end, default=None)


def rank_of(manifest: Manifest) -> Rank:
    """The rank of a run that has one."""
    assert manifest.rank is not None, "only runs of ranks are grouped"
    return manifest.rank


def was_killed(run: Run) -> bool:
    """Whether the run's process ended without storing its end."""
    return run.status is RunStatus.INTERRUPTED and run.manifest.status is RunStatus.RUNNING


def _order_of_end(run: Run) -> tuple[bool, str, int]:
    return not was_killed(run), run.manifest.finished or "", len(run.train)


def group_ranks(runs: Sequence[Run]) -> DistributedTraining:
    """The training of these runs. Raises UserError unless they are ranks of one training, each at most once."""
    for run in runs:
        if run.manifest.rank is None:
            raise UserError(f"{run.id} is no rank of a distributed training")
    ordered = sorted(runs, key=lambda run: (rank_of(run.manifest).rank, run.id))
    keys = {(run.manifest.session, rank_of(run.manifest).world_size) for run in ordered}
    if len(keys) > 1:
        raise UserError(f"{ordered[0].id} and {ordered[-1].id} are ranks of different trainings")
    training = DistributedTraining(tuple(ordered))
    for rank, one, other in zip(training.ranks, ordered, ordered[1:], strict=False):
        if rank == rank_of(other.manifest).rank:
            raise UserError(f"{one.id} and {other.id} are both rank {rank} of one session; name the runs of one")
    return training
