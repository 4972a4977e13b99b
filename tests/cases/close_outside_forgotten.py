"""The time before the first step is marked, and no call says whose it is."""

import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import MisuseError

try:
    with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
        recorder.start_epoch(0)
        time.sleep(0.045)
        recorder.mark(Phase.EPOCH_START)
        recorder.start_stage("train")
except MisuseError as refusal:
    error = refusal

REFUSED = (MisuseError, "close_outside()")
