"""Step times of a run whose interventions alternated: a mean for each level, group by group."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.epoch import NS
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.experiments.arms import follows_a_switch, groups_of, levels_of, steps_per_group
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.manifest import Alternation
from epoch_gap.profiler.storage.run import Run, StepTable

LEAST_GROUPS = 3
"""the first one is warm-up, and an interval needs two"""


@dataclass(frozen=True, eq=False)
class LevelTimes:
    """Mean seconds of a training step or test batch, of shape (groups, levels). Compared by identity."""

    phases: Mapping[Phase, NDArray[np.float64]]
    """they sum to `step`"""
    steps_per_group: int
    """steps or batches that one more group would take"""

    @property
    def step(self) -> NDArray[np.float64]:
        """The whole step."""
        return np.sum([*self.phases.values()], axis=0)

    def differences(self) -> dict[Phase, NDArray[np.float64]]:
        """On minus off by phase, of shape (groups,), of a run with two levels."""
        return {phase: means[:, 1] - means[:, 0] for phase, means in self.phases.items()}


def join_levels(times: Sequence[LevelTimes]) -> LevelTimes:
    """The groups of several runs, at least one, that alternated between the same levels."""
    phases = times[0].phases
    return LevelTimes({p: np.concatenate([one.phases[p] for one in times]) for p in phases}, times[0].steps_per_group)


def measure_levels(run: Run) -> LevelTimes:
    """The step times of an alternating run.

    The first step after each switch is excluded: it may hold work of the level before. So are the first group, which
    warms up, smaller batches and a last group that is not complete. Raises UserError with fewer than `LEAST_GROUPS`
    groups, or if nothing alternated.
    """
    alternation = run.config.alternate
    if alternation is None:
        raise UserError(f"{run.id}: no intervention alternated in this run")
    train = run.train
    size = steps_per_group(alternation)
    if len(train) // size < LEAST_GROUPS:
        raise UserError(f"{run.id}: {len(train)} steps; an alternating run needs {LEAST_GROUPS * size} at least")
    complete = _complete_groups(alternation, train, run.batch_size)
    if len(complete) < LEAST_GROUPS - 1:
        raise UserError(f"{run.id}: blocks of {alternation.block} steps leave no step; use longer blocks")
    return LevelTimes({phase: _means(train.phase_ns[phase], complete) for phase in train.phase_ns}, size)


def measure_evaluation_levels(run: Run) -> LevelTimes | None:
    """The same of the test batches, whose whole time is the phase `evaluate`; None if too few of them alternated."""
    alternation = run.config.alternate
    if alternation is None or not alternation.evaluation:
        return None
    complete = _complete_groups(alternation, run.evaluate, run.batch_size)
    if len(complete) < LEAST_GROUPS - 1:
        return None
    return LevelTimes({Phase.EVALUATE: _means(run.evaluate.wall_ns, complete)}, steps_per_group(alternation))


def _complete_groups(alternation: Alternation, steps: StepTable, batch_size: int) -> list[list[NDArray[np.bool_]]]:
    """The steps that count, by level, of every group that has some of each level; not of the first group."""
    group, level = groups_of(alternation, steps.index), levels_of(alternation, steps.index)
    usable = ~follows_a_switch(alternation, steps.index) & (steps.images == batch_size)
    groups, levels = len(steps) // steps_per_group(alternation), range(len(alternation.levels))
    cells = [[usable & (group == g) & (level == n) for n in levels] for g in range(1, groups)]
    return [row for row in cells if all(cell.any() for cell in row)]


def _means(ns: NDArray[np.int64], cells: list[list[NDArray[np.bool_]]]) -> NDArray[np.float64]:
    seconds = ns * NS
    return np.array([[seconds[cell].mean() for cell in row] for row in cells])
