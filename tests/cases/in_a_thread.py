"""The loop runs in a thread, as behind a graphical interface."""

import threading
import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase


def train() -> None:
    """The whole recording, in this thread."""
    with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
        recorder.start_epoch(0)
        for _ in range(10):
            time.sleep(0.010)
            recorder.mark(Phase.FORWARD)
            recorder.close_step(10)
        recorder.close_epoch()


thread = threading.Thread(target=train)
thread.start()
thread.join()

EXPECTED = {"train": 10, "seconds": {"forward": 0.1}}
