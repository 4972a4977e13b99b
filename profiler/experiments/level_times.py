"""Step times of a run whose interventions alternated: a mean for each level, group by group."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.epoch import NS
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.experiments.arms import follows_a_switch, groups_of, levels_of, steps_per_group
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.run import Run, StepTable

LEAST_GROUPS = 3
"""the first one is warm-up, and an interval needs two"""


@dataclass(frozen=True, eq=False)
class LevelTimes:
    """Mean seconds of a training step by group and level, of shape (groups, levels). Compared by identity."""

    phases: Mapping[Phase, NDArray[np.float64]]
    """they sum to `step`"""
    steps_per_group: int
    """training steps that one more group would take"""

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
    groups = len(train) // size
    if groups < LEAST_GROUPS:
        raise UserError(f"{run.id}: {len(train)} steps; an alternating run needs {LEAST_GROUPS * size} at least")
    group = groups_of(alternation, train.index)
    level = levels_of(alternation, train.index)
    usable = ~follows_a_switch(alternation, train.index) & (train.images == run.batch_size)
    cells = [[usable & (group == g) & (level == n) for n in range(len(alternation.levels))] for g in range(1, groups)]
    complete = [row for row in cells if all(cell.any() for cell in row)]
    if len(complete) < LEAST_GROUPS - 1:
        raise UserError(f"{run.id}: blocks of {alternation.block} steps leave no step; use longer blocks")
    return LevelTimes({phase: _means(train, phase, complete) for phase in train.phase_ns}, size)


def _means(train: StepTable, phase: Phase, cells: list[list[NDArray[np.bool_]]]) -> NDArray[np.float64]:
    seconds = train.phase_ns[phase] * NS
    return np.array([[seconds[cell].mean() for cell in row] for row in cells])
