"""A trainer that owns the loop and calls hooks: no `with` around a step, and the context is entered by hand."""

import time
from contextlib import ExitStack

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase


class Callback:
    """The hooks of a trainer."""

    def __init__(self) -> None:
        self.stack = ExitStack()

    def on_fit_start(self) -> None:
        """Begin the recording."""
        clocks = {Phase.FORWARD: "forward", Phase.BACKWARD: "backward"}
        context = recording(RUNS, "trainer", "1", clocks, batch_size=10, train_images=100)
        self.recorder = self.stack.enter_context(context)
        self.recorder.start_epoch(0)

    def on_before_backward(self) -> None:
        """End of forward."""
        self.recorder.mark(Phase.FORWARD)

    def on_after_backward(self) -> None:
        """End of backward."""
        self.recorder.mark(Phase.BACKWARD)

    def on_train_batch_end(self) -> None:
        """End of the step."""
        self.recorder.close_step(10)

    def on_fit_end(self) -> None:
        """End the recording."""
        self.recorder.close_epoch()
        self.stack.close()


hooks = Callback()
hooks.on_fit_start()
for _ in range(10):
    time.sleep(0.010)
    hooks.on_before_backward()
    time.sleep(0.020)
    hooks.on_after_backward()
    hooks.on_train_batch_end()
hooks.on_fit_end()

EXPECTED = {"train": 10, "seconds": {"forward": 0.1, "backward": 0.2}}
