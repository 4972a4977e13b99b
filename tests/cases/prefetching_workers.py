"""Workers make the next batch in 30 ms while the loop needs 20 ms: it is blocked on their queue for 10 ms."""

import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase


class Queue:
    """A batch is put into it every 30 ms from the start on."""

    def __init__(self) -> None:
        self.now = self.ready = 0.0

    def get(self) -> None:
        """Block until the next batch is there."""
        self.ready += 0.030
        blocked = max(0.0, self.ready - self.now)
        time.sleep(blocked)
        self.now += blocked + 0.020  # the loop's own work follows


queue = Queue()
with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
    with recorder.epoch(0):
        for _ in range(10):
            queue.get()
            with recorder.step(10) as step:
                time.sleep(0.020)
                step.mark(Phase.FORWARD)

EXPECTED = {"train": 10, "seconds": {"fetch": 0.03 + 9 * 0.01, "forward": 0.2}}
