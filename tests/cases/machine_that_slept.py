"""A machine sleeps for an hour in one step, and its clock goes on: the step is stored, and named."""

import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=1000) as recorder:
    with recorder.epoch(0):
        for number in range(100):
            with recorder.step(10) as step:
                time.sleep(3600.0 if number == 50 else 0.010 + 1e-4 * (number % 3))
                step.mark(Phase.FORWARD)

EXPECTED = {
    "train": 100,
    "seconds": {"forward": 3600.9998},
    "says": "1 of 99 steps took up to 3600 s",
}
