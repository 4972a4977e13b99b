"""What may have moved a run's times besides its framework: flags, to be shown beside the numbers that they touch."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from epoch_gap.profiler.analysis.epoch import NS, beginning, later_steps, moving_steps
from epoch_gap.profiler.analysis.stats import Estimate, trend
from epoch_gap.profiler.analysis.warm_up import Kind
from epoch_gap.profiler.machine.environment import KERNEL_VARIABLES
from epoch_gap.profiler.recording.recorder import Reading
from epoch_gap.profiler.storage.run import Run

CANARY_LIMIT = 0.03
"""a canary whose readings move from first to last, or vary, by a larger share is flagged"""
DRIFT, UNSTEADY = "machine drift", "machine unsteady"
LEAST_READINGS = 3
STEP_LIMIT = 0.02
"""a clear trend of the step time over the run is flagged from this share on"""
MEMORY_LIMIT = 0.02
"""so is one of the resident memory"""
STEAL_LIMIT = 0.01
"""of the machine's CPU time"""
OTHERS_LIMIT = 0.05
"""of the machine's CPU time, used by other processes"""


@dataclass(frozen=True)
class Flag:
    """Something that may have moved a run's times."""

    name: str
    """two words or three, for a chart"""
    text: str
    """with its figures"""


def flags(run: Run) -> list[Flag]:
    """What is to be said beside a run's numbers; empty where nothing was found, or nothing is known."""
    return [
        *_steadiness(run), *_step_trend(run), *_memory_trend(run), *_kernels(run), *_machine(run), *_canary(run),
    ]  # fmt: skip


def drifted(run: Run) -> bool | None:
    """Whether the canary or the steps themselves say that the run drifted; None where the canary was not read.

    A machine that only varies has not drifted: the intervals know that.
    """
    if any(flag.name == DRIFT for flag in _canary(run)) or any(_step_trend(run)):
        return True
    return None if len(run.readings) < LEAST_READINGS else False


def cores_busy(run: Run) -> float | None:
    """CPU seconds of the run's process per second of its training; None where it was not read."""
    seconds = _elapsed_s(run.readings)
    return (run.readings[-1].own_s - run.readings[0].own_s) / seconds if seconds else None


def _canary(run: Run) -> Iterator[Flag]:
    """A clear trend of the canary's by a straight line; its coefficient of variation."""
    if len(run.readings) < LEAST_READINGS:
        return
    at = np.array([r.at_ns for r in run.readings], np.float64)
    parts = {
        "matrix product": np.array([r.matmul_ns for r in run.readings], np.float64),
        "Python loop": np.array([r.loop_ns for r in run.readings], np.float64),
    }
    drift, unsteady = [], []
    for name, ns in parts.items():
        moved, variation = trend(ns, at), float(ns.std(ddof=1) / ns.mean())
        if _is_clear(moved, CANARY_LIMIT):
            drift.append(f"{name} {'longer' if moved.value > 0 else 'shorter'} by {_within(moved)}")
        elif variation > CANARY_LIMIT:
            unsteady.append(f"{name} by {variation:.1%}")
    if drift:
        yield Flag(DRIFT, f"the canary, always the same work, took longer or shorter at the end: {', '.join(drift)}")
    if unsteady:
        yield Flag(
            UNSTEADY, f"the canary, always the same work, varied (coefficient of variation): {', '.join(unsteady)}"
        )


def _step_trend(run: Run) -> Iterator[Flag]:
    """Of the steps after the warm-up; that they were faster at first is a trend as well."""
    steady = moving_steps(run)
    change = trend(steady.wall_ns * NS, steady.start_ns * NS)
    if _is_clear(change, STEP_LIMIT):
        word = "slower" if change.value > 0 else "faster"
        yield Flag(f"steps grow {word}", f"steps grew {word} by {_within(change)} from the first to the last")


