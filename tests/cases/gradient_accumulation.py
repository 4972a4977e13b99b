"""The optimizer steps on every 4th micro-batch only."""

import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

clocks = {Phase.FORWARD: "sleep", Phase.BACKWARD: "sleep", Phase.STEP: "sleep, every 4th time"}
with recording(RUNS, "mine", "1", clocks, batch_size=10, train_images=200) as recorder:
    recorder.start_epoch(0)
    for number in range(20):
        time.sleep(0.010)
        recorder.mark(Phase.FORWARD)
        time.sleep(0.020)
        recorder.mark(Phase.BACKWARD)
        if number % 4 == 3:
            time.sleep(0.030)
            recorder.mark(Phase.STEP)
        recorder.close_step(10)
    recorder.close_epoch()

EXPECTED = {"train": 20, "seconds": {"forward": 0.2, "backward": 0.4, "step": 0.15}}
