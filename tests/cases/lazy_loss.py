"""A loss that is computed when it is read: the wait belongs to the step."""

import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase


class Lazy:
    """A tensor of a lazy framework."""

    def __float__(self) -> float:
        time.sleep(0.213)
        return 1.0


clocks = {Phase.FORWARD: "builds the graph", Phase.METRICS: "reads the loss"}
with recording(RUNS, "lazy", "1", clocks, batch_size=10, train_images=100) as recorder:
    recorder.start_epoch(0)
    for _ in range(10):
        time.sleep(0.016)
        recorder.mark(Phase.FORWARD)
        recorder.close_step(10, Lazy(), 5)
    recorder.close_epoch()

EXPECTED = {"train": 10, "seconds": {"forward": 0.16, "metrics": 2.13}}
