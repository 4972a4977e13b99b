"""Work outside of the steps under a name that is no phase: its time would be in no phase."""

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.recording.recorder import MisuseError

try:
    with recording(RUNS, "mine", "1", {"forward": ""}, batch_size=10, train_images=100) as recorder:
        recorder.start_epoch(0)
        with recorder.outside("chekpoint"):
            pass
except MisuseError as misuse:
    error = misuse

REFUSED = (MisuseError, "'chekpoint'")
