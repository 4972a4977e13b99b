"""Estimate the seconds of one full epoch, by phase, from the steps of one run.

epoch = full steps + last partial batch + evaluate + once-per-epoch phases (epoch_start, checkpoint, ...)

A stream that has no length is estimated per `STREAM` images: its mean step and everything outside of its steps, each
in proportion to the images that were trained on.

A training set of 50000 images makes 390 full steps of 128 and a last partial batch of 80. A run that trained on fewer
images is a sample: its steady full steps represent all full steps, and the last partial batch counts by its share
of images. Each term is linear in mean phase times, so the phases' seconds sum to the epoch's.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.evaluation import estimate_evaluation
from epoch_gap.profiler.analysis.stats import (
    Estimate,
    Interval,
    mean,
    mean_of_processes,
    required_steps,
    total,
)
from epoch_gap.profiler.analysis.step_selection import StepSelection
from epoch_gap.profiler.analysis.warm_up import StartKind
from epoch_gap.profiler.phases import Phase, all_phases
from epoch_gap.profiler.recording.fencing import ASRUN_BLOCK, TimingMode
from epoch_gap.profiler.recording.records import Epoch
from epoch_gap.profiler.storage.run import Run, StepTable

NS = 1e-9
"""seconds per nanosecond"""
LEAST_FOR_A_FORECAST = 4
"""The fewest steady steps from which the number of further steps can be forecast."""


@dataclass(frozen=True)
class EpochEstimate:
    """Seconds of one full epoch of one process."""

    phases: dict[Phase, Estimate | None]
    """None: the framework has no such phase, or the run ended before it. All built-in phases, and the loop's own"""
    total: Estimate
    measured: bool
    """the run trained and evaluated on every image; otherwise it is a sample"""

    @property
    def seconds(self) -> Interval:
        """Seconds of the epoch with their interval, which never goes below 0."""
        return self.total.interval(least=0.0)

    @property
    def listed(self) -> list[Phase]:
        """The phases that a table lists, in display order: `skipped` only where batches were dropped."""
        return [p for p, part in self.phases.items() if part is not None or p is not Phase.SKIPPED]

    def interval(self, phase: Phase) -> Interval | None:
        """Seconds in `phase` with their interval, which never goes below 0."""
        part = self.phases.get(phase)
        return None if part is None else part.interval(least=0.0)

    def without(self, phases: Collection[Phase]) -> "EpochEstimate":
        """This epoch minus `phases`."""
        removed = [part for phase in phases if (part := self.phases[phase]) is not None]
        remainder = Estimate(
            self.total.value - math.fsum(part.value for part in removed),
            max(0.0, self.total.variance - sum(part.variance for part in removed)),
            self.total.dof,
            self.total.third_moment - sum(part.third_moment for part in removed),
        )
        return replace(self, phases={**self.phases, **dict.fromkeys(phases)}, total=remainder)


def estimate_epoch(run: Run, steady: StepTable, mode: TimingMode, *, is_finite: bool = True) -> EpochEstimate:
    """Estimate the seconds of a full epoch by phase from `steady`, at least one steady step of one timing mode.

    With `is_finite`, the interval is for this process's own epoch and shrinks to a point if all of it was run.
    Without, it is for epochs in general, as a comparison needs.
    """
    return _EpochTerms(run, steady, complete_epochs(run, mode), is_finite).estimate(mode)


