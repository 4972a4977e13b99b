from collections.abc import Callable, Collection
from contextlib import suppress
from itertools import pairwise
from resource import struct_rusage
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import POLICIES
from epoch_gap.profiler.recording.recorder import MOST_HELD, MisuseError, Recorder
from epoch_gap.profiler.recording.records import Reading, ResourceUsage, Step
from tests.helpers.clocks import ScriptedClock
from tests.helpers.recorded import RecordingSink

marks = st.lists(st.tuples(st.sampled_from(list(Phase)), st.integers(0, 10**12)), min_size=1, max_size=20)


@given(st.lists(marks, min_size=1, max_size=8), st.sets(st.sampled_from(list(Phase))), st.integers(0, 10**9))
def test_phases_sum_to_wall_in_every_step_and_epoch(
    steps: list[list[tuple[Phase, int]]], phases: set[Phase], write_ns: int
) -> None:
    clock = ScriptedClock()
    sink = RecordingSink(clock, write_ns)
    recorder = Recorder(phases, sink, clock, flush_after_ns=10**9)
    recorder.start_epoch(0)
    start = clock.now
    for step in steps:
        for phase, ns in step:
            clock.advance(ns)
            recorder.mark(phase)
        recorder.close_step(1, 0.0, 0)
    recorder.close_epoch(1e-3, 0.0, 0.0)

    for stored, scripted in zip(sink.kept, steps, strict=True):
        assert stored.wall_ns == sum(stored.durations.values()) == sum(ns for _, ns in scripted)
        for phase in phases - {Phase.OTHER}:
            assert stored.durations.get(phase, 0) == sum(ns for p, ns in scripted if p == phase)
    assert all(a.start_ns + a.wall_ns <= b.start_ns for a, b in pairwise(sink.kept))
    epoch = sink.ended[0]
    assert epoch.wall_ns == sum(step.wall_ns for step in sink.kept)
    assert epoch.wall_ns + epoch.paused_ns == clock.now - start


def test_a_phase_that_the_framework_lacks_is_charged_to_other(clock: ScriptedClock) -> None:
    sink = RecordingSink(clock)
    recorder = Recorder({Phase.FORWARD}, sink, clock)
    recorder.start_epoch(0)
    clock.advance(5)
    recorder.mark(Phase.FORWARD)
    clock.advance(2)
    recorder.mark(Phase.MATERIALIZE)
    recorder.close_step(1, 0.0, 0)
    recorder.flush()
    assert sink.kept[0].durations == {Phase.FORWARD: 5, Phase.OTHER: 2}


def test_writing_is_paused_time_and_in_no_phase(clock: ScriptedClock) -> None:
    sink = RecordingSink(clock, cost_ns=777)
    recorder = Recorder(Phase, sink, clock, flush_after_ns=10)
    recorder.start_epoch(0)
    for _ in range(3):
        clock.advance(20)
        recorder.mark(Phase.FORWARD)
        recorder.close_step(1, 0.0, 0)
    recorder.close_epoch(1e-3, 0.0, 0.0)
    assert [s.durations for s in sink.kept] == [{Phase.FORWARD: 20}] * 3
    assert sink.ended[0].wall_ns == 60
    assert sink.ended[0].paused_ns == 3 * 777


def test_steps_reach_the_sink_within_the_flush_time(clock: ScriptedClock) -> None:
    sink = RecordingSink(clock)
    recorder = Recorder(Phase, sink, clock, flush_after_ns=100)
    recorder.start_epoch(0)
    for _ in range(12):
        clock.advance(10)
        recorder.mark(Phase.FORWARD)
        recorder.close_step(1, 0.0, 0)
    assert len(sink.kept) == 11


def test_steps_reach_the_sink_however_short_they_are(clock: ScriptedClock) -> None:
    """A stream of a million steps holds no more of them than a shorter one."""
    batches: list[int] = []

    class Counting(RecordingSink):
        def steps(self, steps: list[Step]) -> None:
            batches.append(len(steps))

    recorder = open_recorder(clock, Counting(clock))
    for _ in range(2 * MOST_HELD + 1):
        recorder.mark(Phase.FORWARD)
        recorder.close_step(1)
    recorder.close_epoch()
    assert batches == [MOST_HELD, MOST_HELD, 1]


