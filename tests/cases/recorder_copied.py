"""A recorder in an object that is copied or sent to a worker: refused, and the loop goes on."""

import copy
import pickle
import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import MisuseError

with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
    with recorder.epoch(0):
        for copied in (copy.copy, copy.deepcopy, pickle.dumps):
            try:
                copied({"recorder": recorder} if copied is not copy.copy else recorder)
            except MisuseError as refusal:
                assert "cannot be copied" in str(refusal)
            else:
                raise AssertionError("a copy was made")
        recorder.resume()
        for _ in range(10):
            with recorder.step(10) as step:
                time.sleep(0.010)
                step.mark(Phase.FORWARD)

EXPECTED = {"train": 10, "seconds": {"forward": 0.1}}
