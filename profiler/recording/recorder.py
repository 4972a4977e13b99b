"""The recorder, the hot path: marks on one clock. Standard library only; nothing here formats, prints or writes.

A mark names the phase that has just ended. Consecutive marks share a boundary, so the phases of a step sum to its
wall time exactly, in integer nanoseconds, by construction.
"""

import math
import operator
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from resource import struct_rusage
from typing import Any

from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.collectives import CollectiveLog
from epoch_gap.profiler.recording.fencing import POLICIES, Schedule, TimingMode, begins_block
from epoch_gap.profiler.recording.records import (
    DiscardingSink,
    Durations,
    Epoch,
    Reading,
    ResourceUsage,
    Sink,
    Stage,
    Step,
)

Clock = Callable[[], int]
"""nanoseconds of a monotonic clock"""
MOST_HELD = 10_000
"""steps that are held before they are passed on, however short they are: about 10 MB"""
ReadUsage = Callable[[], struct_rusage]
"""reads totals since the process started; the recorder takes their differences outside every phase"""


_BUILT_IN = frozenset(Phase)
_OWN_FETCH: Any = "fetch, marked by the recorder"
_OWN_METRICS: Any = "metrics, marked by the recorder"
"""The recorder's own marks, which are charged to their phases even if the loop has no clocks for them."""


@dataclass(slots=True)
class _Open:
    """The totals of the current epoch."""

    index: int = -1
    """before the first epoch"""
    is_open: bool = False
    """between `start_epoch` and `close_epoch`"""
    wall_ns: int = 0
    paused_ns: int = 0
    outside: Durations = field(default_factory=dict)
    stage: Stage = "train"
    steps: dict[Stage, int] = field(default_factory=lambda: {"train": 0, "evaluate": 0})
    """by stage, so far"""


@dataclass(slots=True)
class OpenStep:
    """The step of a `with` block: its marks, and what the loop tells about it."""

    mark: Callable[[str], None]
    """ends a phase, as `Recorder.mark` does"""
    loss: Any = None
    """mean over the batch"""
    correct: Any = None
    """right answers"""


@dataclass(slots=True)
class OpenEpoch:
    """The epoch of a `with` block: what the loop tells about it."""

    lr: Any = None
    train_loss: Any = None
    train_acc: Any = None
    test_loss: Any = None
    test_acc: Any = None


class MisuseError(RuntimeError):
    """A recorder was called in an order that would have given a wrong number. The message names the missing call."""


