from itertools import pairwise
from resource import struct_rusage

from hypothesis import given
from hypothesis import strategies as st

from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import POLICIES
from epoch_gap.profiler.recording.recorder import Recorder
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
