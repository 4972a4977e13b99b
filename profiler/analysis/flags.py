"""Flags: conditions that may have changed a run's times, shown beside the numbers that they affect."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np

from epoch_gap.profiler.analysis.epoch import NS
from epoch_gap.profiler.analysis.stats import Estimate, spread, trend
from epoch_gap.profiler.analysis.step_selection import StepSelection
from epoch_gap.profiler.analysis.warm_up import StartKind
from epoch_gap.profiler.recording.fencing import TimingMode
from epoch_gap.profiler.recording.records import Reading
from epoch_gap.profiler.storage.run import Run

CANARY_LIMIT = 0.03
"""A canary whose trend or coefficient of variation exceeds this is flagged."""
LEAST_READINGS = 3
STEP_LIMIT = 0.02
"""A clear trend of the step time that exceeds this share is flagged."""
MEMORY_LIMIT = 0.02
"""A clear trend of the resident memory that exceeds this share is flagged."""
STEAL_LIMIT = 0.01
"""share of the machine's CPU time that may be stolen without a flag"""
OWN_LIMIT = 0.01
"""share of a step that the recorder itself may take without a flag"""
OUTLIER_LIMIT = 0.25
"""share of the time of the steps that outliers may take, beyond that of as many others, without a flag"""
OTHERS_LIMIT = 0.05
"""share of the machine's CPU time that other processes may use without a flag"""


class FlagKind(StrEnum):
    """What was flagged. The value is the title on charts and the name in summary.json."""

    DRIFT = "machine drift"
    UNSTEADY = "machine unsteady"
    SLOWER_STEPS = "steps grow slower"
    FASTER_STEPS = "steps grow faster"
    MEMORY = "memory grows"
    NO_STEADY_STATE = "no steady state"
    OTHER_RUNS = "other runs"
    THROTTLED = "throttled"
    STOLEN = "CPU stolen"
    BUSY = "machine busy"
    FORCED_KERNELS = "kernels forced"
    RECORDER = "recorder counts"
    OUTLIERS = "outliers count"


DRIFT_KINDS = (FlagKind.DRIFT, FlagKind.SLOWER_STEPS, FlagKind.FASTER_STEPS)
"""The flags of a machine, or of steps, that changed from start to end."""

ADVICE: dict[FlagKind, str] = {
    FlagKind.FORCED_KERNELS: "unset the environment variables that choose kernels, and run the same again.",
    FlagKind.OTHER_RUNS: "run the same again with no other timed run beside it.",
    FlagKind.BUSY: "run the same again when nothing else uses the machine.",
    FlagKind.THROTTLED: "run the same again without the CPU limit.",
    FlagKind.NO_STEADY_STATE: "run the same again with more STEPS=, until the steps are steady.",
}
"""What to do about a flag, the most harmful first. Other kinds have no remedy."""
CUSTOM_LOOP_ADVICE = {**ADVICE, FlagKind.NO_STEADY_STATE: "record more steps of the loop, until they are steady."}
"""The same for custom training loops."""


@dataclass(frozen=True)
class Flag:
    """A condition that may have changed a run's times."""

    kind: FlagKind
    text: str
    """a description, with figures"""


def find_flags(run: Run, selection: StepSelection, own_share: float) -> tuple[Flag, ...]:
    """Every flag of a run; empty if no condition was detected or could be checked.

    `own_share` is the recorder's own cost as a share of a step.
    """
    return (
        *_recorder(own_share),
        *_outliers(selection),
        *_steadiness(selection),
        *_step_trend(selection),
        *_memory_trend(selection),
        *_forced_kernels(run),
        *_machine(run),
        *_canary(run),
    )


def _recorder(own_share: float) -> Iterator[Flag]:
    if own_share > OWN_LIMIT:
        text = f"its marks and readings take at least {own_share:.1%} of a step; mark fewer phases, or larger steps"
        yield Flag(FlagKind.RECORDER, text)


def _outliers(selection: StepSelection) -> Iterator[Flag]:
    """Outliers that make up much of the mean: a machine that slept, or a process that was suspended."""
    steps = selection.steady(TimingMode.ASRUN)
    if not len(steps):
        return
    seconds = spread(steps.wall_ns * NS)
    mean = float(steps.wall_ns.mean()) * NS
    if mean - seconds.mean_without > OUTLIER_LIMIT * mean:
        text = (
            f"{seconds.outliers} of {len(steps)} steps took up to {seconds.largest:.4g} s: the mean is {mean:.4g} s "
            f"with and {seconds.mean_without:.4g} s without them; did the machine sleep, or the process stop?"
        )
        yield Flag(FlagKind.OUTLIERS, text)


def has_drifted(run: Run, flags: Iterable[Flag]) -> bool | None:
    """Whether the canary or the steps themselves drifted, by the run's flags; None if the canary was not read.

    A machine that varies without a trend has not drifted: the intervals include its variation.
    """
    if any(flag.kind in DRIFT_KINDS for flag in flags):
        return True
    return None if len(run.readings) < LEAST_READINGS else False


def cores_busy(run: Run) -> float | None:
    """CPU seconds of the run's process per second of training; None without readings."""
    seconds = _elapsed_s(run.readings)
    return _risen(run.readings, lambda reading: reading.own_s) / seconds if seconds else None


