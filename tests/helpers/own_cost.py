"""The end-to-end cost of marking: the training loop in alternating blocks, with and without its marks."""

import io
import time

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.stats import Interval
from epoch_gap.profiler.machine.usage import read_usage
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import Recorder
from epoch_gap.profiler.recording.records import DiscardingSink, Step
from epoch_gap.workloads import loop, registry
from epoch_gap.workloads.cifar10.synthetic import make_synthetic
from epoch_gap.workloads.progress import Progress

BATCH = 2
WARM_UP = 6


def blocks(pairs: int, steps: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Seconds of blocks of `steps` steps with marks and of as many without, each of shape (pairs,)."""
    framework = registry.build("torch", registry.Options("cpu"))
    recorder = Recorder(framework.phases, DiscardingSink(), read_usage=read_usage)
    needed = WARM_UP + 2 * pairs * steps
    made = make_synthetic(BATCH * needed, BATCH, 1)
    x, y = made.x_train.astype(np.float32) / 255, made.y_train.astype(np.int64)
    ends: list[float] = []

    def toggle(step: Step) -> bool:
        """Marks are on in even blocks and off in odd ones, the order turned from pair to pair (A B B A)."""
        ends.append(time.perf_counter())
        pair, second = divmod((step.index + 1 - WARM_UP) // steps, 2)
        if step.index + 1 >= WARM_UP and (pair + second) % 2:
            mark = recorder.mark
            recorder.mark = lambda phase: mark(phase) if phase is Phase.LOGGING else None  # a step has one at least
        return step.index + 1 == needed

    loop.train(
        framework,
        framework.loader(x, y, BATCH, True, loop.timed_collate(recorder)),
        framework.loader(x[:BATCH], y[:BATCH], BATCH, False, lambda collate: collate),
        recorder,
        Progress("torch", needed, needed, io.StringIO()),
        epochs=1,
        should_stop=toggle,
    )
    seconds = np.diff(ends[WARM_UP - 1 :: steps]).reshape(pairs, 2)
    seconds[1::2] = seconds[1::2, ::-1]
    return seconds[:, 0], seconds[:, 1]


def in_words(interval: Interval) -> str:
    """A ratio with its interval, to the hundredth of a percent."""
    return f"{interval.value:.4f} (95 % {interval.low:.4f} to {interval.high:.4f})"
