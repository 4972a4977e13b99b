"""A distributed training as a trace for Perfetto: a track per rank, and arrows from the last rank to those that wait.

Format: Trace Event Format, JSON object form. Times in microseconds of the first rank's clock.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from epoch_gap.profiler.distributed.arrivals import Arrivals
from epoch_gap.profiler.distributed.communication import TRANSFER
from epoch_gap.profiler.storage.run import StepTable
from epoch_gap.reports.export.perfetto import STEPS, step_events
from epoch_gap.reports.ranks import RanksView

COLLECTIVES = 3
"""thread id of the track of a rank's collectives"""
MOST_STEPS = 4_000
"""steps of all ranks together; a step of a rank has events for its phases, its collectives and their arrows"""


def ranks_trace(view: RanksView, most_steps: int = MOST_STEPS) -> dict[str, Any]:
    """The trace as JSON values; more steps of all ranks together than `most_steps` are thinned evenly.

    Without times of the collectives, each rank's steps are on its own clock.
    """
    arrivals, ranks = view.analysis.arrivals, view.ranks
    tables = view.analysis.steps or view.steps
    each = -(-sum(map(len, tables)) // most_steps) or 1
    events: list[dict[str, Any]] = []
    for place, (rank, steps) in enumerate(zip(ranks, tables, strict=True)):
        events += _names(rank)
        offset = 0 if arrivals is None else arrivals.offset_ns[place]
        thinned = _shifted(steps, offset).where(np.arange(len(steps)) % each == 0)
        events += ({**event, "pid": rank + 1} for event in step_events(thinned, "train"))
    if arrivals is not None:
        events += _collectives(arrivals, each)
    shown = f"{-(-len(tables[0]) // each)} of {len(tables[0])}"
    return {"displayTimeUnit": "ms", "otherData": {"steps of each rank": shown}, "traceEvents": events}


def _shifted(steps: StepTable, offset: Any) -> StepTable:
    return replace(steps, start_ns=steps.start_ns - offset)


def _names(rank: int) -> Iterator[dict[str, Any]]:
    names = (("process_name", 0, f"rank {rank}"), ("thread_name", STEPS, "steps"))
    for kind, thread, name in (*names, ("thread_name", COLLECTIVES, "collectives")):
        event = {"ph": "M", "pid": rank + 1, "tid": thread, "name": kind, "cat": "__metadata", "ts": 0}
        yield {**event, "args": {"name": name}}


def _collectives(arrivals: Arrivals, each: int) -> Iterator[dict[str, Any]]:
    """A slice from ready to done, and an arrow from the last rank's ready to the done of every other."""
    last = arrivals.ready_ns.argmax(axis=0)
    number = 0
    for step in range(0, len(arrivals.steps), each):
        for i, point in enumerate(arrivals.points):
            late = int(last[step, i])
            for place, rank in enumerate(arrivals.ranks):
                ready, done = (int(times[place, step, i]) for times in (arrivals.ready_ns, arrivals.done_ns))
                track = {"pid": rank + 1, "tid": COLLECTIVES, "cat": str(TRANSFER)}
                slice_ = {"ph": "X", "name": str(point.kind), "ts": ready / 1000, "dur": (done - ready) / 1000}
                yield {**track, **slice_, "args": {"bytes": point.bytes, "in": str(point.phase)}}
                if place != late:
                    number += 1
                    yield _arrow("s", arrivals.ranks[late], int(arrivals.ready_ns[late, step, i]), number)
                    yield _arrow("f", rank, done, number)


def _arrow(end: str, rank: int, at_ns: int, number: int) -> dict[str, Any]:
    """One end of an arrow, which binds to the slice that encloses it."""
    track = {"ph": end, "pid": rank + 1, "tid": COLLECTIVES, "cat": "wait", "name": "last rank"}
    return {**track, "id": number, "ts": at_ns / 1000, **({"bp": "e"} if end == "f" else {})}
