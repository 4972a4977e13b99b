"""A second run in a process whose first one failed, as in a notebook."""

import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

for count in (3, 10):
    try:
        with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
            recorder.start_epoch(0)
            for _ in range(count):
                time.sleep(0.010)
                recorder.mark(Phase.FORWARD)
                recorder.close_step(10)
            if count == 3:
                raise ZeroDivisionError
            recorder.close_epoch()
    except ZeroDivisionError:
        pass

EXPECTED = {"train": 10, "seconds": {"forward": 0.1}}
