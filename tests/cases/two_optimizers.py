"""A GAN: two forward passes and two optimizer steps per batch."""

import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

clocks = {Phase.FORWARD: "sleep, twice", Phase.STEP: "sleep, twice"}
with recording(RUNS, "gan", "1", clocks, batch_size=10, train_images=100) as recorder:
    recorder.start_epoch(0)
    for _ in range(10):
        for seconds in (0.010, 0.003):
            time.sleep(seconds)
            recorder.mark(Phase.FORWARD)
            time.sleep(0.001)
            recorder.mark(Phase.STEP)
        recorder.close_step(10)
    recorder.close_epoch()

EXPECTED = {"train": 10, "seconds": {"forward": 0.13, "step": 0.02}}