@dataclass(frozen=True)
class _EpochTerms:
    """The terms of one epoch's sum."""

    run: Run
    steady: StepTable
    complete: list[Epoch]
    """the whole epochs that were run in this timing mode; empty if the run is a sample"""
    is_finite: bool

    def estimate(self, mode: TimingMode) -> EpochEstimate:
        phases: dict[Phase, Estimate | None] = {
            phase: total(terms) if (terms := list(self._terms(phase))) else None for phase in self._phases
        }
        if mode is TimingMode.FENCED:
            phases[Phase.FLUSH] = None  # fenced steps leave no work to flush
        training = list(self._training(None))
        outside = [term for phase in self._phases if phases[phase] for term in self._outside(phase)]
        whole = total([*training, *outside])
        if training[0].dof <= 0:  # with one steady step, the spread of the other terms is not the epoch's interval
            whole = Estimate(whole.value, 0.0, 0.0)
        return EpochEstimate(phases, whole, bool(self.complete))

    @cached_property
    def _phases(self) -> list[Phase]:
        return all_phases(self.run.framework.own_phases)

    def _terms(self, phase: Phase) -> Iterable[Estimate]:
        if phase in self.run.train.phase_ns:
            yield from self._training(phase)
        yield from self._outside(phase)

    def _training(self, phase: Phase | None) -> Iterable[Estimate]:
        """Seconds in `phase` (None: all) over the epoch's training steps."""
        full = self.run.manifest.full_epoch
        if full.is_stream:
            yield mean(_seconds(self.steady, phase)).scaled(full.train_images / self.run.batch_size)
            return
        sample = list(_scale_training(self.steady, phase, self.run.batch_size, full.train_images, self.is_finite))
        if self.complete:
            yield self._measured(self._exact_training(phase), sample[0])
        else:
            yield from sample

    def _exact_training(self, phase: Phase | None) -> float:
        inside = np.isin(self.run.train.epoch, [epoch.epoch for epoch in self.complete])
        return float(_seconds(self.run.train, phase)[inside].sum()) / len(self.complete)

    def _outside(self, phase: Phase) -> Iterable[Estimate]:
        """Seconds in `phase` outside the training steps, per epoch."""
        if self.run.manifest.full_epoch.is_stream:
            yield from self._outside_of_stream(phase)
        elif phase is Phase.EVALUATE and self.run.manifest.full_epoch.test_images:
            yield from self._evaluation()
        elif phase is Phase.FLUSH and not self.complete:
            yield from _scale_flush(self.run)
        else:
            seconds = [epoch.durations.get(phase, 0) * NS for epoch in self.complete or self.run.epochs]
            if any(seconds):
                sample = mean_of_processes(seconds)
                yield self._measured(sample.value, sample) if self.complete else sample

    def _outside_of_stream(self, phase: Phase) -> Iterable[Estimate]:
        trained = _sum_by_epoch(self.run.train, self.run.train.images)
        finished = [epoch for epoch in self.run.epochs if trained[epoch.epoch]]
        seconds = [epoch.durations.get(phase, 0) * NS for epoch in finished]
        if any(seconds):
            images = [trained[epoch.epoch] for epoch in finished]
            sample = mean_of_processes(part / size for part, size in zip(seconds, images, strict=True))
            rate = replace(sample, value=math.fsum(seconds) / sum(images))
            yield rate.scaled(self.run.manifest.full_epoch.train_images)

    def _evaluation(self) -> Iterable[Estimate]:
        sample = estimate_evaluation(self.run, lambda batches: _seconds(batches, None), self.is_finite)
        if sample is None:
            return
        if self.complete:
            seconds = sum(epoch.durations.get(Phase.EVALUATE, 0) for epoch in self.complete) * NS / len(self.complete)
            sample = self._measured(seconds, sample)
        yield sample

    def _measured(self, value: float, sample: Estimate) -> Estimate:
        """`value` without a spread for this process's own epoch, and with that of `sample` for epochs in general."""
        return Estimate(value) if self.is_finite else replace(sample, value=value)


def training_precision(selection: StepSelection, batch_size: int, train_images: int) -> float | None:
    """Half the 95 % interval of an epoch's training, as a share of it; None while there is no steady state."""
    steady = selection.steady(TimingMode.ASRUN)
    if len(steady) < 2 or selection.start.kind is StartKind.NO_STEADY_STATE:
        return None
    training = total(_scale_training(steady, None, batch_size, train_images, is_finite=True))
    interval = training.interval()
    if interval.low is None or interval.high is None:
        return None
    return (interval.high - interval.low) / 2 / interval.value


def count_required_steps(run: Run, selection: StepSelection, share: float = 0.01) -> int | None:
    """How many more as-run steps would give the mean step of this process's epoch to +- `share`.

    None without a steady state or with too few steps for a forecast. 0 for a measured epoch.
    """
    full = run.manifest.full_epoch
    if complete_epochs(run, TimingMode.ASRUN):
        return 0
    steady = selection.steady(TimingMode.ASRUN)
    if len(steady) < LEAST_FOR_A_FORECAST or selection.start.kind is StartKind.NO_STEADY_STATE:
        return None
    steps = math.inf if full.is_stream else full.train_images // run.batch_size
    return max(0, required_steps(steady.wall_ns * NS, steps * _count_epochs(steady), share) - len(steady))


