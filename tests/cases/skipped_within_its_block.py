"""A batch that turns out to be useless is dropped within its block."""

import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
    with recorder.epoch(0):
        for number in range(10):
            with recorder.step(10) as step:
                time.sleep(0.010)
                if number == 4:
                    recorder.skip_step()
                    continue
                step.mark(Phase.FORWARD)

EXPECTED = {"train": 9, "seconds": {"forward": 0.09, "skipped": 0.01}}