def test_evaluation_and_time_outside_steps_belong_to_the_epoch(clock: ScriptedClock) -> None:
    sink = RecordingSink(clock)
    recorder = Recorder(Phase, sink, clock)
    recorder.start_epoch(3)
    clock.advance(7)
    recorder.mark(Phase.EPOCH_START)
    recorder.close_outside()
    clock.advance(100)
    recorder.mark(Phase.FORWARD)
    recorder.close_step(8, 1.0, 4)
    recorder.start_stage("evaluate")
    for _ in range(2):
        clock.advance(11)
        recorder.mark(Phase.EVALUATE)
        recorder.close_step(8, 1.0, 4)
    recorder.close_epoch(1e-3, 1.0, 0.5, 1.0, 0.5)
    assert [(s.stage, s.index) for s in sink.kept] == [("train", 0), ("evaluate", 0), ("evaluate", 1)]
    epoch = sink.ended[0]
    assert (epoch.epoch, epoch.wall_ns) == (3, 129)
    assert epoch.durations == {Phase.EPOCH_START: 7, Phase.EVALUATE: 22}


def test_an_interrupted_flush_can_be_repeated(clock: ScriptedClock) -> None:
    class Failing(RecordingSink):
        failures = 1

        def steps(self, steps: list[Step]) -> None:
            if self.failures:
                self.failures -= 1
                raise KeyboardInterrupt
            super().steps(steps)

    sink = Failing(clock)
    recorder = Recorder(Phase, sink, clock, flush_after_ns=10**9)
    recorder.start_epoch(0)
    clock.advance(5)
    recorder.mark(Phase.FORWARD)
    recorder.close_step(1, 0.0, 0)
    try:
        recorder.flush()
    except KeyboardInterrupt:
        recorder.flush()
    assert len(sink.kept) == 1


def test_the_machine_is_read_before_and_after_every_block_and_in_no_phase(clock: ScriptedClock) -> None:
    def look() -> Reading:
        clock.advance(1000)
        return Reading(clock.now, 1, 1, 1, 0.0, 0.0, None, 0.0, None, 0)

    sink = RecordingSink(clock)
    recorder = Recorder(
        Phase, sink, clock, schedule=POLICIES["alternate"], read_machine=look, rss_bytes=lambda: clock.now
    )
    recorder.start_epoch(0)
    recorder.start_stage("train")
    for _ in range(10):
        clock.advance(20)
        recorder.mark(Phase.FORWARD)
        recorder.close_step(1, 0.0, 0)
    recorder.start_stage("evaluate")
    recorder.close_epoch(1e-3, 0.0, 0.0)
    assert [(epoch, step) for epoch, step, _ in sink.read] == [(0, 0), (0, 4), (0, 7), (0, 10)]
    assert [s.wall_ns for s in sink.kept] == [20] * 10
    assert sink.ended[0].paused_ns == 4 * 1000
    assert [s.rss_bytes for s in sink.kept] == [s.start_ns + 20 for s in sink.kept]


def test_time_before_resuming_belongs_to_no_phase(clock: ScriptedClock) -> None:
    sink = RecordingSink(clock)
    recorder = Recorder(Phase, sink, clock)
    recorder.start_epoch(0)
    for _ in range(2):
        clock.advance(20)
        recorder.mark(Phase.FORWARD)
        recorder.close_step(1, 0.0, 0)
        clock.advance(333)
        recorder.resume()
    recorder.close_epoch(1e-3, 0.0, 0.0)
    assert [s.wall_ns for s in sink.kept] == [20, 20]
    assert sink.ended[0].paused_ns == 2 * 333


class ScriptedUsage:
    """Counters that rise only when a test raises them."""

    def __init__(self) -> None:
        self.now = ResourceUsage(10**9, 2 * 10**9, 30, 40, 50, 60)
        self.readings = 0

    def __call__(self) -> struct_rusage:
        self.readings += 1
        now = self.now
        values = [now.user_ns / 1e9, now.system_ns / 1e9, *[0] * 4, now.minor_faults, now.major_faults, *[0] * 6]
        return struct_rusage([*values, now.voluntary_switches, now.involuntary_switches])

    def add(self, **counts: int) -> None:
        self.now = self.now.plus(ResourceUsage(**counts))


