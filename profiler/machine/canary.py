"""The machine between two blocks of steps: a canary, which always does the same, and what else was going on.

The canary is a small matrix product (NumPy's BLAS, one thread: no pool is woken) and a small Python loop. Where it
takes longer than before, so do the steps, and no framework is to blame.
"""

import os
import resource
import sys
import time
from collections.abc import Callable

import numpy as np
import psutil

from epoch_gap.profiler.machine.cgroup import throttled
from epoch_gap.profiler.recording.recorder import Reading

SIDE = 64
"""of the matrices: the largest product that OpenBLAS computes without waking its threads"""
PRODUCTS, ADDITIONS = 150, 24_000
"""in one repeat, about a millisecond"""
REPEATS = 25
"""the median is taken: an interruption is not drift, it shows in `steal_s` and `busy_s`"""

_PROCESS = psutil.Process()


def rss_bytes() -> int:
    """The resident size of this process now, bytes."""
    return int(_PROCESS.memory_info().rss)


def peak_rss_bytes() -> int:
    """The largest resident size of this process so far, bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def read(other_runs: Callable[[], int] = lambda: 0) -> Reading:
    """Run the canary and look around; about 50 ms. `other_runs` counts timed runs of other processes."""
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
        throttled=throttled(),
        other_runs=other_runs(),
    )


def _median_ns(work: Callable[[], None]) -> int:
    work()  # what it needs comes into the caches first
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter_ns()
        work()
        times.append(time.perf_counter_ns() - start)
    return sorted(times)[REPEATS // 2]


def _products(matrix: "np.ndarray[tuple[int, int], np.dtype[np.float32]]") -> None:
    for _ in range(PRODUCTS):
        matrix @ matrix


def _loop() -> None:
    total = 0
    for i in range(ADDITIONS):
        total += i
