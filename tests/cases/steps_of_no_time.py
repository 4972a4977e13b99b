"""Steps so short that the clock does not move."""

import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
    with recorder.epoch(0):
        for _ in range(10):
            with recorder.step(10) as step:
                time.sleep(0)
                step.mark(Phase.FORWARD)

EXPECTED = {"train": 10, "seconds": {}, "unreported": "its steps took no time by the clock"}
