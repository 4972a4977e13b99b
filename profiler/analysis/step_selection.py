"""Selection of the training steps that count: full batches after the warm-up, in one timing mode."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.warm_up import Start, StartKind, detect_late_start, detect_start
from epoch_gap.profiler.recording.fencing import TimingMode
from epoch_gap.profiler.storage.run import StepTable


@dataclass(frozen=True)
class StepSelection:
    """The full training steps of a run, and the start that was detected in them."""

    full: StepTable
    """every step that counts: those of a full batch, or all where the size of a batch varies"""
    batch_size: int
    start: Start
    """`start.steps` counts full steps of either timing mode"""

    def steady(self, mode: TimingMode) -> StepTable:
        """The steps of one timing mode after the start, without the first after each switch of modes.

        Where the size of a batch varies, they are scaled so that their mean is the time of `batch_size` images.
        """
        return self._steady[mode]

    @cached_property
    def _steady(self) -> dict[TimingMode, StepTable]:
        later = self.after_start
        usable = ~_follows_a_switch(later)
        steady = {mode: later.where((later.fenced == (mode is TimingMode.FENCED)) & usable) for mode in TimingMode}
        return {mode: _per_batch(steps, self.batch_size) for mode, steps in steady.items()}

    @cached_property
    def after_start(self) -> StepTable:
        """All full steps after the start, of either timing mode."""
        return self.full.where(np.arange(len(self.full)) >= self.start.steps)

    @cached_property
    def judged_at_start(self) -> StepTable:
        """The steps of the start that the warm-up's excess is computed from."""
        early = self.full.where(_is_judged(self.full) & (np.arange(len(self.full)) < self.start.steps))
        return _per_batch(early, self.batch_size)

    @cached_property
    def for_trend(self) -> StepTable:
        """The steps that a trend is fitted to: without the first step and without a slow warm-up.

        A faster start is part of a trend, not a warm-up.
        """
        is_warm_up = self.start.kind is StartKind.WARM_UP
        start = self.start.steps if is_warm_up else min(1, len(self.full) - 1)
        return self.full.where(_is_judged(self.full) & (np.arange(len(self.full)) >= start))


def select_steps(train: StepTable, batch_size: int) -> StepSelection:
    """Detect the start of a run and select its full steps.

    The start is detected in the steps that make up totals: as-run steps, or fenced ones if there are no others. A
    slow decline over many steps, as of a growing heap, shows more clearly in the page faults than in the steps.
    """
    full = train.where(counts_as_full(train, batch_size))
    judged = np.flatnonzero(_is_judged(full))
    if not len(judged):
        return StepSelection(full, batch_size, Start(StartKind.FLAT, 0))
    wall_ns = full.wall_ns[judged] * (batch_size / full.images[judged])
    start = detect_start(wall_ns)
    if full.usage is not None:
        later = detect_late_start(wall_ns, full.usage.minor_faults[judged])
        start = later if later is not None and later.steps > start.steps else start
    return StepSelection(full, batch_size, replace(start, steps=int(judged[start.steps])))


def counts_as_full(steps: StepTable, size: int, passes: int = 0) -> NDArray[np.bool_]:
    """Which steps make up an epoch's estimate: those of `size` images, or all with any where sizes vary.

    A loader with one size leaves at most one smaller batch at the end of an epoch, or of each of `passes` passes over
    the data if there are more.
    """
    is_full = np.equal(steps.images, size)
    varies = np.count_nonzero(~is_full) > max(passes, len(np.unique(steps.epoch)))
    return steps.images > 0 if varies else is_full


def _per_batch(steps: StepTable, batch_size: int) -> StepTable:
    """The steps scaled by one factor, so that their mean is the time of `batch_size` images (a ratio of sums)."""
    images = int(steps.images.sum())
    return steps.scaled(batch_size * len(steps) / images) if images else steps


def _is_judged(full: StepTable) -> NDArray[np.bool_]:
    return ~_follows_a_switch(full) & (~full.fenced | full.fenced.all())


def _follows_a_switch(steps: StepTable) -> NDArray[np.bool_]:
    """Whether a step is the first of its block within its epoch: it may include work of the other mode."""
    switched = np.zeros(len(steps), np.bool_)
    switched[1:] = (steps.fenced[1:] != steps.fenced[:-1]) & (steps.epoch[1:] == steps.epoch[:-1])
    return switched