def _memory_trend(run: Run) -> Iterator[Flag]:
    """Of all steps after the warm-up: a fenced step may free what as-run ones left."""
    later = later_steps(run)
    if not len(later) or not later.rss_bytes.all():
        return
    change = trend(later.rss_bytes, np.arange(len(later)))
    if change.value > 0 and _is_clear(change, MEMORY_LIMIT):
        per_step = change.value * float(later.rss_bytes.mean()) / (len(later) - 1) / 1e6
        yield Flag(
            "memory grows",
            f"resident memory grew by {_within(change)} after the warm-up, {per_step:.1f} MB per step",
        )


def _steadiness(run: Run) -> Iterator[Flag]:
    if beginning(run.train, run.batch_size).kind is Kind.NONE:
        yield Flag(
            "no steady state",
            "no steady state by 40 % of the steps: an estimate from them, and its interval, may be off",
        )


def _machine(run: Run) -> Iterator[Flag]:
    readings = run.readings
    if not readings:
        return
    first, last = readings[0], readings[-1]
    if others_seen := max(r.other_runs for r in readings):
        yield Flag("other runs", f"{others_seen} other timed run{'s' * (others_seen > 1)} at the same time")
    if first.throttled is not None and last.throttled is not None and last.throttled > first.throttled:
        yield Flag("throttled", f"the control group's CPU limit stopped it {last.throttled - first.throttled} times")
    steal, others = stolen(run), _others(run)
    if steal is not None and steal > STEAL_LIMIT:
        yield Flag("CPU stolen", f"the host gave {steal:.1%} of the machine's CPU time to others (steal)")
    if others is not None and others > OTHERS_LIMIT:
        yield Flag("machine busy", f"other processes used {others:.1%} of the machine's CPU time")


def stolen(run: Run) -> float | None:
    """The share of the machine's CPU time that its host gave to others; None: unknown."""
    available = _cpu_seconds(run)
    if available is None or run.readings[0].steal_s is None or run.readings[-1].steal_s is None:
        return None
    return (run.readings[-1].steal_s - run.readings[0].steal_s) / available


def _others(run: Run) -> float | None:
    """The share of the machine's CPU time that other processes used; None: unknown."""
    available = _cpu_seconds(run)
    if available is None:
        return None
    first, last = run.readings[0], run.readings[-1]
    return (last.busy_s - first.busy_s - (last.own_s - first.own_s)) / available


def _cpu_seconds(run: Run) -> float | None:
    """What all CPUs together had between the first reading and the last."""
    seconds = _elapsed_s(run.readings)
    cores = run.manifest["environment"]["machine"].get("cores_logical")
    return seconds * cores if seconds and isinstance(cores, int) else None


def _kernels(run: Run) -> Iterator[Flag]:
    """Variables that choose kernels, and the kernels that the BLAS libraries really use."""
    environment = run.manifest["environment"]
    forced = [
        f"{name}={environment['variables'][name]}" for name in KERNEL_VARIABLES if name in environment["variables"]
    ]
    if forced:
        kernels = dict.fromkeys(
            f"{pool.get('internal_api')} uses {pool['architecture']}"
            for pool in environment["thread_pools"]
            if pool.get("architecture")
        )
        in_use = f": {', '.join(kernels)}" if kernels else ""
        yield Flag("kernels forced", f"the environment chooses kernels ({', '.join(forced)}){in_use}")


def _elapsed_s(readings: tuple[Reading, ...]) -> float:
    """Between the first reading and the last, s; 0 where there are no two."""
    return (readings[-1].at_ns - readings[0].at_ns) * NS if readings else 0.0


def _is_clear(change: Estimate, limit: float) -> bool:
    """Whether a change is larger than `limit` and its interval excludes 0."""
    return abs(change.value) > limit and change.interval().excludes(0)


def _within(change: Estimate) -> str:
    i = change.interval()
    low, high = sorted((abs(i.low or 0.0), abs(i.high or 0.0)))
    return f"{abs(i.value):.1%} ({low:.1%} to {high:.1%})"
