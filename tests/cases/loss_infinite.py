"""A loss that overflows: the steps before and after it count, and every report is written."""

import math
import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
    with recorder.epoch(0) as epoch:
        for number in range(10):
            with recorder.step(10) as step:
                time.sleep(0.010)
                step.mark(Phase.FORWARD)
                step.loss = math.inf if number == 5 else -math.inf if number == 6 else 1.0
        epoch.train_loss = math.inf

EXPECTED = {"train": 10, "seconds": {"forward": 0.1}}
