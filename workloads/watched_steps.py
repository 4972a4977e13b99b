"""Training steps for a drill-down: first unwatched ones, then the same number of watched ones."""

import io
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from epoch_gap.profiler.drilldown.spans import Spans
from epoch_gap.profiler.recording.fencing import POLICIES
from epoch_gap.profiler.recording.recorder import Recorder
from epoch_gap.profiler.recording.records import DiscardingSink, Step
from epoch_gap.workloads import loop
from epoch_gap.workloads.cifar10.load import Cifar10
from epoch_gap.workloads.experiments import apply_switches
from epoch_gap.workloads.framework import Framework, Watch
from epoch_gap.workloads.intervention import Collation, Workload
from epoch_gap.workloads.progress import Progress

WARM_UP = 2
"""steps before the first that counts"""


@dataclass(frozen=True)
class WatchedSteps:
    """Fenced steps of one training, without and with watching."""

    spans: Spans
    """of the watched steps"""
    plain: list[Step] = field(default_factory=list)
    watched: list[Step] = field(default_factory=list)

    @property
    def slowdown(self) -> float:
        """The time of a watched step over that of an unwatched one."""
        return sum(step.wall_ns for step in self.watched) / sum(step.wall_ns for step in self.plain)


@dataclass(frozen=True)
class _PlainThenWatched:
    """A stopping rule that collects steps and watches the second half of them.

    It enters the watch between two steps; the owner of `watching` leaves it, even if a step raises.
    """

    steps: int
    """number of plain steps, and of watched ones"""
    watch: Watch
    watching: ExitStack
    collected: WatchedSteps

    def __call__(self, step: Step) -> bool:
        """Collect `step`, start or end the watch, and return whether all steps are done."""
        taken = step.index + 1
        if taken > WARM_UP + self.steps:
            self.collected.watched.append(step)
            self.collected.spans.end_step()
        elif taken > WARM_UP:
            self.collected.plain.append(step)
        if taken == WARM_UP + self.steps:
            self.watching.enter_context(self.watch(self.collected.spans))
        done = taken == WARM_UP + 2 * self.steps
        if done:
            self.watching.close()  # evaluation is not watched
        return done


def images_needed(batch_size: int, steps: int) -> int:
    """Training images for `steps` plain steps and as many watched ones."""
    return batch_size * (WARM_UP + 2 * steps)


def train(
    framework: Framework,
    data: Cifar10,
    batch_size: int,
    steps: int,
    watch: Watch,
    quiet: bool,
    seed: int = 42,
    switches: Sequence[str] = (),
) -> WatchedSteps:
    """Train `WARM_UP` fenced steps, then `steps` steps without `watch` and the same number with it.

    `switches` are on in all of them; `seed` is that of the framework. Raises UserError as `apply_switches` does.
    """
    recorder = Recorder(
        framework.phases,
        DiscardingSink(),
        schedule=POLICIES["all"],
        wait=framework.wait,
        charged_to=framework.charged_to,
    )
    collected = WatchedSteps(Spans())
    collected.spans.mark = lambda phase: recorder.mark(phase)  # the recorder's mark changes from step to step
    total = WARM_UP + 2 * steps
    collation = Collation(loop.timed_collate(recorder))
    progress = Progress(framework.name, total, total, io.StringIO() if quiet else sys.stderr)
    workload = Workload(
        framework=framework,
        progress=progress,
        recorder=recorder,
        loader=framework.loader(data.x_train, data.y_train, batch_size, True, collation),
        collation=collation,
        images=data.x_train,
        labels=data.y_train,
        seed=seed,
    )
    with ExitStack() as applied, ExitStack() as watching:
        applied.callback(apply_switches(switches, workload))
        loop.train(
            framework,
            workload.loader,
            framework.loader(data.x_test, data.y_test, batch_size, False, lambda collate: collate),
            recorder,
            progress,
            epochs=1,
            should_stop=_PlainThenWatched(steps, watch, watching, collected),
        )
    return collected
