"""A generator that trains and yields its losses; its caller has seen enough after the third."""

import time
from collections.abc import Iterator

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase


def losses() -> Iterator[float]:
    """Train for one epoch."""
    with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
        with recorder.epoch(0):
            for number in range(10):
                with recorder.step(10) as step:
                    time.sleep(0.010)
                    step.mark(Phase.FORWARD)
                    step.loss = 1.0 / (number + 1)
                yield step.loss


running = losses()
for _ in range(3):
    next(running)
running.close()

EXPECTED = {"train": 3, "seconds": {"forward": 0.03}, "status": "interrupted"}
