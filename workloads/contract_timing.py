"""The rules of the contract about phases: what is marked, what is charged where, and what a fence waits for.

The rule that times something takes the best of a few tries, so that a busy machine does not break it.
"""

import io
import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from epoch_gap.profiler.phases import EPOCH_PHASES, Phase
from epoch_gap.profiler.recording.recorder import Recorder
from epoch_gap.profiler.recording.records import DiscardingSink, Epoch, Step
from epoch_gap.workloads import loop
from epoch_gap.workloads.contract_subject import BATCH_SIZE, BATCHES, BrokenRuleError, Subject
from epoch_gap.workloads.framework import Framework
from epoch_gap.workloads.intervention import DELAYABLE, Collation, Workload, delay_phase, undo_all
from epoch_gap.workloads.parity_steps import take_plain_step
from epoch_gap.workloads.progress import Progress

DELAY = 1_000
"""ticks of the shortest delay; each is twice as long as the one before, so that a sum of delays tells them apart"""
TRIES = 2
AGAIN, READ = 0.05, 0.2
"""the most of a step that second waits may take, and that a reading may take more than the same reading again"""
SAME_LOSS = 0.05
"""the largest relative difference of losses with and without fences: rounding grows from step to step"""
LONGEST_CLOCK = 80
"""characters"""


@dataclass
class _Kept(DiscardingSink):
    """Keeps the training steps and the epochs."""

    training: list[Step] = field(default_factory=list)
    epochs: list[Epoch] = field(default_factory=list)

    def steps(self, steps: list[Step]) -> None:
        self.training += [step for step in steps if step.stage == "train"]

    def epoch(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)


@dataclass
class _Ticks:
    """A clock that moves by one whenever it is read, and by nothing else."""

    now: int = 0

    def __call__(self) -> int:
        self.now += 1
        return self.now


def _train_epoch(subject: Subject, framework: Framework, delays: Mapping[Phase, int], folder: Path | None) -> _Kept:
    """The article's loop for a short epoch, with delays in ticks."""
    sink = _Kept()
    recorder = Recorder(framework.phases, sink, _Ticks(), wait=framework.wait, charged_to=framework.charged_to)
    count = BATCH_SIZE * BATCHES + 1
    images, labels = subject.data.x_train[:count], subject.data.y_train[:count]
    collation = Collation(loop.timed_collate(recorder))
    workload = Workload(
        framework=framework,
        progress=Progress(framework.name, None, BATCHES, io.StringIO()),
        recorder=recorder,
        loader=framework.loader(images, labels, BATCH_SIZE, True, collation),
        collation=collation,
        images=images,
        labels=labels,
        seed=0,
    )
    undo = undo_all([delay_phase(replace(workload, phase=phase), ticks * 1e-9) for phase, ticks in delays.items()])
    loop.train(
        framework,
        workload.loader,
        framework.loader(images[:BATCH_SIZE], labels[:BATCH_SIZE], BATCH_SIZE, False, lambda collate: collate),
        recorder,
        workload.progress,
        epochs=1,
        should_stop=lambda step: False,
        checkpoint_folder=folder,
    )
    undo()
    return sink


def check_phases(subject: Subject) -> str:
    """Every phase that the adapter has is marked in every step or in the epoch, and no other; every image is used."""
    framework = subject.build()
    has_checkpoint = Phase.CHECKPOINT in framework.phases
    where: AbstractContextManager[Any] = TemporaryDirectory() if has_checkpoint else nullcontext()
    with where as folder:
        kept = _train_epoch(subject, framework, {}, Path(folder) if folder else None)
        if has_checkpoint and [path.name for path in Path(folder).iterdir()] != [framework.checkpoint_name]:
            raise BrokenRuleError(f"save() does not write one file, {framework.checkpoint_name}")
    per_epoch = framework.phases & {*EPOCH_PHASES}
    per_step = framework.phases - per_epoch
    sizes = [step.images for step in kept.training]
    if sizes != [BATCH_SIZE] * BATCHES + [1]:
        raise BrokenRuleError(f"batches of {sizes} images; expected {BATCHES} of {BATCH_SIZE}, and one of 1")
    for number, step in enumerate(kept.training, start=1):
        if wrong := sorted(per_step ^ step.durations.keys()):
            how = "marked, but not" if wrong[0] in step.durations else "not marked, but"
            raise BrokenRuleError(f"step {number}: {wrong[0]} is {how} among `phases`")
        if not np.isfinite(step.loss) or not 0 <= (step.correct or 0) <= step.images:
            raise BrokenRuleError(f"step {number}: loss {step.loss}, {step.correct} right of {step.images}")
    if missing := sorted(per_epoch - kept.epochs[0].durations.keys()):
        raise BrokenRuleError(f"{missing[0]} is not marked in the epoch, but among `phases`")
    return f"{len(per_step)} in each of {len(sizes)} steps and {len(per_epoch)} in the epoch, and no other"


