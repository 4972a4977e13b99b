"""Phases of the loop's own, between built-in ones; one of them only in some steps."""

import time

from epoch_gap.profiler.instrument import recording

clocks = {"forward": "sleep", "backward": "sleep", "clip_grad": "sleep", "all_reduce": "sleep, every 4th time"}
with recording(RUNS, "mine", "1", clocks, batch_size=10, train_images=200) as recorder, recorder.epoch(0):
    for number in range(20):
        with recorder.step(10) as step:
            time.sleep(0.010)
            step.mark("forward")
            time.sleep(0.020)
            step.mark("backward")
            time.sleep(0.005)
            step.mark("clip_grad")
            if number % 4 == 3:
                time.sleep(0.030)
                step.mark("all_reduce")

EXPECTED = {"train": 20, "seconds": {"forward": 0.2, "backward": 0.4, "clip_grad": 0.1, "all_reduce": 0.15}}
