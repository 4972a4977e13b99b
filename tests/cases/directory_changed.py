"""The training changes its working directory, and the runs' directory was given relative to the first."""

import os
import time
from pathlib import Path

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

before = Path.cwd()
folder = Path(RUNS)
folder.mkdir()
os.chdir(folder.parent)
try:
    with recording(folder.name, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
        os.chdir("/")
        with recorder.epoch(0):
            for _ in range(10):
                with recorder.step(10) as step:
                    time.sleep(0.010)
                    step.mark(Phase.FORWARD)
finally:
    os.chdir(before)

EXPECTED = {"train": 10, "seconds": {"forward": 0.1}}