def check_delays(subject: Subject) -> str:
    """A delay in each call of the loop is found in its phase, and nowhere else."""
    framework = subject.build()
    phases = {phase: framework.charged_to.get(phase, phase) for phase in DELAYABLE}
    delays = {phase: DELAY << place for place, phase in enumerate(DELAYABLE) if phases[phase] in framework.phases}
    for step in _train_epoch(subject, framework, delays, None).training:
        for phase, ticks in step.durations.items():
            planted = {delayed for delayed in delays if phases[delayed] == phase}
            found = {delayed for delayed, delay in delays.items() if ticks // DELAY & delay // DELAY}
            if wrong := sorted(planted ^ found):
                raise BrokenRuleError(f"a delay in {wrong[0]} is {'not ' * (wrong[0] in planted)}found in {phase}")
    return f"each of {len(delays)} delays is found in its phase, and nowhere else"


def check_clocks(subject: Subject) -> str:
    """There is a text for each phase but `other`."""
    clocks, needed = subject.first.clocks, subject.first.phases - {Phase.OTHER}
    if wrong := sorted(clocks.keys() ^ needed):
        raise BrokenRuleError(f"there is {'no' if wrong[0] in needed else 'a'} text for {wrong[0]}")
    if unfit := sorted(phase for phase, text in clocks.items() if not 0 < len(text.strip()) <= LONGEST_CLOCK):
        raise BrokenRuleError(f"the text for {unfit[0]} is empty, or longer than {LONGEST_CLOCK} characters")
    return f"a text for each of {len(clocks)} phases"


def check_wait(subject: Subject) -> str:
    """A second wait finds nothing to wait for; after a wait, the results are there, and the training is the same."""
    framework, unfenced = subject.build(), subject.build()
    batches, others = subject.batches(framework), subject.batches(unfenced)
    for one, its in ((framework, batches), (unfenced, others)):
        take_plain_step(one, next(its))  # compiles, and takes memory
    tries = [_time_waits(subject, framework, next(batches)) for _ in range(TRIES)]
    for number, step in enumerate(tries, start=2):
        expected = take_plain_step(unfenced, next(others))
        if not math.isclose(step.loss, expected, rel_tol=SAME_LOSS):
            raise BrokenRuleError(
                f"with fences, the loss of step {number} is {step.loss:.4g} in place of {expected:.4g}"
            )
    again, read = min(step.again for step in tries), min(step.read for step in tries)
    if again > AGAIN:
        raise BrokenRuleError(f"a second wait takes {again:.0%} of a step: it computes something again")
    if read > READ:
        raise BrokenRuleError(f"wait() does not wait: reading the results after it takes {read:.0%} of a step")
    return f"second waits take {again:.1%} of a step; after one, the results are there and the same"


class _FencedStep(NamedTuple):
    """A step with a wait after each of its phases."""

    loss: float
    again: float
    """the part of the step that second waits take"""
    read: float
    """the part that a reading of the results takes more than the same reading again"""


def _time_waits(subject: Subject, framework: Framework, batch: Any) -> _FencedStep:
    clock, waits = subject.clock, 0

    def wait_twice() -> None:
        nonlocal waits
        framework.wait()
        began = clock()
        framework.wait()
        waits += clock() - began

    start = clock()
    framework.train()
    inputs, targets = framework.to_device(batch)
    wait_twice()
    framework.zero_grad()
    logits, loss = framework.forward(inputs, targets)
    wait_twice()
    framework.materialize(loss)
    wait_twice()
    framework.backward(loss)
    wait_twice()
    framework.step()
    wait_twice()
    step = max(1, clock() - start - waits)
    readings = []
    for _ in range(2):
        began = clock()
        value, *_ = framework.metrics(logits, loss, targets)
        if framework.device == "cpu":  # elsewhere, the first copy to the host may be kept
            framework.read_weights()
        readings.append(clock() - began)
    return _FencedStep(value, waits / step, (readings[0] - readings[1]) / step)
