"""Numbers as NumPy returns them, the epoch's included."""

import time

import numpy as np

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

sizes = {"batch_size": np.int32(10), "train_images": np.int64(100)}
with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, **sizes) as recorder:
    for epoch in np.arange(2):
        recorder.start_epoch(epoch)
        for _ in range(10):
            time.sleep(0.010)
            recorder.mark(Phase.FORWARD)
            recorder.close_step(np.int64(10), np.float32(1.0), np.array([True, False]).sum())
        recorder.close_epoch(*np.float32([0.1, 1.0, 0.5]))

EXPECTED = {"train": 20, "seconds": {"forward": 0.2}}
