"""A mark of a misspelt phase: its time would be in `other` without a word."""

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.recording.recorder import MisuseError

try:
    with recording(RUNS, "mine", "1", {"forward": ""}, batch_size=10, train_images=100) as recorder:
        recorder.start_epoch(0)
        recorder.mark("foward")
        recorder.close_step(10)
except MisuseError as misuse:
    error = misuse

REFUSED = (MisuseError, "'foward'")
