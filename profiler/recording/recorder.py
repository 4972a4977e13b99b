"""The hot path: marks on one clock. Standard library only; nothing here formats, prints or writes.

A mark names the phase that has just ended. Following marks share their boundary, so the phases of a step sum
to its wall time exactly, in integer nanoseconds, by construction.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import POLICIES, Ledger, Schedule, begins_block

Clock = Callable[[], int]
Stage = Literal["train", "evaluate"]
Durations = dict[Phase, int]


@dataclass(frozen=True, slots=True)
class Step:
    """One batch, trained on or evaluated. Times in nanoseconds of the run's clock."""

    stage: Stage
    ledger: Ledger
    epoch: int
    index: int
    images: int
    loss: float
    """mean over the batch"""
    correct: int
    start_ns: int
    wall_ns: int
    """first boundary to last, by the clock"""
    durations: Durations
    """sums to `wall_ns`"""
    rss_bytes: int = 0
    """the process's resident size after it; 0: unknown"""


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch took outside its training steps, and how long the recorder itself held it up."""

    epoch: int
    wall_ns: int
    """training steps + `durations`; without `paused_ns`"""
    paused_ns: int
    """the recorder's own work between steps, writing to disk included; part of no phase"""
    durations: Durations
    """outside the training steps"""
    lr: float
    train_loss: float
    train_acc: float
    test_loss: float | None
    test_acc: float | None
    """None where nothing was evaluated"""


@dataclass(frozen=True, slots=True)
class Reading:
    """The machine between two blocks of steps; None where it does not tell."""

    at_ns: int
    """on the run's clock"""
    matmul_ns: int
    loop_ns: int
    """what the canary's two parts took"""
    rss_bytes: int
    busy_s: float
    """CPU seconds that the machine has worked, for anybody"""
    own_s: float
    """CPU seconds that this process has used"""
    steal_s: float | None
    """CPU seconds that a virtual machine was not given, all CPUs together"""
    load_1min: float
    throttled: int | None
    """times that the control group's CPU limit has stopped it"""
    other_runs: int
    """timed runs of other processes at this moment"""


class Sink(Protocol):
    """Where finished steps and epochs go. Called off the measured path only."""

    def steps(self, steps: list[Step]) -> None:
        """Keep these steps, durably; a step that was kept before is not kept twice."""

    def epoch(self, epoch: Epoch) -> None:
        """Keep this epoch, durably."""

    def reading(self, epoch: int, step: int, reading: Reading) -> None:
        """Keep what was read before training step `step` (or after the last one), durably."""


@dataclass(slots=True)
class _Open:
    """The running epoch's totals."""

    index: int = 0
    wall_ns: int = 0
    paused_ns: int = 0
    outside: Durations = field(default_factory=dict)
    stage: Stage = "train"
    steps: int = 0
    """of the running stage"""


