"""Validation after every 25th of 100 training steps."""

import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

sizes = {"batch_size": 10, "train_images": 1000, "test_images": 40}
with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, **sizes) as recorder:
    recorder.start_epoch(0)
    recorder.start_stage("train")
    for step in range(100):
        time.sleep(0.020)
        recorder.mark(Phase.FORWARD)
        recorder.close_step(10, loss=1.0, correct=5)
        if step % 25 == 24:
            recorder.start_stage("evaluate")
            for _ in range(4):
                time.sleep(0.005)
                recorder.mark(Phase.EVALUATE)
                recorder.close_step(10, loss=1.0, correct=5)
            recorder.start_stage("train")
    recorder.close_epoch()

EXPECTED = {"train": 100, "evaluate": 16, "seconds": {"forward": 2.0, "evaluate": 0.08}}
