"""A batch that runs out of memory is dropped, and the loop goes on."""

import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
    recorder.start_epoch(0)
    for number in range(10):
        try:
            time.sleep(0.020)
            if number == 4:
                time.sleep(0.043)
                raise MemoryError
            recorder.mark(Phase.FORWARD)
        except MemoryError:
            recorder.skip_step()
            continue
        recorder.close_step(10)
    recorder.close_epoch()

EXPECTED = {"train": 9, "seconds": {"forward": 0.18, "skipped": 0.063}}
