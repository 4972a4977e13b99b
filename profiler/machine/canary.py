"""Readings of the machine between blocks of steps: the reference workload (canary), memory, CPU use and load.

The canary is a fixed amount of work: a small matrix product (NumPy's BLAS on one thread, without waking its pool) and
a small Python loop. If it takes longer than before, the machine has become slower, whatever the framework.
"""

import os
import resource
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from epoch_gap.profiler.machine.cgroup import read_values, throttle_count
from epoch_gap.profiler.recording.records import Reading

if TYPE_CHECKING:
    import psutil

SIDE = 64
"""rows of the matrices: the largest product that OpenBLAS computes without waking its threads"""
PRODUCTS, ADDITIONS = 150, 24_000
"""per repeat, about a millisecond"""
REPEATS = 25
"""Repeats of which the median is taken: an interruption is not drift; it shows in `steal_s` and `busy_s`."""


@cache
def _process() -> "psutil.Process":
    import psutil  # late, like NumPy below: importing the recorder should cost little

    return psutil.Process()


def rss_bytes() -> int:
    """The current resident size of this process, bytes."""
    return int(_process().memory_info().rss)


def peak_rss_bytes() -> int:
    """The peak resident size of this process, bytes.

    On Linux from `VmHWM`, because `ru_maxrss` starts with the peak of the process that started this one.
    """
    if own := read_values("/proc/self/status", "VmHWM"):
        return int(own[0].split()[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def read_machine(count_other_runs: Callable[[], int] = lambda: 0) -> Reading:
    """Run the canary and read the machine's counters, about 50 ms. `count_other_runs` counts other timed runs."""
    import numpy as np
    import psutil

    matrix = np.full((SIDE, SIDE), 0.5, np.float32)
    at = time.perf_counter_ns()
    matmul_ns = _median_ns(lambda: _products(matrix))
    loop_ns = _median_ns(_loop)
    cpu = psutil.cpu_times()
    own = os.times()
    return Reading(
        at_ns=at,
        matmul_ns=matmul_ns,
        loop_ns=loop_ns,
        rss_bytes=rss_bytes(),
        busy_s=cpu.user + cpu.system + getattr(cpu, "nice", 0.0),
        own_s=own.user + own.system + own.children_user + own.children_system,
        steal_s=getattr(cpu, "steal", None),
        load_1min=round(os.getloadavg()[0], 2),
        throttled=throttle_count(),
        other_runs=count_other_runs(),
    )


def _median_ns(work: Callable[[], None]) -> int:
    work()  # warms the caches
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter_ns()
        work()
        times.append(time.perf_counter_ns() - start)
    return sorted(times)[REPEATS // 2]


def _products(matrix: Any) -> None:
    """Products of a NumPy array of shape (SIDE, SIDE) with itself."""
    for _ in range(PRODUCTS):
        matrix @ matrix


def _loop() -> None:
    total = 0
    for i in range(ADDITIONS):
        total += i