def test_a_step_has_the_usage_between_its_boundaries(clock: ScriptedClock) -> None:
    usage, sink = ScriptedUsage(), RecordingSink(clock)
    recorder = Recorder(Phase, sink, clock, read_usage=usage)
    usage.add(minor_faults=999)  # before the epoch
    recorder.start_epoch(0)
    for faults in (5, 7):
        usage.add(user_ns=1000, minor_faults=faults, voluntary_switches=2)
        recorder.mark(Phase.FORWARD)
        recorder.close_step(1, 0.0, 0)
        usage.add(minor_faults=1000)  # the caller's own work between steps
        recorder.resume()
    recorder.flush()
    assert [step.usage for step in sink.kept] == [
        ResourceUsage(1000, minor_faults=n, voluntary_switches=2) for n in (5, 7)
    ]
    assert [step.phase_usage for step in sink.kept] == [{}, {}]


def test_only_a_fenced_step_reads_the_usage_at_its_marks(clock: ScriptedClock) -> None:
    usage, sink = ScriptedUsage(), RecordingSink(clock)
    recorder = Recorder(
        {Phase.FORWARD, Phase.BACKWARD}, sink, clock, schedule=POLICIES["alternate"], read_usage=usage
    )
    recorder.start_epoch(0)
    recorder.start_stage("train")
    readings = []
    for _ in range(9):
        before = usage.readings
        for phase, faults in ((Phase.FETCH, 1), (Phase.FORWARD, 10), (Phase.BACKWARD, 100)):
            usage.add(minor_faults=faults)
            recorder.mark(phase)
        readings.append(usage.readings - before)
        recorder.close_step(1, 0.0, 0)
    recorder.flush()
    fenced = [step for step in sink.kept if step.mode == "fenced"]
    assert [n for n, step in zip(readings, sink.kept, strict=True) if step.mode == "asrun"] == [0] * (9 - len(fenced))
    assert fenced
    for step in fenced:
        faults = {phase: used.minor_faults for phase, used in step.phase_usage.items()}
        assert faults == {Phase.OTHER: 1, Phase.FORWARD: 10, Phase.BACKWARD: 100}
    assert {step.usage.minor_faults for step in sink.kept if step.usage} == {111}


def test_usage_outside_the_steps_belongs_to_no_step(clock: ScriptedClock) -> None:
    usage, sink = ScriptedUsage(), RecordingSink(clock)
    recorder = Recorder(Phase, sink, clock, schedule=POLICIES["all"], read_usage=usage)
    recorder.start_epoch(0)
    usage.add(minor_faults=50)
    recorder.mark(Phase.EPOCH_START)
    recorder.close_outside()
    recorder.start_stage("train")
    usage.add(minor_faults=3)
    recorder.mark(Phase.FORWARD)
    recorder.close_step(1, 0.0, 0)
    recorder.flush()
    assert sink.kept[0].usage == ResourceUsage(minor_faults=3)
    assert sink.kept[0].phase_usage == {Phase.FORWARD: ResourceUsage(minor_faults=3)}


def open_recorder(clock: ScriptedClock, sink: RecordingSink, phases: Collection[Phase] = tuple(Phase)) -> Recorder:
    recorder = Recorder(phases, sink, clock)
    recorder.start_epoch(0)
    return recorder


def test_marks_that_no_call_ends_are_refused_where_they_would_be_lost(clock: ScriptedClock) -> None:
    """close_outside() forgotten before the first step: the time would count as a part of neither."""
    for call, name in (
        (lambda recorder: recorder.start_stage("train"), "start_stage"),
        (lambda recorder: recorder.close_epoch(0.1, 1.0, 0.5), "close_epoch"),
    ):
        recorder = open_recorder(clock, RecordingSink(clock))
        clock.advance(45)
        recorder.mark(Phase.EPOCH_START)
        with pytest.raises(MisuseError, match=rf"{name}.*close_outside"):
            call(recorder)
        recorder.close_outside()
        call(recorder)


