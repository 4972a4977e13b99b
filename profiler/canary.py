"""The machine between two blocks of steps: a canary, which always does the same, and what else was going on.

The canary is a small matrix product (NumPy's BLAS, one thread: no pool is woken) and a small Python loop. Where it
takes longer than before, so do the steps, and no framework is to blame.
"""

import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from profiler.recorder import Reading

SIDE = 64
"""of the matrices: the largest product that OpenBLAS computes without waking its threads"""
PRODUCTS, ROUNDS_OF_LOOP = 60, 12_000
"""about a millisecond each"""
REPEATS = 9
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
    """Run the canary and look around; about 20 ms. `other_runs` counts timed runs of other processes."""
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
        throttled=_throttled(),
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
    for i in range(ROUNDS_OF_LOOP):
        total += i


def control_group() -> str:
    """This process's own control group (version 2)."""
    lines = (read_text("/proc/self/cgroup") or "").splitlines()
    own = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "")
    return f"/sys/fs/cgroup{own}".rstrip("/")


def _throttled() -> int | None:
    """Times that this process's control group was throttled by its CPU limit."""
    text = read_text(f"{control_group()}/cpu.stat") or ""
    counts = [line.split()[1] for line in text.splitlines() if line.startswith("nr_throttled")]
    return int(counts[0]) if counts else None


def read_text(path: str) -> str | None:
    """A small file of the system's, or None."""
    try:
        return Path(path).read_text()
    except OSError:
        return None
