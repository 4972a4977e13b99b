"""From the steps of one run to the seconds of one full epoch, by phase.

epoch = full steps + the ragged step + evaluate + what happens once (epoch_start, checkpoint, ...)

The training set's 50000 images make 390 full steps of 128 and a ragged one of 80. A run that did not train on all
of them is a sample: its steady full steps stand for all full steps, the ragged step counts by its share of images.
Each term is linear in mean phase times, so that the phases' seconds sum to the epoch's.
"""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from profiler.errors import UserError
from profiler.ledgers import Ledger
from profiler.phases import Phase
from profiler.recorder import Epoch
from profiler.run import Run, StepTable
from profiler.stats import Estimate, Interval, between, mean, total

NS = 1e-9


@dataclass(frozen=True)
class EpochEstimate:
    """Seconds of one full epoch of one process."""

    phases: dict[Phase, Estimate | None]
    """None: the framework has no such phase, or the run ended before it"""
    total: Estimate
    measured: bool
    """the run trained and evaluated on everything; otherwise it is a sample"""

    def interval(self, phase: Phase) -> Interval | None:
        """Seconds in `phase` with its interval; a duration's interval does not reach below 0."""
        part = self.phases[phase]
        return None if part is None else part.interval(least=0.0)

    def without(self, phases: Collection[Phase]) -> "EpochEstimate":
        """This epoch as if it had none of `phases`."""
        gone = [part for phase in phases if (part := self.phases[phase]) is not None]
        rest = Estimate(
            self.total.value - math.fsum(part.value for part in gone),
            max(0.0, self.total.variance - sum(part.variance for part in gone)),
            self.total.dof,
        )
        return replace(self, phases={**self.phases, **dict.fromkeys(phases)}, total=rest)


@dataclass(frozen=True)
class WarmUp:
    """How a run began, in seconds per step. The warm-up is kept and shown, and not averaged in."""

    steps: int
    first: float
    excess: float
    """of all warm-up steps together, over as many steady ones"""
    steady: Estimate
    """of as-run steps"""


