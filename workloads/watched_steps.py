"""A few training steps with nothing watched, then as many watched: what a drill-down is made of."""

import io
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from epoch_gap.profiler.drilldown.spans import Spans
from epoch_gap.profiler.recording.fencing import POLICIES
from epoch_gap.profiler.recording.recorder import Discard, Recorder, Step
from epoch_gap.workloads import loop
from epoch_gap.workloads.cifar10.load import Cifar10
from epoch_gap.workloads.framework import Framework
from epoch_gap.workloads.progress import Progress

WARM_UP = 2
"""steps before"""


@dataclass
class Watched:
    """Decides when watching begins and when all is done; see `loop.Enough`."""

    framework: Framework
    watching: AbstractContextManager[None]
    spans: Spans
    steps: int
    plain: list[Step] = field(default_factory=list)
    """fenced steps with nothing watched"""
    watched: list[Step] = field(default_factory=list)

    def __call__(self, step: Step) -> bool:
        """Sort `step` in; open or close the watching where its turn has come."""
        taken = step.index + 1
        if taken > WARM_UP + self.steps:
            self.watched.append(step)
            self.spans.end_step()
        elif taken > WARM_UP:
            self.plain.append(step)
        if taken == WARM_UP + self.steps:
            self.watching.__enter__()
        done = len(self.watched) == self.steps
        if done:
            self.watching.__exit__(None, None, None)
        return done


def images_needed(batch_size: int, steps: int) -> int:
    """Training images of a drill-down."""
    return batch_size * (WARM_UP + 2 * steps)


def watch(data: Cifar10, batch_size: int, seen: Watched, quiet: bool) -> None:
    """Train `WARM_UP` fenced steps, then as many as `seen` asks for without and with watching."""
    framework = seen.framework
    recorder = Recorder(
        framework.phases, Discard(), schedule=POLICIES["all"], wait=framework.wait, charged_to=framework.charged_to
    )
    seen.spans.mark = lambda phase: recorder.mark(phase)  # another one from step to step
    total = WARM_UP + 2 * seen.steps
    loop.train(
        framework,
        framework.loader(data.x_train, data.y_train, batch_size, True, loop.timed_collate(recorder)),
        framework.loader(data.x_test, data.y_test, batch_size, False, lambda collate: collate),
        recorder,
        Progress(framework.name, total, total, io.StringIO() if quiet else sys.stderr),
        epochs=1,
        enough=seen,
    )
