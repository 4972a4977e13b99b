"""No loss, no accuracy, and a learning rate that is not a number."""

import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
    recorder.start_epoch(0)
    for _ in range(10):
        time.sleep(0.010)
        recorder.mark(Phase.FORWARD)
        recorder.close_step(10, loss=None, correct=None)
    recorder.close_epoch(lr=float("nan"))

EXPECTED = {"train": 10, "seconds": {"forward": 0.1}}