def _canary(run: Run) -> Iterator[Flag]:
    """A clear linear trend of the canary, or a large coefficient of variation."""
    if len(run.readings) < LEAST_READINGS:
        return
    at = np.array([r.at_ns for r in run.readings], np.float64)
    parts = {
        "matrix product": np.array([r.matmul_ns for r in run.readings], np.float64),
        "Python loop": np.array([r.loop_ns for r in run.readings], np.float64),
    }
    drift, unsteady = [], []
    for name, ns in parts.items():
        change, variation = trend(ns, at), float(ns.std(ddof=1) / ns.mean())
        if _is_clear(change, CANARY_LIMIT):
            drift.append(f"{name} {'longer' if change.value > 0 else 'shorter'} by {_with_interval(change)}")
        elif variation > CANARY_LIMIT:
            unsteady.append(f"{name} by {variation:.1%}")
    if drift:
        yield Flag(
            FlagKind.DRIFT, f"the canary, a fixed amount of work, changed from start to end: {', '.join(drift)}"
        )
    if unsteady:
        yield Flag(
            FlagKind.UNSTEADY,
            f"the canary, a fixed amount of work, varied (coefficient of variation): {', '.join(unsteady)}",
        )


def _step_trend(selection: StepSelection) -> Iterator[Flag]:
    """A clear trend of the steps after the warm-up; a faster start counts as a trend, too."""
    steps = selection.for_trend
    change = trend(steps.wall_ns * NS, steps.start_ns * NS)
    if _is_clear(change, STEP_LIMIT):
        kind = FlagKind.SLOWER_STEPS if change.value > 0 else FlagKind.FASTER_STEPS
        word = "slower" if change.value > 0 else "faster"
        yield Flag(kind, f"steps grew {word} by {_with_interval(change)} from the first to the last")


def _memory_trend(selection: StepSelection) -> Iterator[Flag]:
    """Growth of memory over all steps after the warm-up: a fenced step may free memory that as-run steps hold."""
    later = selection.after_start
    if not len(later) or not later.rss_bytes.all():
        return
    change = trend(later.rss_bytes, np.arange(len(later)))
    if change.value > 0 and _is_clear(change, MEMORY_LIMIT):
        per_step = change.value * float(later.rss_bytes.mean()) / (len(later) - 1) / 1e6
        yield Flag(
            FlagKind.MEMORY,
            f"resident memory grew by {_with_interval(change)} after the warm-up, {per_step:.1f} MB per step",
        )


def _steadiness(selection: StepSelection) -> Iterator[Flag]:
    if selection.start.kind is StartKind.NO_STEADY_STATE:
        yield Flag(
            FlagKind.NO_STEADY_STATE,
            "no steady state within the first 40 % of the steps: the estimate and its interval may be off",
        )


def _machine(run: Run) -> Iterator[Flag]:
    readings = run.readings
    if not readings:
        return
    if other_runs := max(r.other_runs for r in readings):
        yield Flag(FlagKind.OTHER_RUNS, f"{other_runs} other timed run{'s' * (other_runs > 1)} at the same time")
    if None not in {r.throttled for r in readings} and (times := _risen(readings, lambda r: r.throttled or 0)) > 0:
        yield Flag(FlagKind.THROTTLED, f"the control group's CPU limit stopped the process {times:.0f} times")
    steal, others = stolen_share(run), _others_share(run)
    if steal is not None and steal > STEAL_LIMIT:
        yield Flag(FlagKind.STOLEN, f"the host gave {steal:.1%} of the machine's CPU time to others (steal)")
    if others is not None and others > OTHERS_LIMIT:
        yield Flag(FlagKind.BUSY, f"other processes used {others:.1%} of the machine's CPU time")


def stolen_share(run: Run) -> float | None:
    """The share of the machine's CPU time that its host gave to other guests; None: unknown."""
    available = _cpu_seconds(run)
    if available is None or any(reading.steal_s is None for reading in run.readings):
        return None
    return _risen(run.readings, lambda reading: reading.steal_s or 0.0) / available


def _others_share(run: Run) -> float | None:
    """The share of the machine's CPU time that other processes used; None: unknown."""
    available = _cpu_seconds(run)
    if available is None:
        return None
    return _risen(run.readings, lambda reading: reading.busy_s - reading.own_s) / available


def _cpu_seconds(run: Run) -> float | None:
    """CPU seconds available on all cores together, in the time that the readings cover."""
    seconds = _elapsed_s(run.readings)
    cores = run.manifest.environment.machine.cores_logical
    return seconds * cores if seconds and isinstance(cores, int) else None


def _forced_kernels(run: Run) -> Iterator[Flag]:
    """Environment variables that choose kernels, and the kernels that the BLAS libraries use."""
    environment = run.manifest.environment
    if forced := [f"{name}={value}" for name, value in environment.forced_kernels.items()]:
        kernels = dict.fromkeys(
            f"{pool.internal_api} uses {pool.architecture}" for pool in environment.thread_pools if pool.architecture
        )
        in_use = f": {', '.join(kernels)}" if kernels else ""
        yield Flag(FlagKind.FORCED_KERNELS, f"the environment chooses kernels ({', '.join(forced)}){in_use}")


def _elapsed_s(readings: tuple[Reading, ...]) -> float:
    """Seconds between neighbouring readings of one turn, summed; 0 without such a pair."""
    return _risen(readings, lambda reading: reading.at_ns * NS)


def _risen(readings: Sequence[Reading], counter: Callable[[Reading], float]) -> float:
    """By how much a counter rose, only between neighbouring readings of one turn: not while other processes ran."""
    return math.fsum(counter(b) - counter(a) for a, b in pairwise(readings) if a.turn == b.turn)


def _is_clear(change: Estimate, limit: float) -> bool:
    """Whether a change is larger than `limit` and its interval excludes 0."""
    return abs(change.value) > limit and change.interval().excludes(0)


def _with_interval(change: Estimate) -> str:
    i = change.interval()
    low, high = sorted((abs(i.low or 0.0), abs(i.high or 0.0)))
    return f"{abs(i.value):.1%} ({low:.1%} to {high:.1%})"