def test_a_step_without_a_mark_is_refused(clock: ScriptedClock) -> None:
    recorder = open_recorder(clock, RecordingSink(clock))
    with pytest.raises(MisuseError, match="no mark"):
        recorder.close_step(1, 0.0, 0)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_an_epoch_cannot_be_recorded_twice(clock: ScriptedClock, index: int) -> None:
    recorder = open_recorder(clock, RecordingSink(clock))
    recorder.start_epoch(2)
    with pytest.raises(MisuseError, match="numbers must increase"):
        recorder.start_epoch(index)


class LazyLoss:
    """A loss whose value must be waited for."""

    def __init__(self, clock: ScriptedClock) -> None:
        self._clock = clock

    def __float__(self) -> float:
        self._clock.advance(2_130)
        return 1.5


def test_waiting_for_a_lazy_loss_is_part_of_its_step(clock: ScriptedClock) -> None:
    sink = RecordingSink(clock)
    recorder = open_recorder(clock, sink)
    clock.advance(100)
    recorder.mark(Phase.FORWARD)
    recorder.close_step(8, LazyLoss(clock), 4)
    recorder.close_epoch(0.1, 1.5, 0.5)
    assert sink.kept[0].durations == {Phase.FORWARD: 100, Phase.METRICS: 2_130}
    assert sink.kept[0].loss == 1.5
    assert (sink.ended[0].wall_ns, sink.ended[0].paused_ns) == (2_230, 0)


@pytest.mark.parametrize(
    "loss", [1.5, 2, np.float32(1.5), np.float64(1.5), np.array(1.5)], ids=lambda x: type(x).__name__
)
def test_a_number_that_is_there_adds_no_phase(clock: ScriptedClock, loss: Any) -> None:
    sink = RecordingSink(clock)
    recorder = open_recorder(clock, sink)
    recorder.mark(Phase.FORWARD)
    recorder.close_step(8, loss, np.int64(4))
    recorder.flush()
    assert list(sink.kept[0].durations) == [Phase.FORWARD]


def test_a_dropped_batch_is_no_step_and_its_time_is_the_epochs(clock: ScriptedClock) -> None:
    sink = RecordingSink(clock)
    recorder = open_recorder(clock, sink)
    for is_dropped in (False, True, False):
        for phase, ns in ((Phase.FETCH, 5), (Phase.FORWARD, 20)):
            clock.advance(ns)
            recorder.mark(phase)
        if is_dropped:
            clock.advance(38)  # until the error is caught
            recorder.skip_step()
            continue
        recorder.close_step(1, 0.0, 0)
    recorder.close_epoch()
    assert [(s.index, s.durations) for s in sink.kept] == [(i, {Phase.FETCH: 5, Phase.FORWARD: 20}) for i in (0, 1)]
    assert sink.ended[0].durations == {Phase.SKIPPED: 63}
    assert sink.ended[0].wall_ns == 2 * 25 + 63


def test_blocks_account_for_all_time_of_an_epoch(clock: ScriptedClock) -> None:
    """Loader, marks, the rest of a step, an evaluation in the middle, work outside, and what nobody marks."""
    sink = RecordingSink(clock)
    recorder = Recorder({Phase.FORWARD}, sink, clock)
    began = clock.now
    with recorder.epoch(0) as epoch:
        for number in range(4):
            clock.advance(3)  # the loader
            with recorder.step(8) as step:
                clock.advance(20)
                step.mark(Phase.FORWARD)
                clock.advance(1)
                step.loss, step.correct = 1.5, 4
            if number == 1:
                clock.advance(100)  # the scheduler
                with recorder.evaluation():
                    clock.advance(2)
                    with recorder.step(8) as step:
                        clock.advance(5)
                        step.correct = 3
                    clock.advance(200)  # a line is printed
        clock.advance(400)  # the loader ends
        with recorder.outside(Phase.CHECKPOINT):
            clock.advance(7)
        clock.advance(800)
        epoch.lr, epoch.test_acc = 0.1, 0.5
    train = [s for s in sink.kept if s.stage == "train"]
    assert [s.durations for s in train] == [{Phase.FETCH: 3, Phase.FORWARD: 20, Phase.OTHER: 1}] * 4
    assert [(s.index, s.loss, s.correct) for s in train] == [(i, 1.5, 4) for i in range(4)]
    (ended,) = sink.ended
    assert ended.durations == {Phase.OTHER: 1500, Phase.EVALUATE: 7, Phase.CHECKPOINT: 7}
    assert ended.wall_ns == clock.now - began == 4 * 24 + 1514
    assert (ended.lr, ended.train_loss, ended.test_acc, ended.paused_ns) == (0.1, None, 0.5, 0)


