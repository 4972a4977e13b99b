"""How much of the training a run does."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """A named amount of work; None means all of it."""

    batch_size: int = 128
    epochs: int = 1
    steps: int | None = None
    """training steps per epoch"""
    seconds: float | None = None
    """of training per epoch; at least `MIN_STEPS` steps are taken whatever the time"""
    train_limit: int | None = None
    test_limit: int | None = None
    fence: str = "none"
    """none | alternate | all: which training steps wait before each mark"""


MIN_STEPS = 8

PRESETS = {
    "smoke": Preset(batch_size=4, steps=4, train_limit=160, test_limit=8),
    "quick": Preset(steps=60, seconds=300.0, test_limit=1024, fence="alternate"),
    "epoch": Preset(),
    "article": Preset(epochs=20),
}


class Sample:
    """Ends an epoch's training after `steps` steps or `seconds` seconds, whichever is first; see `Enough`."""

    def __init__(self, steps: int | None, seconds: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._steps, self._seconds, self._clock = steps, seconds, clock
        self._deadline = 0.0

    def __call__(self, steps: int) -> bool:
        """Whether `steps` steps of this epoch are enough. The epoch's time counts from its first step's end."""
        if self._seconds is not None:
            if steps == 1:
                self._deadline = self._clock() + self._seconds
            if steps >= MIN_STEPS and self._clock() >= self._deadline:
                return True
        return self._steps is not None and steps >= self._steps