class Recorder:
    """Takes marks, groups them into steps and epochs, and passes these to a sink every few seconds.

    `mark(phase)` is two list appends and one clock read. A phase outside `phases` (one that the framework does not
    have) is charged to its entry in `charged_to`, or else to `other`, so every step's phases sum to its wall time; a
    name that is no phase at all raises MisuseError when its step or stretch is closed.
    `schedule` selects the fenced steps; in a fenced step, `wait` is called before each clock read.
    `read_machine` reads the machine between blocks of steps, or returns None. `read_usage` reads the process's
    resource usage at both ends of a step, outside its wall time, and at the marks of a fenced step; None: never.
    """

    mark: Callable[[str], None]
    """A different function in as-run and fenced steps: look it up again in each step."""
    clock: Clock
    """the clock of all marks"""
    collectives: CollectiveLog
    """of the current step, in a distributed training"""

    def __init__(
        self,
        phases: Collection[Phase],
        sink: Sink,
        clock: Clock = time.perf_counter_ns,
        flush_after_ns: int = 2_000_000_000,
        schedule: Schedule = POLICIES["none"],
        wait: Callable[[], None] = lambda: None,
        read_machine: Callable[[], Reading | None] = lambda: None,
        rss_bytes: Callable[[], int] = lambda: 0,
        read_usage: ReadUsage | None = None,
        charged_to: Mapping[Phase, Phase] | None = None,
    ) -> None:
        self._charged: dict[Any, Phase] = {
            **{phase: phase for phase in phases},
            **(charged_to or {}),
            _OWN_FETCH: Phase.FETCH,
            _OWN_METRICS: Phase.METRICS,
        }
        self._sink = sink
        self.clock = clock
        self.collectives = CollectiveLog(clock)
        self._flush_after_ns = flush_after_ns
        self._read_machine = read_machine
        self._rss_bytes = rss_bytes
        self._read_usage = read_usage
        self._steps: list[Step] = []
        self._epoch = _Open()
        self._is_ignored = False
        """whether marks are ignored, in a forked child"""
        self._block = ""
        """the innermost `with` block that is open: epoch, step, outside or evaluation; empty: none"""
        self._is_skipped = False
        """whether the step of the open block is to be dropped"""
        self._has_ended = False
        self._marks: list[Any] = []
        self._usage_at_marks: list[struct_rusage] = []
        append, append_usage = self._marks.append, self._usage_at_marks.append

        def mark(phase: str) -> None:
            append(phase)
            append(clock())

        def fenced(phase: str) -> None:
            wait()
            if read_usage is not None:
                append_usage(read_usage())
            append(phase)
            append(clock())

        self._markers: dict[TimingMode, Callable[[str], None]] = {
            TimingMode.ASRUN: mark,
            TimingMode.FENCED: fenced,
        }
        self._schedule = schedule
        self._use(TimingMode.ASRUN)
        self._usage_at_origin = read_usage() if read_usage is not None else None
        self._origin = self._flushed = clock()

    @contextmanager
    def epoch(self, index: int) -> Iterator[OpenEpoch]:
        """An epoch: `start_epoch`, the block, and `close_epoch` with what the block has told.

        An epoch that an exception leaves is not closed; its steps remain.
        """
        self.start_epoch(index)
        self.start_stage("train")
        told = OpenEpoch()
        with self._in_block("epoch"):
            yield told
        self._close_rest()
        self.close_epoch(told.lr, told.train_loss, told.train_acc, told.test_loss, told.test_acc)

    @contextmanager
    def step(self, images: int) -> Iterator[OpenStep]:
        """A batch, from the end of the one before.

        The time until the block is `fetch`, the rest is as the block marks it, and the time after its last mark is
        `other`. A step that an exception leaves, or in which `skip_step` is called, is dropped.
        """
        self._refuse_closed_epoch("step()")
        self._refuse_within("step()", "step", "outside")
        self._is_skipped = False
        step = OpenStep(self.mark)
        try:
            with self._in_block("step"):
                step.mark(_OWN_FETCH)
                yield step
            if self._is_skipped:
                self.skip_step()
                return
            step.mark(Phase.OTHER)
            self.close_step(images, step.loss, step.correct)
        except BaseException:
            self.skip_step()
            raise

    @contextmanager
    def outside(self, phase: str) -> Iterator[None]:
        """Work of the epoch that belongs to no batch, such as saving a checkpoint; all of the block is `phase`."""
        self._refuse_closed_epoch("outside()")
        self._refuse_within("outside()", "step", "outside")
        self._refuse_open_marks("outside()")
        if phase not in _BUILT_IN and phase not in self._charged:
            raise MisuseError(f"outside({phase!r}): no such phase; one of your own needs an entry in clocks")
        mode = self._mode
        self._close_rest()
        began = self._origin
        try:
            with self._in_block("outside"):
                yield
        finally:
            self._discard_marks()
            self._origin = now = self.clock()
            self._add_to_epoch({Phase(phase): max(0, now - began)})
            self._use(mode)
            self.resume()

    @contextmanager
    def evaluation(self) -> Iterator[None]:
        """An evaluation, at any point of the epoch: the steps of the block are test batches. Training follows it."""
        self._refuse_closed_epoch("evaluation()")
        self._refuse_within("evaluation()", "step", "outside", "evaluation")
        self._refuse_open_marks("evaluation()")
        self._close_rest()
        self.start_stage("evaluate")
        try:
            with self._in_block("evaluation"):
                yield
        except BaseException:
            self._discard_marks()
            raise
        finally:
            self._close_rest()
            self.start_stage("train")

    def start_epoch(self, index: int) -> None:
        """Start an epoch, numbered from 0 and higher than the one before. The time before it belongs to no phase.

        Raises MisuseError for an epoch that was started before, and within a block.
        """
        call = f"start_epoch({index!r})"
        self._refuse_ended(call)
        self._refuse_within(call, "epoch", "step", "outside", "evaluation")
        index = _epoch_number(call, index)
        if index <= self._epoch.index:
            raise MisuseError(f"{call}: the epoch before was {self._epoch.index}; numbers must increase")
        self._discard_marks()
        self._epoch = _Open(index, is_open=True)
        self._start_stretch()

    def start_stage(self, stage: Stage) -> None:
        """Assign the following steps to `stage`; evaluation steps are never fenced. Call it right after a mark.

        A stage may be left and started again within an epoch: the numbers of its steps go on. Raises MisuseError if
        marks before it belong neither to a step nor to the epoch.
        """
        call = f"start_stage({stage!r})"
        if stage not in self._epoch.steps:
            raise MisuseError(f"{call}: the stages are {' and '.join(self._epoch.steps)}")
        self._refuse_closed_epoch(call)
        self._refuse_within(call, "step", "outside")
        self._refuse_open_marks(call)
        self.take_reading()
        self._epoch.stage = stage
        self._use(self._schedule(self._epoch.steps[stage]) if stage == "train" else TimingMode.ASRUN)
        self.resume()

    def leave_stage(self) -> None:
        """End the stage: the following marks belong to no step and are not fenced."""
        self._use(TimingMode.ASRUN)

    def close_step(self, images: int, loss: float | None = None, correct: int | None = None) -> Step:
        """End a batch at its last mark. Then passes finished steps to the sink, outside every
        phase, if the last time was long enough ago.

        The whole time of an evaluation batch is added to the epoch's `evaluate`. `images`, `loss` and `correct` may
        be any numbers that int() and float() accept, NumPy's included; `loss` and `correct` are None where there is
        nothing to tell. Reading a number that may have to wait for a device, such as a lazy loss, is timed as
        `metrics`. Raises MisuseError without a mark since the last step, for a number that is none or cannot be, and
        within a block that ends its step itself.
        """
        self._refuse_closed_epoch("close_step()")
        self._refuse_within("close_step()", "step", "outside")
        if not self._marks and not self._is_ignored:
            raise MisuseError("close_step(): no mark since the last step; mark the phases of the step first")
        is_plain = all(map(_is_plain, (images, loss, correct)))
        images, loss = _count("images", images), _float_or_none(loss)
        correct = None if correct is None else _count("correct", correct)
        if correct is not None and correct > images:
            raise MisuseError(f"close_step(): {correct} right answers of {images} images; correct=None tells nothing")
        if not is_plain:
            self.mark(_OWN_METRICS)
        usage, phase_usage = self._close_usage()
        start, durations, wall = self._close()
        e = self._epoch
        step = Step(
            stage=e.stage,
            mode=self._mode,
            epoch=e.index,
            index=e.steps[e.stage],
            images=images,
            loss=math.nan if loss is None else loss,
            correct=correct,
            start_ns=start,
            wall_ns=wall,
            durations=durations,
            rss_bytes=self._rss_bytes(),
            usage=usage,
            phase_usage=phase_usage,
            collectives=self.collectives.take(),
        )
        self._steps.append(step)
        e.steps[e.stage] += 1
        e.wall_ns += wall
        if e.stage == "train":
            if begins_block(self._schedule, e.steps["train"]):
                self.take_reading()
            self._use(self._schedule(e.steps["train"]))
        else:
            self._add_outside({Phase.EVALUATE: wall})  # regardless of the names of its marks
        if self._origin - self._flushed > self._flush_after_ns or len(self._steps) >= MOST_HELD:
            self.flush()
        else:
            self.resume()
        return step

    def skip_step(self) -> None:
        """Drop the batch since the last step, such as one that ran out of memory: it is no step.

        The time until this call, or until the end of the `step` block that it is called in, counts as `skipped` in
        the epoch.
        """
        self._refuse_closed_epoch("skip_step()")
        self._refuse_within("skip_step()", "outside")
        if self._block == "step":
            self._is_skipped = True
            return
        now = self.clock()
        self._discard_marks()
        self._add_to_epoch({Phase.SKIPPED: max(0, now - self._origin)})
        self._origin = now
        self.resume()

    def close_outside(self) -> None:
        """End a stretch that belongs to the epoch but to no batch (epoch_start, checkpoint), at its last mark."""
        self._refuse_closed_epoch("close_outside()")
        self._refuse_within("close_outside()", "step", "outside")
        _, durations, _ = self._close()
        self._usage_at_marks.clear()
        self._add_to_epoch(durations)
        self.resume()

    def close_epoch(
        self,
        lr: float | None = None,
        train_loss: float | None = None,
        train_acc: float | None = None,
        test_loss: float | None = None,
        test_acc: float | None = None,
    ) -> None:
        """End the epoch at its last mark and pass everything to the sink. An accuracy is a share, from 0 to 1.

        Raises MisuseError if marks before it belong neither to a step nor to the epoch, for another accuracy, and
        within a block.
        """
        self._refuse_closed_epoch("close_epoch()")
        self._refuse_within("close_epoch()", "epoch", "step", "outside", "evaluation")
        self._refuse_open_marks("close_epoch()")
        told = [_float_or_none(value) for value in (lr, train_loss, train_acc, test_loss, test_acc)]
        _check_share("train_acc", told[2])
        _check_share("test_acc", told[4])
        self.flush()
        e = self._epoch
        e.is_open = False
        self._sink.epoch(Epoch(e.index, e.wall_ns, e.paused_ns, e.outside, *told))

    def flush(self) -> None:
        """Pass finished steps to the sink. Safe to call again after an interruption: a sink stores a step once.

        This takes time of no phase, or of the step or block in which it is called.
        """
        if self._steps:
            self._sink.steps(self._steps)
            self._steps = []
        self._flushed = self.clock() if self._marks or self._block in ("step", "outside") else self.resume()

    def resume(self) -> int:
        """Start the next stretch now. The time since the last step belongs to no phase.

        Raises MisuseError within a step: what it has marked would lie before it.
        """
        self._refuse_within("resume()", "step", "outside")
        self._refuse_open_marks("resume()")
        end = self._origin
        now = self._start_stretch()
        self._epoch.paused_ns += max(0, now - end)
        return now

    def close(self) -> None:
        """End the recording. Every later call raises MisuseError: the run is closed."""

        def refuse(phase: str) -> None:
            raise MisuseError(f"mark({phase}): the recording has ended")

        self._has_ended = True
        self._epoch.is_open = False
        self._markers = dict.fromkeys(TimingMode, refuse)
        self._use(self._mode)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise MisuseError("a recorder cannot be copied, pickled or sent to another process: leave it out of the copy")

    def _start_stretch(self) -> int:
        if self._read_usage is not None:
            self._usage_at_origin = self._read_usage()
        self._origin = now = self.clock()
        return now

    def ignore_marks(self, notice: Callable[[str], None]) -> None:
        """Call `notice` for every further mark in place of recording it: a forked child has no part in the run."""
        self._markers = dict.fromkeys(TimingMode, notice)
        self._use(self._mode)
        self._sink = DiscardingSink()
        self._is_ignored = True

    def count(self, stage: Stage) -> int:
        """The steps of a stage in the current epoch."""
        return self._epoch.steps[stage]

    def take_reading(self) -> None:
        """Read the machine now, between two steps. Call `resume` before the next one."""
        if (reading := self._read_machine()) is not None:
            self._sink.reading(self._epoch.index, self._epoch.steps["train"], reading)

    def _discard_marks(self) -> None:
        self._marks.clear()
        self._usage_at_marks.clear()
        self.collectives.take()

    def _close_rest(self) -> None:
        """All time since the last step belongs to the epoch and to no step: `other`."""
        self.leave_stage()
        self.mark(Phase.OTHER)
        self.close_outside()

    def _add_to_epoch(self, durations: Durations) -> None:
        self._add_outside(durations)
        self._epoch.wall_ns += sum(durations.values())

    @contextmanager
    def _in_block(self, name: str) -> Iterator[None]:
        outer, self._block = self._block, name
        try:
            yield
        finally:
            self._block = outer

    def _refuse_within(self, call: str, *blocks: str) -> None:
        if self._block in blocks and not self._is_ignored:
            raise MisuseError(f"{call} within {self._block}(): leave that block first")

    def _refuse_ended(self, call: str) -> None:
        if self._has_ended:
            raise MisuseError(f"{call}: the recording has ended")

    def _refuse_closed_epoch(self, call: str) -> None:
        self._refuse_ended(call)
        if not (self._epoch.is_open or self._is_ignored):
            raise MisuseError(f"{call}: no epoch is open; call start_epoch() first")

    def _refuse_open_marks(self, call: str) -> None:
        if self._marks:
            raise MisuseError(f"{call}: end the marks before it with close_step() or close_outside()")

    def _use(self, mode: TimingMode) -> None:
        self._mode = mode
        self.mark = self._markers[mode]

    def _close(self) -> tuple[int, Durations, int]:
        start = previous = self._origin
        durations: Durations = {}
        marks = iter(self._marks)
        for phase, now in zip(marks, marks, strict=True):
            charged = self._charge(phase)
            durations[charged] = durations.get(charged, 0) + max(0, now - previous)  # a clock may be set back
            previous = now
        self._marks.clear()
        self._origin = previous
        return start, durations, sum(durations.values())

    def _charge(self, phase: Any) -> Phase:
        charged = self._charged.get(phase)
        if charged is None and phase not in _BUILT_IN:
            raise MisuseError(f"mark({phase!r}): no such phase; one of your own needs an entry in clocks")
        return charged or Phase.OTHER

    def _close_usage(self) -> tuple[ResourceUsage | None, dict[Phase, ResourceUsage]]:
        """The usage since the start of the step and, in a fenced step, of each phase. Call it before `_close`."""
        if self._read_usage is None or self._usage_at_origin is None:
            return None, {}
        start = previous = self._usage_at_origin
        by_phase: dict[Phase, ResourceUsage] = {}
        for phase, now in zip(self._marks[::2], self._usage_at_marks, strict=False):
            charged = self._charge(phase)
            by_phase[charged] = by_phase.get(charged, ResourceUsage()).plus(ResourceUsage.between(previous, now))
            previous = now
        last = self._usage_at_marks[-1] if self._usage_at_marks else self._read_usage()
        self._usage_at_marks.clear()
        return ResourceUsage.between(start, last), by_phase

    def _add_outside(self, durations: Durations) -> None:
        outside = self._epoch.outside
        for phase, ns in durations.items():
            outside[phase] = outside.get(phase, 0) + ns