def test_every_epoch_begins_with_the_schedule(clock: ScriptedClock) -> None:
    """Five steps an epoch: the next one does not begin with the mode that would have followed."""
    sink = RecordingSink(clock)
    recorder = Recorder(Phase, sink, clock, schedule=POLICIES["alternate"])
    for number in range(2):
        with recorder.epoch(number):
            for _ in range(5):
                with recorder.step(1):
                    clock.advance(1)
    assert [s.mode for s in sink.kept] == (["asrun"] * 4 + ["fenced"]) * 2


@pytest.mark.parametrize(
    "call",
    [
        lambda recorder: recorder.close_step(1),
        lambda recorder: recorder.skip_step(),
        lambda recorder: recorder.close_outside(),
        lambda recorder: recorder.start_stage("evaluate"),
        lambda recorder: recorder.close_epoch(),
    ],
)
def test_calls_outside_an_epoch_are_refused(clock: ScriptedClock, call: Callable[[Recorder], object]) -> None:
    """An evaluation after the epoch's end, for one, would be in no epoch."""
    recorder = Recorder(Phase, RecordingSink(clock), clock)
    with pytest.raises(MisuseError, match="no epoch is open"):
        call(recorder)
    with recorder.epoch(0):
        pass
    recorder.mark(Phase.FORWARD)
    with pytest.raises(MisuseError, match="no epoch is open"):
        call(recorder)


def test_a_batch_size_that_must_be_waited_for_is_part_of_its_step(clock: ScriptedClock) -> None:
    """The number of tokens of a batch, on a device."""

    class Tokens:
        def __int__(self) -> int:
            clock.advance(50)
            return 7

    sink = RecordingSink(clock)
    recorder = open_recorder(clock, sink)
    recorder.mark(Phase.FORWARD)
    tokens: Any = Tokens()
    recorder.close_step(tokens)
    recorder.close_epoch()
    assert sink.kept[0].durations == {Phase.FORWARD: 0, Phase.METRICS: 50}
    assert sink.kept[0].images == 7


def test_a_step_whose_loss_cannot_be_read_is_dropped(clock: ScriptedClock) -> None:
    """An error of an asynchronous device surfaces where the loss is read."""

    class Broken:
        def __float__(self) -> float:
            raise ZeroDivisionError

    sink = RecordingSink(clock)
    recorder = Recorder(Phase, sink, clock)
    with recorder.epoch(0):
        for number in range(3):
            with suppress(ZeroDivisionError), recorder.step(8) as step:
                clock.advance(20)
                step.mark(Phase.FORWARD)
                step.loss = Broken() if number == 1 else 1.0
    assert [s.durations[Phase.FORWARD] for s in sink.kept] == [20, 20]
    assert sink.ended[0].durations[Phase.SKIPPED] == 20


def test_a_step_that_fails_is_dropped_and_the_next_one_is_whole(clock: ScriptedClock) -> None:
    sink = RecordingSink(clock)
    recorder = Recorder(Phase, sink, clock)
    with recorder.epoch(0):
        for number in range(3):
            with suppress(MemoryError), recorder.step(8) as step:
                clock.advance(20)
                if number == 1:
                    raise MemoryError
                step.mark(Phase.FORWARD)
    assert [s.durations[Phase.FORWARD] for s in sink.kept] == [20, 20]
    assert sink.ended[0].durations == {Phase.SKIPPED: 20, Phase.OTHER: 0}


def test_blocks_keep_the_timing_modes_in_turn(clock: ScriptedClock) -> None:
    sink = RecordingSink(clock)
    recorder = Recorder(Phase, sink, clock, schedule=POLICIES["alternate"])
    with recorder.epoch(0):
        for _ in range(9):
            with recorder.step(1):
                clock.advance(1)
            with recorder.outside(Phase.OTHER):
                clock.advance(1)
    assert [s.mode for s in sink.kept] == ["asrun"] * 4 + ["fenced"] * 3 + ["asrun"] * 2