def _scale_training(
    steady: StepTable, phase: Phase | None, batch_size: int, train_images: int, is_finite: bool
) -> Iterable[Estimate]:
    """Seconds in `phase` over an epoch's training: its full steps and last partial batch; then that batch's error."""
    steps, partial = divmod(train_images, batch_size)
    share = partial / batch_size
    per_step = _seconds(steady, phase)
    sample = mean(per_step, steps * _count_epochs(steady) if is_finite else None).scaled(steps + share)
    yield sample
    if partial and sample.dof > 0:
        # The partial step costs between its share of a full step (the value used above) and a whole one. If every
        # cost in that range is equally likely, this is the mean squared error of the value used.
        yield Estimate(0.0, ((1 - share) * float(per_step.mean())) ** 2 / 3)


def _scale_flush(run: Run) -> Iterable[Estimate]:
    """Flush time is assumed to grow with the steps since the last wait: a fence, or the start of the epoch.

    Fewer than a block of such steps are too few to extrapolate from.
    """
    rates = [
        epoch.durations[Phase.FLUSH] * NS / images
        for epoch in run.epochs
        if Phase.FLUSH in epoch.durations
        and (images := _images_since_a_fence(run, epoch.epoch)) >= ASRUN_BLOCK * run.batch_size
    ]
    if rates:
        yield mean_of_processes(rates).scaled(run.manifest.full_epoch.train_images)


def _images_since_a_fence(run: Run, epoch: int) -> int:
    """Images of the steps whose work was flushed: before the evaluation, and after one within the training."""
    train, evaluate = (steps.where(steps.epoch == epoch) for steps in (run.train, run.evaluate))
    is_later = train.start_ns > evaluate.start_ns[0] if len(evaluate) else np.zeros(len(train), np.bool_)
    return sum(_images_after_the_last_fence(train.where(part)) for part in (~is_later, is_later))


def _images_after_the_last_fence(steps: StepTable) -> int:
    fenced = np.flatnonzero(steps.fenced)
    return int(steps.images[fenced[-1] + 1 if len(fenced) else 0 :].sum())


def whole_epochs(run: Run) -> list[Epoch]:
    """The epochs that trained and evaluated on every image, in any timing mode; without `test_images`, on any.

    A stream has none.
    """
    full = run.manifest.full_epoch
    if full.is_stream:
        return []
    trained, evaluated = (_sum_by_epoch(steps, steps.images) for steps in (run.train, run.evaluate))
    return [
        epoch
        for epoch in run.epochs
        if trained[epoch.epoch] == full.train_images and _is_whole(evaluated[epoch.epoch], full.test_images)
    ]


def _is_whole(evaluated: int, test_images: int) -> bool:
    """Whether so many evaluated images are one or more whole evaluations; any number is without `test_images`."""
    return test_images == 0 or (evaluated > 0 and evaluated % test_images == 0)


def complete_epochs(run: Run, mode: TimingMode) -> list[Epoch]:
    """The whole epochs in which every training step was of one timing mode."""
    others = _sum_by_epoch(run.train, run.train.fenced != (mode is TimingMode.FENCED))
    return [epoch for epoch in whole_epochs(run) if others[epoch.epoch] == 0]


def _sum_by_epoch(steps: StepTable, values: NDArray[np.int64] | NDArray[np.bool_]) -> Counter[int]:
    """The sum of `values`, one per step, by epoch."""
    epochs, places = np.unique(steps.epoch, return_inverse=True)
    sums = np.bincount(places, values)  # exact: far below 2**53
    return Counter(dict(zip(epochs.tolist(), map(int, sums), strict=True)))


def _count_epochs(steps: StepTable) -> int:
    return len(np.unique(steps.epoch))


def _seconds(steps: StepTable, phase: Phase | None) -> NDArray[np.float64]:
    ns = steps.wall_ns if phase is None else steps.phase_ns[phase]
    return ns.astype(np.float64) * NS
