"""Early stopping: the loop leaves an epoch, and the next one begins."""

import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
    for epoch in range(2):
        recorder.start_epoch(epoch)
        for step in range(10):
            time.sleep(0.010)
            recorder.mark(Phase.FORWARD)
            if epoch == 0 and step == 5:
                break
            recorder.close_step(10)
        else:
            recorder.close_epoch()

EXPECTED = {"train": 15, "seconds": {"forward": 0.15}}
