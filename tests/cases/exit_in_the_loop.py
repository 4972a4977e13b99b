"""The loop ends the program when it is content."""

import sys
import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

try:
    with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
        with recorder.epoch(0):
            for number in range(10):
                with recorder.step(10) as step:
                    time.sleep(0.010)
                    step.mark(Phase.FORWARD)
                if number == 6:
                    sys.exit()
except SystemExit:
    pass

EXPECTED = {"train": 7, "seconds": {"forward": 0.07}, "status": "interrupted"}
