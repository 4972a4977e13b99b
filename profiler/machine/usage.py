"""The resource usage of this process, as the operating system counts it."""

import time
from functools import partial
from resource import RUSAGE_SELF, getrusage

from epoch_gap.profiler.recording.recorder import ReadUsage

read_usage: ReadUsage = partial(getrusage, RUSAGE_SELF)
"""Reads totals since the process started, all threads together, child processes excluded (getrusage(2)).

The kernel splits the CPU time into user and system time by samples (every 1 to 10 ms); their sum is exact.
"""


def usage_cost_ns(read: ReadUsage = read_usage, readings: int = 2_000) -> float:
    """The cost of one reading on this machine, ns: the fastest of five rounds, loop overhead included."""
    rounds = []
    for _ in range(5):
        start = time.perf_counter_ns()
        for _ in range(readings):
            read()
        rounds.append((time.perf_counter_ns() - start) / readings)
    return min(rounds)
