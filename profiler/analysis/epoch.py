"""From the steps of one run to the seconds of one full epoch, by phase.

epoch = full steps + the ragged step + evaluate + what happens once (epoch_start, checkpoint, ...)

The training set's 50000 images make 390 full steps of 128 and a ragged one of 80. A run that did not train on all
of them is a sample: its steady full steps stand for all full steps, the ragged step counts by its share of images.
Each term is linear in mean phase times, so that the phases' seconds sum to the epoch's.
"""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.stats import Estimate, Interval, between, mean, steps_for, total
from epoch_gap.profiler.analysis.warm_up import Kind, Steady, detect
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import ASRUN_BLOCK, Ledger
from epoch_gap.profiler.recording.recorder import Epoch
from epoch_gap.profiler.storage.run import Run, StepTable

NS = 1e-9
LEAST_FOR_A_FORECAST = 4
"""steady steps, to say how many more are needed"""


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
            self.total.third - sum(part.third for part in gone),
        )
        return replace(self, phases={**self.phases, **dict.fromkeys(phases)}, total=rest)


@dataclass(frozen=True)
class WarmUp:
    """How a run began, in seconds per step. The warm-up is kept and shown, and not averaged in."""

    kind: Kind
    steps: int
    first: float
    excess: float
    """of the as-run warm-up steps together, over as many steady ones"""
    steady: Estimate
    """of as-run steps"""


def beginning(train: StepTable, batch_size: int) -> Steady:
    """How training began; `start` counts its full steps before the first steady one.

    Judged by the steps that totals are made of: as-run ones, or fenced ones where there are no others.
    """
    known = _beginnings.setdefault(train, {})
    if batch_size not in known:
        known[batch_size] = _judge(train, batch_size)
    return known[batch_size]


_beginnings: WeakKeyDictionary[StepTable, dict[int, Steady]] = WeakKeyDictionary()
"""What was found of each table that is still there, by batch size: it is asked for again and again."""


def _judge(train: StepTable, batch_size: int) -> Steady:
    full = _full(train, batch_size)
    judged = np.flatnonzero(_is_judged(full))
    if not len(judged):
        return Steady(Kind.FLAT, 0)
    found = detect(full.wall_ns[judged])
    return replace(found, start=int(judged[found.start]))


def _is_judged(full: StepTable) -> NDArray[np.bool_]:
    return ~_after_switch(full) & (~full.fenced | full.fenced.all())


def warmup_steps(run: Run) -> int:
    """How many full steps at the start of the process are warm-up: see `profiler.steady`."""
    return beginning(run.train, run.batch_size).start


def steady_steps(run: Run, ledger: Ledger = Ledger.ASRUN) -> StepTable:
    """The full training steps of `ledger` after the warm-up, without the first after a switch of ledgers.

    Raises UserError where there is none.
    """
    if not len(_full(run.train, run.batch_size)):
        raise UserError(f"{run.id}: no full training step was stored ({run.status}); nothing to report")
    steady = _steady(run.train, run.batch_size, ledger, warmup_steps(run))
    if not len(steady):
        needed = "as-run steps (--fence alternate or none)" if ledger is Ledger.ASRUN else "fenced steps"
        raise UserError(f"{run.id}: too few steps to tell an epoch from; take more of them, and {needed}")
    return steady


def moving_steps(run: Run) -> StepTable:
    """What a trend is read from: the steps that `beginning` judges by, without the first and without a slow warm-up.

    A beginning that was faster is no warm-up, but a part of the trend.
    """
    full = _full(run.train, run.batch_size)
    found = beginning(run.train, run.batch_size)
    start = found.start if found.kind is Kind.WARM_UP else min(1, len(full) - 1)
    return full.where(_is_judged(full) & (np.arange(len(full)) >= start))


def later_steps(run: Run) -> StepTable:
    """All full training steps after the warm-up, of either ledger."""
    return _later(run.train, run.batch_size, warmup_steps(run))


def _later(train: StepTable, batch_size: int, start: int) -> StepTable:
    full = _full(train, batch_size)
    return full.where(np.arange(len(full)) >= start)


