"""The training forbids everything for new files."""

import os
import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
    before = os.umask(0o777)
    try:
        with recorder.epoch(0):
            for _ in range(10):
                with recorder.step(10) as step:
                    time.sleep(0.010)
                    step.mark(Phase.FORWARD)
    finally:
        os.umask(before)

EXPECTED = {"train": 10, "seconds": {"forward": 0.1}}
