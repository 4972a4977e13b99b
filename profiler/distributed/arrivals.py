"""When every rank arrived at each collective of each step, on one clock.

Clocks. Ranks of one boot of one host read one monotonic clock. Otherwise the offset of a rank's clock to rank 0's
follows from the collectives themselves: none is done on one rank before it was ready on the other. Each all-reduce
therefore bounds the offset from both sides, as a message there and back does (Cristian 1989). The narrowest bounds
of a window of steps hold for all of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.step_selection import select_steps
from epoch_gap.profiler.distributed.training import DistributedTraining, rank_of
from epoch_gap.profiler.experiments.arms import follows_a_switch, levels_of
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.collectives import CollectiveKind
from epoch_gap.profiler.storage.run import CollectiveTable, Run, StepTable

REBUILT = 2
"""steps at the start of a training whose collectives differ: after the first, DDP rebuilds its buckets"""
WINDOW = 50
"""steps over which an offset between two clocks counts as constant: drifts are below 100 us per second"""


class Point(NamedTuple):
    """A collective that every step has."""

    phase: Phase
    kind: CollectiveKind
    bytes: int


@dataclass(frozen=True, eq=False)
class Arrivals:
    """The collectives of the steps that all ranks have. Times in ns, of shape (ranks, steps, points)."""

    ranks: tuple[int, ...]
    points: tuple[Point, ...]
    steps: NDArray[np.int64]
    """`step_key` of each step, shape (steps,)"""
    ready_ns: NDArray[np.int64]
    """on the clock of the first of `ranks`"""
    done_ns: NDArray[np.int64]
    error_ns: int | None
    """how far the clocks of two ranks may be apart in these times; 0: one clock; None: not known"""
    offset_ns: NDArray[np.int64]
    """how far each rank's clock is ahead of the first one's, shape (ranks, steps)"""
    dropped: int
    """steady steps without the collectives of every rank"""

    def last_of(self, phase: Phase) -> int:
        """The index of the last collective that is waited for in a phase."""
        return max(i for i, point in enumerate(self.points) if point.phase is phase)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases in which ranks wait for each other, in the order of a step."""
        return tuple(dict.fromkeys(point.phase for point in self.points))


