"""Somebody removes the runs while the training goes on: it ends as if nothing had happened."""

import shutil
import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

trained = 0
sizes = {"batch_size": 10, "train_images": 100}
with recording(f"{RUNS}/first", "mine", "1", {Phase.FORWARD: "sleep"}, **sizes) as recorder:
    recorder.start_epoch(0)
    shutil.rmtree(f"{RUNS}/first")
    for _ in range(10):
        time.sleep(3.0)  # longer than the time between two writes
        recorder.mark(Phase.FORWARD)
        recorder.close_step(10)
        trained += 1
    recorder.close_epoch()
assert trained == 10

with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, **sizes) as recorder:
    recorder.start_epoch(0)
    time.sleep(0.010)
    recorder.mark(Phase.FORWARD)
    recorder.close_step(10)

EXPECTED = {"train": 1, "seconds": {"forward": 0.01}}
