"""An evaluation, though the number of test images was not told."""

import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
    recorder.start_epoch(0)
    for stage, count, phase in (("train", 10, Phase.FORWARD), ("evaluate", 3, Phase.EVALUATE)):
        recorder.start_stage(stage)
        for _ in range(count):
            time.sleep(0.010)
            recorder.mark(phase)
            recorder.close_step(10)
    recorder.close_epoch()

EXPECTED = {"train": 10, "evaluate": 3, "seconds": {"forward": 0.1, "evaluate": 0.03}}