def step_key(epoch: NDArray[np.int64], step: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number per epoch and step, in order."""
    return epoch * 2**32 + step


def align_arrivals(training: DistributedTraining) -> Arrivals | None:
    """The arrivals of a training's ranks once it is warm; None if a rank has no times, or no step has those of all.

    Ranks wait for each other in every step, so the start of one is that of all.
    """
    counted = _keys_of(counted_steps(training.runs[0]))
    taken = set(counted.tolist()).intersection(*(_keys_of(run.train).tolist() for run in training.runs))
    tables = [_collectives_of(run, counted) for run in training.runs]
    if not all(map(len, tables)):
        return None
    layouts = [_layout(table) for table in tables]
    if len(set(layouts)) > 1:
        return None
    stacked = [_stack(table, layouts[0]) for table in tables]
    common = taken.intersection(*(keys.tolist() for keys, _, _ in stacked))
    if not common:
        return None
    steps = np.array(sorted(common), np.int64)
    rows = [np.searchsorted(keys, steps) for keys, _, _ in stacked]
    ready = np.stack([of_rank[1][row] for of_rank, row in zip(stacked, rows, strict=True)])
    done = np.stack([of_rank[2][row] for of_rank, row in zip(stacked, rows, strict=True)])
    offset = np.zeros(ready.shape[:2], np.int64)
    arrivals = Arrivals(training.ranks, layouts[0], steps, ready, done, 0, offset, len(taken) - len(common))
    if training.shares_a_clock:
        return arrivals
    return _on_one_clock(arrivals, [rank_of(run.manifest).boot for run in training.runs])


def counted_steps(run: Run, level: int = 0) -> StepTable:
    """The full steps after the start whose marks say where work was done: on a lazy device, the fenced ones.

    Of a run whose interventions alternated, those of one level: 0 is without. The first after a switch does not
    count: DDP broadcasts no buffers before it, and it may wait for ranks that are late from the block before.
    """
    selection = select_steps(run.train, run.batch_size)
    steps = selection.full.where(np.arange(len(selection.full)) >= max(REBUILT, selection.start.steps))
    if (alternation := run.config.alternate) is not None:
        is_of_level = levels_of(alternation, steps.index) == level
        steps = steps.where(is_of_level & ~follows_a_switch(alternation, steps.index))
    return steps.where(steps.fenced) if Phase.FLUSH in run.framework.phases else steps


def _keys_of(steps: StepTable) -> NDArray[np.int64]:
    return step_key(steps.epoch, steps.index)


def _collectives_of(run: Run, counted: NDArray[np.int64]) -> CollectiveTable:
    table = run.collectives
    is_counted = np.isin(step_key(table.epoch, table.step), counted)
    return table.where(is_counted & np.not_equal(table.kind, CollectiveKind.TIMERS).astype(np.bool_))


def _layout(table: CollectiveTable) -> tuple[Point, ...]:
    """The collectives of the last step."""
    keys = step_key(table.epoch, table.step)
    last = table.where(keys == keys[-1])
    return tuple(map(Point, last.phase, last.kind, last.bytes.tolist()))


def _stack(
    table: CollectiveTable, layout: Sequence[Point]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Keys (steps,), ready and done (steps, points) of the steps whose collectives are those of `layout`."""
    keys = step_key(table.epoch, table.step)
    found, counts = np.unique(keys, return_counts=True)
    whole = table.where(np.isin(keys, found[counts == len(layout)]))
    shape = (-1, len(layout))
    fits = np.ones(len(whole) // len(layout), np.bool_)
    for column, expected in ((whole.phase, 0), (whole.kind, 1), (whole.bytes, 2)):
        fits &= np.equal(column.reshape(shape), np.array([point[expected] for point in layout])).all(axis=1)
    keys = step_key(whole.epoch, whole.step).reshape(shape)[:, 0]
    return keys[fits], whole.ready_ns.reshape(shape)[fits], whole.done_ns.reshape(shape)[fits]


def _on_one_clock(arrivals: Arrivals, boots: Sequence[str]) -> Arrivals:
    """The arrivals on the first rank's clock, with the largest error between two ranks."""
    offsets, errors = arrivals.offset_ns.copy(), []
    joint = np.array([point.kind is CollectiveKind.ALL_REDUCE for point in arrivals.points])
    from_first = joint | np.array([arrivals.ranks[0] == 0] * len(joint))
    for rank in range(1, len(boots)):
        if boots[rank] and boots[rank] == boots[0]:
            continue
        # Nothing is done before all ranks, or the one that broadcasts, were ready for it.
        least = (arrivals.ready_ns[rank] - arrivals.done_ns[0])[:, joint]
        most = (arrivals.done_ns[rank] - arrivals.ready_ns[0])[:, from_first]
        bounds = _offsets(least, most) if joint.any() else None
        if bounds is None:
            return replace(arrivals, error_ns=None)
        offsets[rank], error = bounds
        errors.append(error)
    ready, done = (times - offsets[:, :, None] for times in (arrivals.ready_ns, arrivals.done_ns))
    return replace(arrivals, ready_ns=ready, done_ns=done, offset_ns=offsets, error_ns=sum(sorted(errors)[-2:]))


def _offsets(least: NDArray[np.int64], most: NDArray[np.int64]) -> tuple[NDArray[np.int64], int] | None:
    """How far a clock is ahead, by step, and the largest error; None if nothing is between the bounds.

    The bounds have the shape (steps, points).
    """
    starts = np.arange(0, len(least), WINDOW)
    low = np.maximum.reduceat(least.max(axis=1), starts)
    high = np.minimum.reduceat(most.min(axis=1), starts)
    if (low > high).any():
        return None
    window = np.arange(len(least)) // WINDOW
    return ((low + high) // 2)[window], int(((high - low + 1) // 2).max())
