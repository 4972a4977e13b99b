"""The list of collectives beside the marks of a step."""

import threading

from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.collectives import CollectiveKind, CollectiveLog
from epoch_gap.profiler.recording.recorder import Recorder
from tests.helpers.clocks import ScriptedClock
from tests.helpers.recorded import RecordingSink


def add(log: CollectiveLog, ready: int, done: int) -> None:
    log.add(Phase.BACKWARD, CollectiveKind.ALL_REDUCE, 100, ready, done)


def test_a_step_has_the_collectives_since_the_last_one_and_its_phases_are_as_without(clock: ScriptedClock) -> None:
    sink = RecordingSink(clock)
    recorder = Recorder({Phase.BACKWARD}, sink, clock)
    recorder.start_epoch(0)
    recorder.start_stage("train")
    for collectives in (2, 0):
        clock.advance(100)
        for i in range(collectives, 0, -1):
            add(recorder.collectives, ready=10 * i, done=50)
        recorder.mark(Phase.BACKWARD)
        recorder.close_step(1)
    recorder.flush()
    first, second = sink.kept
    assert [c.ready_ns for c in first.collectives] == [10, 20]  # as they were ready, not as they ended
    assert second.collectives == ()
    assert first.durations == second.durations == {Phase.BACKWARD: 100}


def test_a_dropped_step_drops_its_collectives(clock: ScriptedClock) -> None:
    sink = RecordingSink(clock)
    recorder = Recorder({Phase.BACKWARD}, sink, clock)
    recorder.start_epoch(0)
    recorder.start_stage("train")
    add(recorder.collectives, 1, 2)
    recorder.skip_step()
    recorder.mark(Phase.BACKWARD)
    recorder.close_step(1)
    recorder.flush()
    assert sink.kept[0].collectives == ()


def test_collectives_may_end_on_any_thread() -> None:
    log = CollectiveLog()
    threads = [threading.Thread(target=lambda: [add(log, i, i + 1) for i in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    found = len(log.take())
    for thread in threads:
        thread.join()
    assert found + len(log.take()) == 2000


def test_nothing_is_done_before_it_was_ready() -> None:
    log = CollectiveLog()
    add(log, ready=10, done=7)
    (collective,) = log.take()
    assert (collective.ready_ns, collective.done_ns) == (7, 7)
