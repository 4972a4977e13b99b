"""resume() in mid-step: what was marked before it would have a negative time."""

import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import MisuseError

try:
    with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
        recorder.start_epoch(0)
        recorder.mark(Phase.FETCH)
        time.sleep(0.010)
        recorder.resume()
except MisuseError as refusal:
    error = refusal

REFUSED = (MisuseError, "resume(): end the marks before it")
