import mmap
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest

from epoch_gap.profiler.machine import canary
from epoch_gap.profiler.machine import cgroup as control_group
from tests.helpers.clocks import ScriptedClock


def test_a_reading_has_the_machines_counters() -> None:
    before = time.perf_counter_ns()
    reading = canary.read_machine(lambda: 3)
    assert before <= reading.at_ns <= time.perf_counter_ns()
    assert reading.matmul_ns > 0
    assert reading.loop_ns > 0
    assert reading.busy_s >= reading.own_s * 0.5
    assert reading.other_runs == 3


def test_the_canary_does_the_same_work_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its loops are as long in every reading, and its matrices the same."""
    loops: list[int] = []

    def counted(length: int) -> range:
        loops.append(length)
        return range(length)

    monkeypatch.setattr(canary, "range", counted, raising=False)
    works = []
    for _ in range(3):
        canary.read_machine()
        works.append(loops.copy())
        loops.clear()
    times = canary.REPEATS + 1
    assert (works[0].count(canary.PRODUCTS), works[0].count(canary.ADDITIONS)) == (times, times)
    assert works[0] == works[1] == works[2]


def test_the_time_of_the_canary_is_the_median_of_its_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ScriptedClock()
    ends = iter([*range(canary.REPEATS), 10**9] * 2)
    monkeypatch.setattr(canary, "time", SimpleNamespace(perf_counter_ns=clock))
    for part in ("_products", "_loop"):
        monkeypatch.setattr(canary, part, lambda *_: clock.advance(next(ends)))
    reading = canary.read_machine()
    middle = canary.REPEATS // 2 + 1  # the first repeat, of 0 ns, is not timed
    assert reading.matmul_ns == reading.loop_ns == middle


WAKES = """
import time
from epoch_gap.profiler.machine import canary
canary.read_machine()
process, main = time.process_time(), time.thread_time()
for _ in range(5):
    canary.read_machine()
main = time.thread_time() - main
print((time.process_time() - process - main) / main)
"""


def test_the_matrix_product_wakes_no_threads() -> None:
    """CPU time of other threads over that of the main one, in a fresh process that may have two."""
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("OPENBLAS_NUM_THREADS", None)
    result = subprocess.run(
        [sys.executable, "-c", WAKES], env=environment, capture_output=True, text=True, check=True
    )
    assert float(result.stdout) < 0.2


def test_memory_is_in_bytes() -> None:
    """Fresh pages of the operating system, which no allocator had before."""
    before = canary.rss_bytes()
    part, parts = bytes(1_000_000), 200
    size = len(part) * parts
    with mmap.mmap(-1, size) as pages:
        for _ in range(parts):
            pages.write(part)
        assert canary.rss_bytes() - before > 0.9 * size
        assert size < canary.peak_rss_bytes() < psutil.virtual_memory().total


def test_unreadable_values_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_group, "read_text", lambda path: None)
    assert canary.read_machine().throttled is None


LARGE = 400 * 2**20
PEAK_IN_A_CHILD = f"""
import subprocess, sys
held = bytearray({LARGE})
held[::4096] = b"x" * len(held[::4096])
child = "from epoch_gap.profiler.machine.canary import peak_rss_bytes; print(peak_rss_bytes())"
sys.stdout.write(subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True).stdout)
"""


def test_the_peak_memory_is_not_that_of_the_parent_process() -> None:
    result = subprocess.run([sys.executable, "-c", PEAK_IN_A_CHILD], capture_output=True, text=True, check=True)
    assert 0 < int(result.stdout) < LARGE
