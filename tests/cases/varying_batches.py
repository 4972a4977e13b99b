"""Token budgets: no two batches have the same size."""

import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=64, train_images=1000) as recorder:
    recorder.start_epoch(0)
    for size in range(30, 50):
        time.sleep(0.001 * size)
        recorder.mark(Phase.FORWARD)
        recorder.close_step(size)
    recorder.close_epoch()

EXPECTED = {"train": 20, "seconds": {"forward": 0.79}}
