"""A training with switches on, on a clock that only busy-waits move."""

import io
from collections.abc import Sequence
from functools import partial
from typing import Any

from epoch_gap.profiler.recording.recorder import Recorder
from epoch_gap.profiler.recording.records import Step
from epoch_gap.workloads import loop
from epoch_gap.workloads.data_order import own_loader, share_order
from epoch_gap.workloads.experiments import Workload, apply_switches
from epoch_gap.workloads.framework import Framework
from epoch_gap.workloads.intervention import Collation, Undo
from epoch_gap.workloads.progress import Progress
from tests.helpers.adapters import BATCH, SEED, images
from tests.helpers.clocks import TickingClock
from tests.helpers.recorded import RecordingSink


class Alternating:
    """Turns switches off after the steps of `off`, and on again after those of `on`; never ends the training."""

    def __init__(self, off: Sequence[int] = (), on: Sequence[int] = ()) -> None:
        self._off, self._on = off, on
        self.names: Sequence[str] = ()
        self.workload: Workload
        self.undo: Undo

    def __call__(self, step: Step) -> bool:
        if step.index in self._off:
            self.undo()
        elif step.index in self._on:
            self.undo = apply_switches(self.names, self.workload)
        return False


def workload_of(
    framework: Framework,
    clock: TickingClock | None = None,
    *,
    batches: int = 4,
    is_shared: bool = False,
    output: io.StringIO | None = None,
) -> Workload:
    """A training on `batches` batches of `BATCH` images that is about to start."""
    x, y = images(batches * BATCH)
    clock = clock or TickingClock()
    recorder = Recorder(
        framework.phases, RecordingSink(clock), clock, wait=framework.wait, charged_to=framework.charged_to
    )
    collation = Collation(loop.timed_collate(recorder))
    load = partial(framework.loader, x, y, BATCH)
    if is_shared:
        loader = share_order(lambda order: load(False, collation, order), len(y), SEED)
    else:
        loader = load(True, collation)
    return Workload(
        framework=framework,
        progress=Progress(framework.name, None, batches, output or io.StringIO()),
        recorder=recorder,
        loader=own_loader(loader),
        collation=collation,
        images=x,
        labels=y,
        seed=SEED,
    )


def train_switched(
    framework: Framework,
    switches: Sequence[str] = (),
    *,
    clock: TickingClock | None = None,
    batches: int = 4,
    turns: Alternating | None = None,
    output: io.StringIO | None = None,
) -> RecordingSink:
    """Train for one epoch, evaluate on one batch, and turn the switches off again."""
    workload = workload_of(framework, clock, batches=batches, output=output)
    x, y = images(BATCH)
    turns = turns or Alternating()
    turns.names, turns.workload, turns.undo = switches, workload, apply_switches(switches, workload)
    try:
        loop.train(
            framework,
            workload.loader,
            framework.loader(x, y, BATCH, False, lambda collate: collate),
            workload.recorder,
            workload.progress,
            epochs=1,
            should_stop=turns,
        )
    finally:
        turns.undo()
    sink: Any = workload.recorder._sink
    return sink


def losses(sink: RecordingSink) -> list[float]:
    """Of all steps, training and evaluation."""
    return [step.loss for step in sink.kept]
