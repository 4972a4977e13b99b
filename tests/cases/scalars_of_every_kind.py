"""Sizes as floats, booleans, NumPy's scalars, and tensors of one element."""

import time

import numpy as np

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase


class Tensor:
    """A scalar that is a number only if it is asked."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __int__(self) -> int:
        return int(self.value)

    def __float__(self) -> float:
        return float(self.value)


with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
    with recorder.epoch(0):
        for images in (10, 10.0, np.int64(10), np.float32(10), np.array(10), Tensor(10), True, np.bool_(True), 0, 10):
            recorder.start_stage("train")
            time.sleep(0.010)
            recorder.mark(Phase.FORWARD)
            recorder.close_step(images, Tensor(1.5), Tensor(0))

EXPECTED = {"train": 10, "seconds": {"forward": 0.1}}