def warmup_steps(run: Run) -> int:
    """How many full steps at the start of the process are warm-up: a fifth of them, at least 1, at most 5.

    0 where there is only one.
    """
    full = int(_is_full(run).sum())
    return min(5, max(1, full // 5)) if full > 1 else 0


def steady_steps(run: Run, ledger: Ledger = Ledger.ASRUN) -> StepTable:
    """The full training steps of `ledger` after the warm-up, without the first after a switch of ledgers.

    Raises UserError where there is none.
    """
    full = run.train.where(_is_full(run))
    if not len(full):
        raise UserError(f"{run.id}: no full training step was stored ({run.status}); nothing to report")
    wanted = (full.fenced == (ledger is Ledger.FENCED)) & ~_after_switch(full)
    steady = full.where(wanted & (np.arange(len(full)) >= warmup_steps(run)))
    if not len(steady):
        raise UserError(f"{run.id}: no steady {ledger} step was stored; take more steps, or another --fence")
    return steady


def has_ledger(run: Run, ledger: Ledger) -> bool:
    """Whether the run has steady steps of `ledger`."""
    try:
        return len(steady_steps(run, ledger)) > 0
    except UserError:
        return False


def _after_switch(steps: StepTable) -> NDArray[np.bool_]:
    """Whether a step is the first of its epoch's block: it may pay for what the other ledger left undone."""
    switched = np.zeros(len(steps), np.bool_)
    switched[1:] = (steps.fenced[1:] != steps.fenced[:-1]) & (steps.epoch[1:] == steps.epoch[:-1])
    return switched


def warm_up(run: Run) -> WarmUp:
    """The first step, the excess of the warm-up, and the steady mean: three numbers, kept apart."""
    full = run.train.where(_is_full(run)).wall_ns * NS
    count = warmup_steps(run)
    steady = mean(steady_steps(run).wall_ns * NS)
    return WarmUp(count, float(full[0]), float(full[:count].sum() - count * steady.value), steady)


def estimate_epoch(run: Run, ledger: Ledger = Ledger.ASRUN, *, finite: bool = True) -> EpochEstimate:
    """Seconds of a full epoch by phase, made of the steps of one ledger.

    With `finite`, the interval is for this process's own epoch: it shrinks to a point when all of it was run.
    Without, it is for an epoch as such, as a comparison needs. Raises UserError where no step was stored.
    """
    full_epochs = [epoch for epoch in run.epochs if _is_complete(run, epoch.epoch, ledger)]
    phases: dict[Phase, Estimate | None] = {
        phase: total(parts) if (parts := list(_parts(run, ledger, phase, full_epochs, finite))) else None
        for phase in Phase
    }
    training = list(_training(run, ledger, None, full_epochs, finite))
    whole = total([*training, *(part for phase in Phase for part in _outside(run, phase, full_epochs, finite))])
    if training[0].dof <= 0:  # one steady step: what is known of the rest is no interval of the epoch
        whole = Estimate(whole.value, 0.0, 0.0)
    return EpochEstimate(phases, whole, bool(full_epochs))


def _parts(run: Run, ledger: Ledger, phase: Phase, full_epochs: list[Epoch], finite: bool) -> Iterable[Estimate]:
    if phase in run.train.phase_ns:
        yield from _training(run, ledger, phase, full_epochs, finite)
    yield from _outside(run, phase, full_epochs, finite)


def _training(
    run: Run, ledger: Ledger, phase: Phase | None, full_epochs: list[Epoch], finite: bool
) -> Iterable[Estimate]:
    """Seconds in `phase` (None: all) over the epoch's training steps."""
    images = int(run.manifest["full_epoch"]["train_images"])
    steps, ragged = divmod(images, run.batch_size)
    share = ragged / run.batch_size
    steady = steady_steps(run, ledger)
    per_step = _seconds(steady, phase)
    sample = mean(per_step, steps * _epoch_count(steady) if finite else None).scaled(steps + share)
    if full_epochs:
        yield _measured(_exact(run, phase, full_epochs), sample, finite)
        return
    yield sample
    if ragged and sample.dof > 0:
        # At least its share of images, at most a whole step: mean square distance from the least, if uniform.
        yield Estimate(0.0, ((1 - share) * float(per_step.mean())) ** 2 / 3)


def _outside(run: Run, phase: Phase, full_epochs: list[Epoch], finite: bool) -> Iterable[Estimate]:
    """Seconds in `phase` outside the training steps, per epoch."""
    if phase is Phase.EVALUATE:
        yield from _evaluation(run, full_epochs, finite)
        return
    seconds = [epoch.durations.get(phase, 0) * NS for epoch in full_epochs or run.epochs]
    if any(seconds):
        sample = between(seconds)
        yield _measured(sample.value, sample, finite) if full_epochs else sample


def _evaluation(run: Run, full_epochs: list[Epoch], finite: bool) -> Iterable[Estimate]:
    size = int(run.evaluate.images.max()) if len(run.evaluate) else 0
    if not size:
        return
    full = run.evaluate.where(run.evaluate.images == size)
    batches = int(run.manifest["full_epoch"]["test_images"]) / size
    sample = mean(full.wall_ns * NS, int(batches) * _epoch_count(full) if finite else None).scaled(batches)
    if full_epochs:
        value = sum(epoch.durations[Phase.EVALUATE] for epoch in full_epochs) * NS / len(full_epochs)
        sample = _measured(value, sample, finite)
    yield sample


def _measured(value: float, sample: Estimate, finite: bool) -> Estimate:
    """A point as this process's own; among epochs as such it keeps the spread of its sample."""
    return Estimate(value) if finite else replace(sample, value=value)


def _epoch_count(steps: StepTable) -> int:
    return len(np.unique(steps.epoch))


def _exact(run: Run, phase: Phase | None, full_epochs: list[Epoch]) -> float:
    inside = np.isin(run.train.epoch, [epoch.epoch for epoch in full_epochs])
    return float(_seconds(run.train, phase)[inside].sum()) / len(full_epochs)


def _seconds(steps: StepTable, phase: Phase | None) -> NDArray[np.float64]:
    ns = steps.wall_ns if phase is None else steps.phase_ns[phase]
    return ns.astype(np.float64) * NS


def _is_full(run: Run) -> NDArray[np.bool_]:
    return np.equal(run.train.images, run.batch_size)


def _is_complete(run: Run, epoch: int, ledger: Ledger) -> bool:
    """Whether the epoch was trained and evaluated on everything, in one ledger throughout."""
    full = run.manifest["full_epoch"]
    trained = int(run.train.images[run.train.epoch == epoch].sum())
    evaluated = int(run.evaluate.images[run.evaluate.epoch == epoch].sum())
    pure = (run.train.fenced[run.train.epoch == epoch] == (ledger is Ledger.FENCED)).all()
    return bool(pure and trained == full["train_images"] and evaluated == full["test_images"])
