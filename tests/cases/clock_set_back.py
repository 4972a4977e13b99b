"""A machine whose clock is set back in a step: no time is negative, and only that part is lost."""

import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
    with recorder.epoch(0):
        for number in range(10):
            with recorder.step(10) as step:
                time.sleep(-3600.0 if number == 5 else 0.010)
                step.mark(Phase.FORWARD)
        time.sleep(-5.0)

EXPECTED = {"train": 10, "seconds": {"forward": 0.09}}