def _steady(train: StepTable, batch_size: int, ledger: Ledger, start: int) -> StepTable:
    later = _later(train, batch_size, start)
    return later.where((later.fenced == (ledger is Ledger.FENCED)) & ~_after_switch(later))


def has_ledger(run: Run, ledger: Ledger) -> bool:
    """Whether the run has steady steps of `ledger`."""
    return len(_steady(run.train, run.batch_size, ledger, warmup_steps(run))) > 0


def _after_switch(steps: StepTable) -> NDArray[np.bool_]:
    """Whether a step is the first of its epoch's block: it may pay for what the other ledger left undone."""
    switched = np.zeros(len(steps), np.bool_)
    switched[1:] = (steps.fenced[1:] != steps.fenced[:-1]) & (steps.epoch[1:] == steps.epoch[:-1])
    return switched


def warm_up(run: Run) -> WarmUp:
    """The first step, the excess of the warm-up, and the steady mean: three numbers, kept apart."""
    full = _full(run.train, run.batch_size)
    found = beginning(run.train, run.batch_size)
    steady = mean(steady_steps(run).wall_ns * NS)
    early = full.where(_is_judged(full) & (np.arange(len(full)) < found.start)).wall_ns * NS
    excess = float(early.sum() - len(early) * steady.value)
    return WarmUp(found.kind, found.start, float(full.wall_ns[0] * NS), excess, steady)


def precision(train: StepTable, batch_size: int, train_images: int) -> float | None:
    """Half the 95 % interval of an epoch's training, as a share of it; None where there is no steady state yet."""
    found = beginning(train, batch_size)
    steady = _steady(train, batch_size, Ledger.ASRUN, found.start)
    if len(steady) < 2 or found.kind is Kind.NONE:
        return None
    training = total(_sample(steady, None, batch_size, train_images, finite=True))
    interval = training.interval()
    if interval.low is None or interval.high is None:
        return None
    return (interval.high - interval.low) / 2 / interval.value


def more_steps(run: Run, share: float = 0.01) -> int | None:
    """How many more as-run steps would give the mean step of this process's epoch to +- `share`.

    None where that cannot be said: too few steps, or none steady. 0 for an epoch that was measured.
    """
    if _complete(run, Ledger.ASRUN):
        return 0
    found = beginning(run.train, run.batch_size)
    steady = _steady(run.train, run.batch_size, Ledger.ASRUN, found.start)
    if len(steady) < LEAST_FOR_A_FORECAST or found.kind is Kind.NONE:
        return None
    population = int(run.manifest["full_epoch"]["train_images"]) // run.batch_size * _epoch_count(steady)
    return max(0, steps_for(steady.wall_ns * NS, population, share) - len(steady))


def estimate_epoch(run: Run, ledger: Ledger = Ledger.ASRUN, *, finite: bool = True) -> EpochEstimate:
    """Seconds of a full epoch by phase, made of the steps of one ledger.

    With `finite`, the interval is for this process's own epoch: it shrinks to a point when all of it was run.
    Without, it is for an epoch as such, as a comparison needs. Raises UserError where no step was stored.
    """
    full_epochs = _complete(run, ledger)
    steady = steady_steps(run, ledger)
    phases: dict[Phase, Estimate | None] = {
        phase: total(parts) if (parts := list(_parts(run, steady, phase, full_epochs, finite))) else None
        for phase in Phase
    }
    if ledger is Ledger.FENCED:
        phases[Phase.FLUSH] = None  # fenced steps leave nothing undone
    training = list(_training(run, steady, None, full_epochs, finite))
    outside = [p for phase in Phase if phases[phase] for p in _outside(run, phase, full_epochs, finite)]
    whole = total([*training, *outside])
    if training[0].dof <= 0:  # one steady step: what is known of the rest is no interval of the epoch
        whole = Estimate(whole.value, 0.0, 0.0)
    return EpochEstimate(phases, whole, bool(full_epochs))


def _parts(run: Run, steady: StepTable, phase: Phase, full_epochs: list[Epoch], finite: bool) -> Iterable[Estimate]:
    if phase in run.train.phase_ns:
        yield from _training(run, steady, phase, full_epochs, finite)
    yield from _outside(run, phase, full_epochs, finite)


