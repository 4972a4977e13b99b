"""A loop that counts its epochs from 0 again after a restart in one process."""

import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import MisuseError

try:
    with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=10) as recorder:
        for _ in range(2):
            recorder.start_epoch(0)
            time.sleep(0.010)
            recorder.mark(Phase.FORWARD)
            recorder.close_step(10)
            recorder.close_epoch()
except MisuseError as refusal:
    error = refusal

REFUSED = (MisuseError, "start_epoch(0)")
