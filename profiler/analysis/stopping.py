"""When a sample of an epoch is large enough."""

import time
from collections.abc import Callable

from epoch_gap.profiler.analysis.epoch import precision
from epoch_gap.profiler.analysis.stats import t_quantile
from epoch_gap.profiler.recording.recorder import Step
from epoch_gap.profiler.storage.run import StepTable

LEAST_IN_TIME = 8
"""steps that are taken however long they last"""
LEAST_FOR_PRECISION = 18
"""steps before an interval is trusted: two turns of both ledgers"""
ALL = "all images were used"
EACH = 1.05
"""The interval is looked at again when there are this many times as many steps."""
LOOKS = 3
"""in a row that must find it narrow: a sample that stops at the first lucky one is too sure"""


class Sample:
    """Ends an epoch's training by number, time or precision, whichever is first; `reason` says which.

    `seconds` counts from the end of the epoch's first step; `share` is half the 95 % interval of the epoch's
    training, as a share of it. None: no such limit. Time and precision end it only where `may_end` (steps) says so.
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
        self._deadline = 0.0
        self._look_at = 0.0
        self._precise = 0
        self.reason = ALL
        if share is not None:
            t_quantile(0.5, 1)  # what it needs is loaded before anything is timed

    def __call__(self, step: Step) -> bool:
        """Whether the steps of this epoch, of which `step` is the newest, are enough."""
        if step.index == 0:
            self._steps.clear()
            self.reason = ALL
            self._deadline = self._clock() + (self._seconds or 0.0)
            self._look_at = LEAST_FOR_PRECISION
            self._precise = 0
        self._steps.append(step)
        taken = len(self._steps)
        if self._share is not None and taken >= self._look_at:
            self._look_at = taken * EACH if self._precise < LOOKS else taken + 1
            found = precision(StepTable.of(self._steps), self._batch_size, self._train_images)
            self._precise = self._precise + 1 if found is not None and found <= self._share else 0
            if self._precise >= LOOKS and self._may_end(taken):
                self.reason = f"the epoch's training is known within {self._share:.0%}"
                return True
        if (
            self._seconds is not None
            and taken >= LEAST_IN_TIME
            and self._may_end(taken)
            and self._clock() >= self._deadline
        ):
            self.reason = f"its time of {self._seconds:.0f} s was spent"
            return True
        if self._most is not None and taken >= self._most:
            self.reason = f"its number of steps, {self._most}, was reached"
            return True
        return False
