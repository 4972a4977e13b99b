from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import ASRUN_BLOCK, FENCED_BLOCK, POLICIES, TimingMode
from epoch_gap.profiler.recording.recorder import Recorder
from epoch_gap.profiler.recording.records import Stage
from tests.helpers.clocks import ScriptedClock
from tests.helpers.recorded import RecordingSink


def test_alternating_gives_blocks_of_both_modes_starting_as_run() -> None:
    modes = [POLICIES["alternate"](step) for step in range(2 * (ASRUN_BLOCK + FENCED_BLOCK))]
    assert modes == 2 * ([TimingMode.ASRUN] * ASRUN_BLOCK + [TimingMode.FENCED] * FENCED_BLOCK)


def test_a_fenced_mark_waits_before_it_reads_the_clock_and_an_as_run_one_does_not(clock: ScriptedClock) -> None:
    sink = RecordingSink(clock)
    recorder = Recorder(Phase, sink, clock, schedule=POLICIES["all"], wait=lambda: clock.advance(100))
    recorder.start_epoch(0)
    clock.advance(1)
    recorder.mark(Phase.EPOCH_START)
    recorder.close_outside()
    stages: tuple[Stage, ...] = ("train", "evaluate")
    for stage in stages:
        recorder.start_stage(stage)
        clock.advance(7)
        recorder.mark(Phase.FORWARD)
        recorder.close_step(1, 0.0, 0)
    recorder.close_epoch(1e-3, 0.0, 0.0)
    assert [(s.stage, s.mode, s.wall_ns) for s in sink.kept] == [
        ("train", TimingMode.FENCED, 107),
        ("evaluate", TimingMode.ASRUN, 7),
    ]
    assert sink.ended[0].durations == {Phase.EPOCH_START: 1, Phase.EVALUATE: 7}