class Recorder:
    """Takes marks, closes them into steps and epochs, and hands these to a sink every few seconds.

    `mark(phase)` is two list appends and one clock read. A phase outside `phases` (one that the framework does
    not have) is charged to the one that `charged_to` names, else to `other`: a step's sum closes whatever the
    framework. In a fenced step `wait` is called before the clock is read; `schedule` says which steps are fenced.
    `look` reads the machine between blocks of steps, or gives None.
    """

    mark: Callable[[Phase], None]
    """Another one from step to step: ask for it anew in each."""

    def __init__(
        self,
        phases: Collection[Phase],
        sink: Sink,
        clock: Clock = time.perf_counter_ns,
        flush_after_ns: int = 2_000_000_000,
        schedule: Schedule = POLICIES["none"],
        wait: Callable[[], None] = lambda: None,
        look: Callable[[], Reading | None] = lambda: None,
        rss_bytes: Callable[[], int] = lambda: 0,
        charged_to: Mapping[Phase, Phase] | None = None,
    ) -> None:
        self._charged = {**{phase: phase for phase in phases}, **(charged_to or {})}
        self._sink = sink
        self._clock = clock
        self._flush_after_ns = flush_after_ns
        self._look = look
        self._rss_bytes = rss_bytes
        self._steps: list[Step] = []
        self._epoch = _Open()
        self._marks: list[Any] = []
        append = self._marks.append

        def mark(phase: Phase) -> None:
            append(phase)
            append(clock())

        def fenced(phase: Phase) -> None:
            wait()
            append(phase)
            append(clock())

        self._markers = {Ledger.ASRUN: mark, Ledger.FENCED: fenced}
        self._schedule = schedule
        self._use(Ledger.ASRUN)
        self._origin = self._flushed = clock()

    def start_epoch(self, index: int) -> None:
        """Begin an epoch here: what came before belongs to no phase."""
        self._marks.clear()
        self._epoch = _Open(index)
        self._origin = self._clock()

    def start_stage(self, stage: Stage) -> None:
        """The steps that follow belong to `stage`; those of an evaluation are never fenced. Call it at a mark."""
        self._take_reading()
        self._epoch.stage, self._epoch.steps = stage, 0
        self._use(self._schedule(0) if stage == "train" else Ledger.ASRUN)
        self.resume()

    def leave_stage(self) -> None:
        """What follows belongs to no step: its marks wait for nothing."""
        self._use(Ledger.ASRUN)

    def close_step(self, images: int, loss: float, correct: int) -> Step:
        """End a batch at its last mark. Flushes, outside every phase, when the last flush is old enough.

        A batch of an evaluation adds its whole time to the epoch's `evaluate`.
        `images`, `loss` and `correct` may be any numbers that int() and float() take, NumPy's too.
        """
        start, durations, wall = self._close()
        e = self._epoch
        step = Step(
            e.stage, self._ledger, e.index, e.steps, int(images), float(loss), int(correct),
            start, wall, durations, self._rss_bytes(),
        )  # fmt: skip
        self._steps.append(step)
        e.steps += 1
        e.wall_ns += wall
        if e.stage == "train":
            if begins_block(self._schedule, e.steps):
                self._take_reading()
            self._use(self._schedule(e.steps))
        else:
            self._add_outside({Phase.EVALUATE: wall})  # whatever its marks are called
        if self._origin - self._flushed > self._flush_after_ns:
            self.flush()
        else:
            self.resume()
        return step

    def close_outside(self) -> None:
        """End a stretch that belongs to the epoch but to no batch (epoch_start, checkpoint) at its last mark."""
        _, durations, wall = self._close()
        self._add_outside(durations)
        self._epoch.wall_ns += wall
        self.resume()

    def close_epoch(
        self,
        lr: float,
        train_loss: float,
        train_acc: float,
        test_loss: float | None = None,
        test_acc: float | None = None,
    ) -> None:
        """End the epoch at the last mark and write everything."""
        self.flush()
        e = self._epoch
        trained = float(lr), float(train_loss), float(train_acc)
        tested = (None if value is None else float(value) for value in (test_loss, test_acc))
        self._sink.epoch(Epoch(e.index, e.wall_ns, e.paused_ns, e.outside, *trained, *tested))

    def flush(self) -> None:
        """Hand finished steps to the sink. May be called again after an interruption: a sink keeps a step once."""
        if self._steps:
            self._sink.steps(self._steps)
            self._steps = []
        self._flushed = self.resume()

    def resume(self) -> int:
        """Start the next stretch now: what passed since the last mark is in no phase."""
        now = self._clock()
        self._epoch.paused_ns += now - self._origin
        self._origin = now
        return now

    def _take_reading(self) -> None:
        if (reading := self._look()) is not None:
            self._sink.reading(self._epoch.index, self._epoch.steps, reading)

    def _use(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.mark = self._markers[ledger]

    def _close(self) -> tuple[int, Durations, int]:
        start = previous = self._origin
        durations: Durations = {}
        marks = iter(self._marks)
        for phase, now in zip(marks, marks, strict=True):
            charged = self._charged.get(phase, Phase.OTHER)
            durations[charged] = durations.get(charged, 0) + now - previous
            previous = now
        self._marks.clear()
        self._origin = previous
        return start, durations, previous - start

    def _add_outside(self, durations: Durations) -> None:
        outside = self._epoch.outside
        for phase, ns in durations.items():
            outside[phase] = outside.get(phase, 0) + ns


class Discard:
    """A sink that keeps nothing."""

    def steps(self, steps: list[Step]) -> None:
        """Forget them."""

    def epoch(self, epoch: Epoch) -> None:
        """Forget it."""

    def reading(self, epoch: int, step: int, reading: Reading) -> None:
        """Forget it."""


def mark_cost_ns(marks: int = 20_000) -> float:
    """What one mark costs here, ns: the fastest of five rounds of `marks` marks, the loop's own cost included."""
    rounds = []
    for _ in range(5):
        recorder = Recorder(Phase, Discard())
        mark = recorder.mark
        start = time.perf_counter_ns()
        for _ in range(marks):
            mark(Phase.OTHER)
        rounds.append((time.perf_counter_ns() - start) / marks)
    return min(rounds)
