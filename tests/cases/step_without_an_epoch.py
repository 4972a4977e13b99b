"""Steps without an epoch: the first one says so, before its work."""

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import MisuseError

try:
    with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
        with recorder.step(10):
            raise AssertionError("the work has begun")
except MisuseError as refusal:
    error = refusal

REFUSED = (MisuseError, "step(): no epoch is open; call start_epoch() first")
