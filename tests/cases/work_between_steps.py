"""Work that nobody marked between two steps: it belongs to the next step's first phase, unless the loop resumes."""

import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

clocks = {Phase.FETCH: "the loader, and what the loop does before it", Phase.FORWARD: "sleep"}
with recording(RUNS, "mine", "1", clocks, batch_size=10, train_images=100) as recorder:
    recorder.start_epoch(0)
    for number in range(10):
        if number == 5:
            time.sleep(1.0)  # a picture is drawn
            recorder.resume()
        time.sleep(0.002)
        recorder.mark(Phase.FETCH)
        time.sleep(0.010)
        recorder.mark(Phase.FORWARD)
        recorder.close_step(10)
    recorder.close_epoch()

EXPECTED = {"train": 10, "seconds": {"fetch": 0.02, "forward": 0.1}}
