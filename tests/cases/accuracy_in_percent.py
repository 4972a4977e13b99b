"""An accuracy in percent would be reported as 8750 %."""

import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import MisuseError

try:
    with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
        with recorder.epoch(0) as epoch:
            with recorder.step(10):
                time.sleep(0.010)
            epoch.train_acc = 87.5
except MisuseError as refusal:
    error = refusal

REFUSED = (MisuseError, "train_acc is 87.5")