def _is_plain(number: Any) -> bool:
    """Whether a number is there already, in Python or in NumPy. None waits for nothing, too."""
    return number is None or isinstance(number, int | float) or type(number).__module__ == "numpy"


def _epoch_number(call: str, value: Any) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if number < 0:
        raise MisuseError(f"{call}: an epoch's number is a whole one, from 0")
    return number


def _count(name: str, value: Any) -> int:
    """A number of images or right answers as an int. Raises MisuseError if it is none."""
    try:
        count = int(value)
    except (TypeError, ValueError, OverflowError):
        count = -1
    if count < 0 or (isinstance(value, float) and not value.is_integer()):
        raise MisuseError(f"close_step(): {name} is {value!r}; it must be a whole number of at least 0")
    return count


def _check_share(name: str, value: float | None) -> None:
    if value is not None and (value < 0 or value > 1 + 1e-6):  # rounded sums may exceed 1 a little
        raise MisuseError(f"close_epoch(): {name} is {value}; an accuracy is a share, from 0 to 1")


def _float_or_none(value: Any) -> float | None:
    return None if value is None else float(value)


def mark_cost_ns(marks: int = 20_000) -> float:
    """The cost of one mark on this machine, ns: the fastest of five rounds, loop overhead included."""
    rounds = []
    for _ in range(5):
        recorder = Recorder(Phase, DiscardingSink())
        mark = recorder.mark
        start = time.perf_counter_ns()
        for _ in range(marks):
            mark(Phase.OTHER)
        rounds.append((time.perf_counter_ns() - start) / marks)
    return min(rounds)
