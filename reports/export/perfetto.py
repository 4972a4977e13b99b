"""A run as a trace for Perfetto and chrome://tracing: steps, phases, resource usage, readings of the machine.

Format: Trace Event Format, JSON object form. Times in microseconds of the run's clock.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import TimingMode
from epoch_gap.profiler.recording.records import Epoch, Reading
from epoch_gap.profiler.storage.run import UNKNOWN, Run, StepTable

MOST_STEPS = 20_000
"""Longer runs are thinned evenly to this many steps; such a trace takes about 40 MB."""
ORDER = (
    *(Phase.FETCH, Phase.COLLATE, Phase.OTHER, Phase.TO_DEVICE, Phase.COMPILED, Phase.ZERO_GRAD, Phase.FORWARD),
    *(Phase.MATERIALIZE, Phase.BACKWARD, Phase.STEP, Phase.METRICS, Phase.LOGGING, Phase.EVALUATE),
)
"""The order of phases within a step, as the loop marks them: a step stores only the sum of each. Any other phase that
a custom loop marks follows."""
STEPS, OUTSIDE = 1, 2
"""thread ids of the trace"""


def run_to_trace(run: Run, most_steps: int = MOST_STEPS) -> dict[str, Any]:
    """The run's trace as JSON values. `otherData` has the number of steps that it contains."""
    train, evaluate = (_thin(table, most_steps) for table in (run.train, run.evaluate))
    return {
        "displayTimeUnit": "ms",
        "otherData": {
            "run": run.id,
            "training steps": f"{len(train)} of {len(run.train)}",
            "evaluation batches": f"{len(evaluate)} of {len(run.evaluate)}",
        },
        "traceEvents": [
            _metadata("process_name", 0, f"{run.framework.title} ({run.id})"),
            _metadata("thread_name", STEPS, "steps"),
            _metadata("thread_name", OUTSIDE, "once per epoch"),
            *step_events(train, "train"),
            *step_events(evaluate, "evaluate"),
            *(event for epoch in run.epochs for event in _outside(run, epoch)),
            *_usage_counters(train),
            *(event for reading in run.readings for event in _counters(reading)),
        ],
    }


def _thin(table: StepTable, most: int) -> StepTable:
    each = -(-len(table) // most) or 1
    return table.where(np.arange(len(table)) % each == 0)


def _metadata(kind: str, thread: int, name: str) -> dict[str, Any]:
    event = {"ph": "M", "pid": 1, "tid": thread, "name": kind, "cat": "__metadata", "ts": 0}
    return {**event, "args": {"name": name}}


def _event(name: str, mode: str, start_ns: int, ns: int, thread: int, **args: Any) -> dict[str, Any]:
    event = {"ph": "X", "pid": 1, "tid": thread, "name": name, "cat": mode}
    return {**event, "ts": start_ns / 1000, "dur": ns / 1000, "args": args}


def step_events(table: StepTable, stage: str) -> Iterator[dict[str, Any]]:
    """The events of a stage's steps and their phases, one after the other."""
    others = [phase for phase in table.phase_ns if phase not in ORDER]
    columns = [(phase, table.phase_ns[phase]) for phase in (*ORDER, *others) if phase in table.phase_ns]
    for i in range(len(table)):
        mode = TimingMode.FENCED if table.fenced[i] else TimingMode.ASRUN
        start = int(table.start_ns[i])
        name = f"{stage} {table.epoch[i]}:{table.index[i]} ({mode})"
        counts = {"images": int(table.images[i])}
        if table.correct[i] != UNKNOWN:
            counts["correct"] = int(table.correct[i])
        yield _event(name, mode, start, int(table.wall_ns[i]), STEPS, **counts)
        for phase, ns in columns:
            if ns[i]:
                yield _event(phase, mode, start, int(ns[i]), STEPS)
                start += int(ns[i])


def _outside(run: Run, epoch: Epoch) -> Iterator[dict[str, Any]]:
    """Once-per-epoch phases: `epoch_start` ends at the first step, the others follow the last."""
    train, evaluate = (table.where(table.epoch == epoch.epoch) for table in (run.train, run.evaluate))
    if not len(train):
        return
    if ns := epoch.durations.get(Phase.EPOCH_START):
        yield _event(Phase.EPOCH_START, TimingMode.ASRUN, int(train.start_ns[0]) - ns, ns, OUTSIDE, epoch=epoch.epoch)
    ends = {Phase.FLUSH: train, Phase.CHECKPOINT: evaluate if len(evaluate) else train}
    for phase, before in ends.items():
        if ns := epoch.durations.get(phase):
            end = int(before.start_ns[-1] + before.wall_ns[-1])
            yield _event(phase, TimingMode.ASRUN, end, ns, OUTSIDE, epoch=epoch.epoch)


def _usage_counters(train: StepTable) -> Iterator[dict[str, Any]]:
    """The resource usage of each training step, as a rate over the step."""
    if train.usage is None:
        return
    usage, seconds = train.usage, np.maximum(train.wall_ns, 1) * 1e-9
    tracks = {
        "cores busy in the program": usage.user_ns * 1e-9 / seconds,
        "cores busy in the kernel": usage.system_ns * 1e-9 / seconds,
        "page faults per second": (usage.minor_faults + usage.major_faults) / seconds,
        "context switches per second": (usage.voluntary_switches + usage.involuntary_switches) / seconds,
    }
    for name, rates in tracks.items():
        for start_ns, rate in zip(train.start_ns, rates, strict=True):
            yield _counter(name, "resource usage", start_ns / 1000, float(rate))


def _counter(name: str, category: str, at_us: float, value: float) -> dict[str, Any]:
    return {"ph": "C", "pid": 1, "tid": 0, "name": name, "cat": category, "ts": at_us, "args": {name: value}}


def _counters(reading: Reading) -> Iterator[dict[str, Any]]:
    values = {
        "resident memory, MB": reading.rss_bytes / 1e6,
        "canary, ms": (reading.matmul_ns + reading.loop_ns) / 1e6,
        "load": reading.load_1min,
    }
    for name, value in values.items():
        yield _counter(name, "machine", reading.at_ns / 1000, value)