def _training(
    run: Run, steady: StepTable, phase: Phase | None, full_epochs: list[Epoch], finite: bool
) -> Iterable[Estimate]:
    """Seconds in `phase` (None: all) over the epoch's training steps."""
    sample = list(_sample(steady, phase, run.batch_size, int(run.manifest["full_epoch"]["train_images"]), finite))
    if full_epochs:
        yield _measured(_exact(run, phase, full_epochs), sample[0], finite)
    else:
        yield from sample


def _sample(
    steady: StepTable, phase: Phase | None, batch_size: int, train_images: int, finite: bool
) -> Iterable[Estimate]:
    """Seconds in `phase` over an epoch's training, from steady steps: all full ones, then the ragged one's error."""
    steps, ragged = divmod(train_images, batch_size)
    share = ragged / batch_size
    per_step = _seconds(steady, phase)
    sample = mean(per_step, steps * _epoch_count(steady) if finite else None).scaled(steps + share)
    yield sample
    if ragged and sample.dof > 0:
        # At least its share of images, at most a whole step: mean square distance from the least, if uniform.
        yield Estimate(0.0, ((1 - share) * float(per_step.mean())) ** 2 / 3)


def _outside(run: Run, phase: Phase, full_epochs: list[Epoch], finite: bool) -> Iterable[Estimate]:
    """Seconds in `phase` outside the training steps, per epoch."""
    if phase is Phase.EVALUATE:
        yield from _evaluation(run, full_epochs, finite)
        return
    if phase is Phase.FLUSH and not full_epochs:
        yield from _flush(run)
        return
    seconds = [epoch.durations.get(phase, 0) * NS for epoch in full_epochs or run.epochs]
    if any(seconds):
        sample = between(seconds)
        yield _measured(sample.value, sample, finite) if full_epochs else sample


def _flush(run: Run) -> Iterable[Estimate]:
    """What steps leave undone is taken to grow with the steps since the last wait: a fence, or the epoch's beginning.

    Fewer than a block of them say too little of a whole epoch.
    """
    images = int(run.manifest["full_epoch"]["train_images"])
    rates = [
        epoch.durations[Phase.FLUSH] * NS / waiting
        for epoch in run.epochs
        if Phase.FLUSH in epoch.durations
        and (waiting := _images_since_a_fence(run, epoch.epoch)) >= ASRUN_BLOCK * run.batch_size
    ]
    if rates:
        yield between(rates).scaled(images)


def _images_since_a_fence(run: Run, epoch: int) -> int:
    here = slice(*np.searchsorted(run.train.epoch, [epoch, epoch + 1]))
    fenced = np.flatnonzero(run.train.fenced[here])
    return int(run.train.images[here][fenced[-1] + 1 if len(fenced) else 0 :].sum())


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


def _full(train: StepTable, batch_size: int) -> StepTable:
    return train.where(np.equal(train.images, batch_size))


def whole_epochs(run: Run) -> list[Epoch]:
    """The epochs that were trained and evaluated on everything, in whatever ledger."""
    full = run.manifest["full_epoch"]
    trained, evaluated = (_by_epoch(run, steps, steps.images) for steps in (run.train, run.evaluate))
    whole = (trained == full["train_images"]) & (evaluated == full["test_images"])
    return [epoch for epoch in run.epochs if whole[epoch.epoch]]


def _complete(run: Run, ledger: Ledger) -> list[Epoch]:
    """Those of the whole epochs that are of one ledger throughout."""
    astray = _by_epoch(run, run.train, run.train.fenced != (ledger is Ledger.FENCED))
    return [epoch for epoch in whole_epochs(run) if astray[epoch.epoch] == 0]


def _by_epoch(run: Run, steps: StepTable, values: NDArray[np.int64] | NDArray[np.bool_]) -> NDArray[np.float64]:
    """The sum of `values`, one per step of `steps`, over each of the run's finished epochs."""
    count = 1 + max((epoch.epoch for epoch in run.epochs), default=-1)
    return np.bincount(steps.epoch, values, count)[:count]
