import mmap
from resource import struct_rusage

from epoch_gap.profiler.machine.usage import read_usage, usage_cost_ns
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import POLICIES
from epoch_gap.profiler.recording.recorder import Recorder
from epoch_gap.profiler.recording.records import ResourceUsage
from tests.helpers.clocks import ScriptedClock
from tests.helpers.recorded import RecordingSink

TOUCHED = 200_000_000
"""bytes"""


def touch(size: int) -> None:
    """Map anonymous memory and write to each of its pages, in pages of the smallest size."""
    with mmap.mmap(-1, size) as memory:
        if hasattr(mmap, "MADV_NOHUGEPAGE"):
            memory.madvise(mmap.MADV_NOHUGEPAGE)
        for start in range(0, size, mmap.PAGESIZE):
            memory[start] = 1


def test_the_faults_of_touched_memory_are_found_in_its_phase(clock: ScriptedClock) -> None:
    sink = RecordingSink(clock)
    recorder = Recorder(Phase, sink, clock, schedule=POLICIES["all"], read_usage=read_usage)
    recorder.start_epoch(0)
    recorder.start_stage("train")
    for phase in (Phase.FETCH, Phase.FORWARD, Phase.BACKWARD):
        if phase is Phase.FORWARD:
            touch(TOUCHED)
        recorder.mark(phase)
    recorder.close_step(1, 0.0, 0)
    recorder.flush()
    pages = TOUCHED // mmap.PAGESIZE
    faults = {phase: usage.minor_faults for phase, usage in sink.kept[0].phase_usage.items()}
    assert faults[Phase.FORWARD] >= pages
    assert faults[Phase.FETCH] + faults[Phase.BACKWARD] < 0.01 * pages
    assert sink.kept[0].usage is not None
    assert sink.kept[0].usage.minor_faults >= pages
    assert sink.kept[0].usage.system_ns >= 0


def test_counters_only_rise() -> None:
    change = ResourceUsage.between(read_usage(), read_usage())
    assert min(change.user_ns, change.system_ns, change.minor_faults, change.voluntary_switches) >= 0


def test_the_cost_is_that_of_one_reading() -> None:
    calls = 0

    def read() -> struct_rusage:
        nonlocal calls
        calls += 1
        return struct_rusage(range(16))

    assert usage_cost_ns(read, readings=10) > 0
    assert calls == 50
