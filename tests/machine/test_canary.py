import time

import numpy as np
import psutil
import pytest

from epoch_gap.profiler.machine import canary
from epoch_gap.profiler.machine import cgroup as control_group


def test_a_reading_has_what_the_machine_tells() -> None:
    before = time.perf_counter_ns()
    reading = canary.read(lambda: 3)
    assert before <= reading.at_ns <= time.perf_counter_ns()
    assert reading.matmul_ns > 0
    assert reading.loop_ns > 0
    assert reading.busy_s >= reading.own_s * 0.5
    assert reading.other_runs == 3


def test_the_canary_does_the_same_work_each_time() -> None:
    """The fastest of several readings on one machine agree; a ratio within one run."""
    readings = [canary.read() for _ in range(20)]
    for part in ("matmul_ns", "loop_ns"):
        fastest = sorted(getattr(r, part) for r in readings)[:5]
        assert fastest[-1] / fastest[0] < 1.5


def test_the_matrix_product_wakes_no_threads() -> None:
    """CPU time over wall time of a reading: at most one thread's."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(5):
        canary.read()
    assert (time.process_time() - cpu) / (time.perf_counter() - wall) < 1.2


def test_memory_is_in_bytes() -> None:
    before = canary.rss_bytes()
    block = np.ones(200_000_000, np.uint8)
    assert canary.rss_bytes() - before > 0.9 * block.nbytes
    assert block.nbytes < canary.peak_rss_bytes() < psutil.virtual_memory().total


def test_what_cannot_be_read_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_group, "read_text", lambda path: None)
    assert canary.read().throttled is None
