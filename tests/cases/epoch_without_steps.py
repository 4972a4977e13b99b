"""A loader that had nothing to give in one epoch."""

import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
    for epoch in range(2):
        with recorder.epoch(epoch):
            for _ in range(10 * epoch):
                with recorder.step(10) as step:
                    time.sleep(0.010)
                    step.mark(Phase.FORWARD)

EXPECTED = {"train": 10, "seconds": {"forward": 0.1}}
