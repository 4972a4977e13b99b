"""Ranks: what a framework can do that trains as one process of several, and when all of them stop."""

import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from epoch_gap.profiler.analysis.evaluation import LEAST_BATCHES
from epoch_gap.profiler.analysis.stopping import ALL_IMAGES, EVALUATION
from epoch_gap.profiler.recording.recorder import Recorder
from epoch_gap.profiler.recording.records import Step

PROBE = 5
"""the step after which rank 0 says how many there will be"""


@runtime_checkable
class Distributed(Protocol):
    """A `Framework` that trains one rank: its loader reads the rank's share of the images."""

    @property
    def world_size(self) -> int:
        """The number of ranks."""

    def watch_collectives(self, recorder: Recorder) -> None:
        """Note every collective of a training step in `recorder.collectives`. Call it before the first step."""

    def share(self, value: int) -> int:
        """Rank 0's value, on every rank; all ranks must call it."""

    def leave(self) -> None:
        """End this rank's part in the training."""


def share_of(images: int, world_size: int) -> int:
    """The images of one rank; the last ranks repeat some, so that all have equally many."""
    return -(-images // world_size)


class SharedStop:
    """A `Plan` that ends the training of every rank after the same step; `reason` names the limit.

    A time limit becomes a number of steps: once, after step `PROBE`, as rank 0 measures them. Ranks that stopped each
    by its own clock would wait for each other forever. In the evaluation no rank waits for another, so each ends it
    by its own clock, when the seconds from the end of the epoch's first step are over.
    """

    def __init__(
        self,
        framework: Distributed,
        steps: int | None,
        seconds: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._framework, self._steps, self._seconds, self._clock = framework, steps, seconds, clock
        self._first_end = 0.0
        self._most: int | None = steps
        self._wall_ns: list[int] = []
        self.reason = ALL_IMAGES

    def __call__(self, step: Step) -> bool:
        """Whether training stops after `step`, the newest of its epoch."""
        if step.index == 0:
            self._wall_ns.clear()
            self._first_end = self._clock()
            self._most, self.reason = self._steps, ALL_IMAGES
        self._wall_ns.append(step.wall_ns)
        if self._seconds is not None and len(self._wall_ns) == PROBE:
            fit = self._framework.share(self._steps_that_fit(self._seconds))
            self._most = fit if self._steps is None else min(fit, self._steps)
        if self._most is None or len(self._wall_ns) < self._most:
            return False
        is_number = self._most == self._steps
        limit = f"its number of steps, {self._most}, was" if is_number else f"the {self._most} steps of its time were"
        self.reason = f"{limit} reached" if is_number else f"{limit} taken"
        return True

    def _steps_that_fit(self, seconds: float) -> int:
        """Steps that leave time for the evaluation, as the steps after the first took."""
        later = self._wall_ns[1:]
        return max(PROBE, int(seconds * (1 - EVALUATION) * 1e9 * len(later) / max(1, sum(later))))

    def is_due(self) -> bool:
        """Whether to evaluate within the training: never."""
        return False

    def ends_after(self, batches: int) -> bool:
        """Whether the evaluation ends after this number of test batches, because the time is over."""
        if self._seconds is None or batches < LEAST_BATCHES:
            return False
        return self._clock() - self._first_end >= self._seconds
