"""Marks before the first epoch and between two belong to nothing; after the last step, to the epoch."""

import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
    recorder.mark(Phase.FETCH)
    for epoch in range(2):
        time.sleep(1.0)
        recorder.mark(Phase.FETCH)
        with recorder.epoch(epoch):
            for _ in range(5):
                with recorder.step(10) as step:
                    time.sleep(0.010)
                    step.mark(Phase.FORWARD)
            time.sleep(0.003)
            recorder.mark(Phase.FORWARD)

EXPECTED = {"train": 10, "seconds": {"forward": 0.106}}
