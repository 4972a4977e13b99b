"""A thousand epochs of one step each."""

import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
    for epoch in range(1000):
        with recorder.epoch(epoch), recorder.step(10) as step:
            time.sleep(0.010)
            step.mark(Phase.FORWARD)

EXPECTED = {"train": 1000, "seconds": {"forward": 10.0}}
