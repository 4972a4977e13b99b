"""Ctrl-C within a block ends an epoch early, and the loop goes on with the next one."""

import time
from contextlib import suppress

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
    for epoch in range(2):
        with suppress(KeyboardInterrupt), recorder.epoch(epoch):
            for number in range(10):
                with recorder.step(10) as step:
                    time.sleep(0.010)
                    step.mark(Phase.FORWARD)
                    if (epoch, number) == (0, 4):
                        raise KeyboardInterrupt

EXPECTED = {"train": 14, "seconds": {"forward": 0.14}}
