"""A step's block, and the call that ends a step without one: two steps for one batch."""

import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import MisuseError

try:
    with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
        with recorder.epoch(0), recorder.step(10) as step:
            time.sleep(0.010)
            step.mark(Phase.FORWARD)
            recorder.close_step(10)
except MisuseError as refusal:
    error = refusal

REFUSED = (MisuseError, "close_step() within step()")
