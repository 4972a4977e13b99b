"""Ctrl-C in the middle of a step: the steps before it remain."""

import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

try:
    with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
        recorder.start_epoch(0)
        for step in range(10):
            time.sleep(0.010)
            if step == 7:
                raise KeyboardInterrupt
            recorder.mark(Phase.FORWARD)
            recorder.close_step(10)
except KeyboardInterrupt:
    pass

EXPECTED = {"train": 7, "seconds": {"forward": 0.07}, "status": "interrupted"}
