"""The resource usage of this process, as the operating system counts it."""

import resource
import time
from collections.abc import Callable

from epoch_gap.profiler.recording.records import ResourceUsage


def read_usage() -> ResourceUsage:
    """Totals since the process started, all threads together, ended children excluded (getrusage(2), RUSAGE_SELF).

    The kernel splits the CPU time into user and system time by samples (every 1 to 10 ms); their sum is exact.
    """
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return ResourceUsage(
        round(usage.ru_utime * 1e9),
        round(usage.ru_stime * 1e9),
        usage.ru_minflt,
        usage.ru_majflt,
        usage.ru_nvcsw,
        usage.ru_nivcsw,
    )


def usage_cost_ns(read: Callable[[], ResourceUsage] = read_usage, readings: int = 2_000) -> float:
    """The cost of one reading on this machine, ns: the fastest of five rounds, loop overhead included."""
    rounds = []
    for _ in range(5):
        start = time.perf_counter_ns()
        for _ in range(readings):
            read()
        rounds.append((time.perf_counter_ns() - start) / readings)
    return min(rounds)
