"""A notebook: one cell begins the recording, a later one fails, and both are executed again."""

import time
from contextlib import ExitStack, suppress

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

for attempt in range(2):
    stack = ExitStack()  # the first recording ends here, as its stack is dropped
    context = recording(RUNS, "notebook", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100)
    recorder = stack.enter_context(context)
    del context
    with suppress(ZeroDivisionError), recorder.epoch(0):
        for number in range(10):
            with recorder.step(10) as step:
                time.sleep(0.010)
                step.mark(Phase.FORWARD)
                if attempt == 0 and number == 3:
                    raise ZeroDivisionError
stack.close()

EXPECTED = {"train": 10, "seconds": {"forward": 0.1}}
