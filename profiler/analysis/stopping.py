"""The stopping rule: when a sample of an epoch is large enough."""

import time
from collections.abc import Callable
from itertools import count

from epoch_gap.profiler.analysis.epoch import training_precision
from epoch_gap.profiler.analysis.evaluation import LEAST_BATCHES
from epoch_gap.profiler.analysis.stats import t_quantile
from epoch_gap.profiler.analysis.step_selection import select_steps
from epoch_gap.profiler.recording.records import Step
from epoch_gap.profiler.storage.run import StepTable

LEAST_IN_TIME = 4
"""The fewest steps before the time limit applies."""
LEAST_FOR_PRECISION = 18
"""The fewest steps before the precision limit applies: two cycles of both timing modes."""
EVALUATION = 0.1
"""share of the time that is left to the evaluation"""
ALL_IMAGES = "all images were used"
GROWTH = 1.05
"""The interval is checked again each time the number of steps has grown by this factor."""
CHECKS = 3
"""Consecutive checks that must find the interval narrow: stopping at the first lucky check is overconfident."""


class StoppingRule:
    """Ends an epoch's training by number of steps, time or precision, whichever is first; `reason` names it.

    `seconds` are for training and evaluation, from the end of the epoch's first step. Training ends before the step
    that would leave less than `EVALUATION` of them, and the evaluation when they are over. `share` is half the 95 %
    interval of the epoch's training, as a share of it. None: no such limit. Time and precision end training only
    after a number of steps for which `may_end` is true.
    """

    def __init__(
        self,
        batch_size: int,
        train_images: int,
        steps: int | None = None,
        seconds: float | None = None,
        share: float | None = None,
        may_end: Callable[[int], bool] = lambda steps: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._batch_size, self._train_images = batch_size, train_images
        self._most, self._seconds, self._share, self._clock = steps, seconds, share, clock
        self._may_end = may_end
        self._steps: list[Step] = []
        self._first_end = 0.0
        self._next_check = 0.0
        self._passed_checks = 0
        self.reason = ALL_IMAGES
        if share is not None:
            t_quantile(0.5, 1)  # imports its dependencies before anything is timed

    def __call__(self, step: Step) -> bool:
        """Whether training stops after `step`, the newest of its epoch."""
        if step.index == 0:
            self._start_epoch()
        self._steps.append(step)
        reason = self._reason_to_stop(len(self._steps))
        if reason is not None:
            self.reason = reason
        return reason is not None

    def is_due(self) -> bool:
        """Whether to evaluate within the training: never."""
        return False

    def ends_after(self, batches: int) -> bool:
        """Whether the evaluation ends after this number of test batches, because the time is over."""
        return self._seconds is not None and batches >= LEAST_BATCHES and self._elapsed() >= self._seconds

    def _elapsed(self) -> float:
        return self._clock() - self._first_end

    def _start_epoch(self) -> None:
        self._steps.clear()
        self.reason = ALL_IMAGES
        self._first_end = self._clock()
        self._next_check = LEAST_FOR_PRECISION
        self._passed_checks = 0

    def _reason_to_stop(self, steps: int) -> str | None:
        if self._is_precise(steps):
            return f"the epoch's training is known within {self._share:.0%}"
        if self._is_out_of_time(steps):
            return f"its time of {self._seconds:.0f} s was spent"
        if self._most is not None and steps >= self._most:
            return f"its number of steps, {self._most}, was reached"
        return None

    def _is_precise(self, steps: int) -> bool:
        if self._share is None or steps < self._next_check:
            return False
        self._next_check = steps * GROWTH if self._passed_checks < CHECKS else steps + 1
        selection = select_steps(StepTable.from_steps(self._steps), self._batch_size)
        precision = training_precision(selection, self._batch_size, self._train_images)
        self._passed_checks = self._passed_checks + 1 if precision is not None and precision <= self._share else 0
        return self._passed_checks >= CHECKS and self._may_end(steps)

    def _is_out_of_time(self, steps: int) -> bool:
        """Whether training up to the next number of steps at which it may end would take too long."""
        if self._seconds is None or steps < LEAST_IN_TIME or not self._may_end(steps):
            return False
        elapsed = self._elapsed()
        further = next(n for n in count(1) if self._may_end(steps + n))
        return elapsed + further * elapsed / (steps - 1) > self._seconds * (1 - EVALUATION)
