"""Every call after the end of the recording says that it has ended, and the run stays as it was."""

import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import MisuseError

with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
    with recorder.epoch(0):
        for _ in range(10):
            with recorder.step(10) as step:
                time.sleep(0.010)
                step.mark(Phase.FORWARD)

calls = (
    lambda: recorder.mark(Phase.FORWARD),
    lambda: recorder.start_epoch(1),
    lambda: recorder.close_step(10),
    lambda: recorder.skip_step(),
    lambda: recorder.close_epoch(),
    lambda: recorder.epoch(1).__enter__(),
    lambda: recorder.step(10).__enter__(),
    lambda: recorder.evaluation().__enter__(),
    lambda: recorder.outside(Phase.CHECKPOINT).__enter__(),
)
for call in calls:
    try:
        call()
    except MisuseError as refusal:
        assert "the recording has ended" in str(refusal)
    else:
        raise AssertionError("a call after the end was accepted")

EXPECTED = {"train": 10, "seconds": {"forward": 0.1}}
