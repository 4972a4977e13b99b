"""Two recordings, one after the other, into one folder: two runs, each with its own steps."""

import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

for count in (3, 10):
    with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
        with recorder.epoch(0):
            for _ in range(count):
                with recorder.step(10) as step:
                    time.sleep(0.010)
                    step.mark(Phase.FORWARD)

EXPECTED = {"train": 10, "seconds": {"forward": 0.1}, "runs": 2}
