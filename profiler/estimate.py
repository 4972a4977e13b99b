"""From the steps of one run to the seconds of one full epoch, by phase.

epoch = full steps + the ragged step + evaluate + what happens once (epoch_start, checkpoint, ...)

The training set's 50000 images make 390 full steps of 128 and a ragged one of 80. A run that did not train on all
of them is a sample: its steady full steps stand for all full steps, the ragged step counts by its share of images.
Each term is linear in mean phase times, so that the phases' seconds sum to the epoch's.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from profiler.errors import UserError
from profiler.phases import Phase
from profiler.recorder import Epoch
from profiler.run import Run, StepTable
from profiler.stats import Estimate, between, mean, total

NS = 1e-9


@dataclass(frozen=True)
class EpochEstimate:
    """Seconds of one full epoch of one process."""

    phases: dict[Phase, Estimate | None]
    """None: the framework has no such phase, or the run ended before it"""
    total: Estimate
    measured: bool
    """the run trained and evaluated on everything; otherwise it is a sample"""


@dataclass(frozen=True)
class WarmUp:
    """How a run began, in seconds per step. The warm-up is kept and shown, and not averaged in."""

    steps: int
    first: float
    excess: float
    """of all warm-up steps together, over as many steady ones"""
    steady: Estimate


def warmup_steps(run: Run) -> int:
    """How many full steps at the start of the process are warm-up: a fifth of them, at least 1, at most 5.

    0 where there is only one.
    """
    full = int(_is_full(run).sum())
    return min(5, max(1, full // 5)) if full > 1 else 0


def steady_steps(run: Run) -> StepTable:
    """The full training steps after the warm-up. Raises UserError where there is none."""
    full = run.train.where(_is_full(run))
    if not len(full):
        raise UserError(f"{run.id}: no full training step was stored ({run.status}); nothing to report")
    return full.where(np.arange(len(full)) >= warmup_steps(run))


def warm_up(run: Run) -> WarmUp:
    """The first step, the excess of the warm-up, and the steady mean: three numbers, kept apart."""
    full = run.train.where(_is_full(run)).wall_ns * NS
    count = warmup_steps(run)
    steady = mean(full[count:])
    return WarmUp(count, float(full[0]), float(full[:count].sum() - count * steady.value), steady)


def estimate_epoch(run: Run, *, finite: bool = True) -> EpochEstimate:
    """Seconds of a full epoch by phase.

    With `finite`, the interval is for this process's own epoch: it shrinks to a point when all of it was run.
    Without, it is for an epoch as such, as a comparison needs. Raises UserError where no step was stored.
    """
    full_epochs = [epoch for epoch in run.epochs if _is_complete(run, epoch.epoch)]
    phases: dict[Phase, Estimate | None] = {
        phase: total(parts) if (parts := list(_parts(run, phase, full_epochs, finite))) else None for phase in Phase
    }
    walls = [*_training(run, None, full_epochs, finite)]
    walls += [part for phase in Phase for part in _outside(run, phase, full_epochs, finite)]
    return EpochEstimate(phases, total(walls), bool(full_epochs))


def _parts(run: Run, phase: Phase, full_epochs: list[Epoch], finite: bool) -> Iterable[Estimate]:
    if phase in run.train.phase_ns:
        yield from _training(run, phase, full_epochs, finite)
    yield from _outside(run, phase, full_epochs, finite)


def _training(run: Run, phase: Phase | None, full_epochs: list[Epoch], finite: bool) -> Iterable[Estimate]:
    """Seconds in `phase` (None: all) over the epoch's training steps."""
    images = int(run.manifest["full_epoch"]["train_images"])
    steps, ragged = divmod(images, run.batch_size)
    share = ragged / run.batch_size
    per_step = _seconds(steady_steps(run), phase)
    sample = mean(per_step, max(steps, len(per_step)) if finite else None).scaled(steps + share)
    if full_epochs:
        value = _exact(run, phase, full_epochs)
        yield Estimate(value, 0.0 if finite else sample.variance / len(full_epochs), sample.dof)
        return
    yield sample
    if ragged:
        # It takes between its share of images and a whole step; uniform between the two.
        yield Estimate(0.0, ((1 - share) * float(per_step.mean())) ** 2 / 12)


def _outside(run: Run, phase: Phase, full_epochs: list[Epoch], finite: bool) -> Iterable[Estimate]:
    """Seconds in `phase` outside the training steps, per epoch."""
    if phase is Phase.EVALUATE:
        yield from _evaluation(run, full_epochs, finite)
        return
    seconds = [epoch.durations.get(phase, 0) * NS for epoch in full_epochs or run.epochs]
    if any(seconds):
        yield between(seconds)


def _evaluation(run: Run, full_epochs: list[Epoch], finite: bool) -> Iterable[Estimate]:
    size = int(run.evaluate.images.max()) if len(run.evaluate) else 0
    if not size:
        return
    full = run.evaluate.where(run.evaluate.images == size)
    batches = int(run.manifest["full_epoch"]["test_images"]) / size
    population = max(int(batches), len(full)) if finite else None
    sample = mean(full.wall_ns * NS, population).scaled(batches)
    if full_epochs:
        value = sum(epoch.durations[Phase.EVALUATE] for epoch in full_epochs) * NS / len(full_epochs)
        sample = Estimate(value, 0.0 if finite else sample.variance / len(full_epochs), sample.dof)
    yield sample


def _exact(run: Run, phase: Phase | None, full_epochs: list[Epoch]) -> float:
    inside = np.isin(run.train.epoch, [epoch.epoch for epoch in full_epochs])
    return float(_seconds(run.train, phase)[inside].sum()) / len(full_epochs)


def _seconds(steps: StepTable, phase: Phase | None) -> NDArray[np.float64]:
    ns = steps.wall_ns if phase is None else steps.phase_ns[phase]
    return ns.astype(np.float64) * NS


def _is_full(run: Run) -> NDArray[np.bool_]:
    return np.equal(run.train.images, run.batch_size)


def _is_complete(run: Run, epoch: int) -> bool:
    full = run.manifest["full_epoch"]
    trained = int(run.train.images[run.train.epoch == epoch].sum())
    evaluated = int(run.evaluate.images[run.evaluate.epoch == epoch].sum())
    return bool(trained == full["train_images"] and evaluated == full["test_images"])
