"""The effect of an intervention: three comparisons, in seconds per epoch.

The phases that may change, the phases that must not, and the whole epoch. Each is a mean of paired differences, on
minus off: by pairs of neighbouring blocks in one process, or by rounds of fresh processes.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.epoch import EpochEstimate
from epoch_gap.profiler.analysis.stats import Estimate, mean, mean_of_processes, total
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.experiments.level_times import LevelTimes
from epoch_gap.profiler.phases import Phase

Differences = Mapping[Phase, NDArray[np.float64]]
"""on minus off, seconds per epoch, of shape (pairs,)"""


@dataclass(frozen=True, eq=False)
class Effect:
    """What an intervention changes, in seconds per epoch; negative: less time. Compared by identity."""

    differences: Differences
    may_change: frozenset[Phase]
    are_processes: bool
    """whether a pair is a round of fresh processes, which are independent; else it is two blocks of one process"""
    steps_per_pair: int
    """training steps that one more pair takes"""
    evaluation: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """of the phase `evaluate`, if it has pairs of its own: shape (evaluation pairs,); empty otherwise"""

    @property
    def pairs(self) -> int:
        """The number of differences."""
        return len(next(iter(self.differences.values())))

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases that were measured."""
        return (*self.differences, *([Phase.EVALUATE] if len(self.evaluation) else []))

    @property
    def unit(self) -> str:
        """What a pair is."""
        return "rounds" if self.are_processes else "pairs of blocks"

    def together(self, phases: Collection[Phase]) -> Estimate:
        """The change of the sum of phases. Neighbouring pairs of blocks widen it by their autocorrelation.

        Like every difference, it has Student's interval, without skewness.
        """
        values = sum((self.differences[p] for p in phases if p in self.differences), np.zeros(self.pairs))
        if self.are_processes:
            return mean_of_processes(values)
        steps = _mean_of_pairs(values)
        is_evaluated = Phase.EVALUATE in phases and len(self.evaluation) > 0
        return total([steps, _mean_of_pairs(self.evaluation)]) if is_evaluated else steps

    @cached_property
    def changed(self) -> Estimate:
        """The phases that may change."""
        return self.together(self.may_change)

    @cached_property
    def unchanged(self) -> Estimate:
        """All other phases."""
        return self.together({*self.phases} - self.may_change)

    @cached_property
    def epoch(self) -> Estimate:
        """The whole epoch."""
        return self.together(self.phases)


def _mean_of_pairs(differences: NDArray[np.float64]) -> Estimate:
    return replace(mean(differences), third_moment=0.0)


def effect_of_levels(
    training: LevelTimes,
    evaluation: LevelTimes | None,
    may_change: Collection[Phase],
    epoch_steps: float,
    test_batches: float,
) -> Effect:
    """The effect in a run that alternated between off and on, on an epoch of `epoch_steps` training steps.

    Its evaluation of `test_batches` counts if it alternated, too.
    """
    differences = {phase: epoch_steps * values for phase, values in training.differences().items()}
    effect = Effect(differences, frozenset(may_change), False, training.steps_per_group)
    if evaluation is None:
        return effect
    return replace(effect, evaluation=test_batches * evaluation.differences()[Phase.EVALUATE])


def effect_of_rounds(
    rounds: Sequence[tuple[EpochEstimate, EpochEstimate]], may_change: Collection[Phase], steps_per_round: int
) -> Effect:
    """The effect between fresh processes, one pair (off, on) per round.

    A phase that a process did not measure is left out of every sum. Raises UserError without any round.
    """
    if not rounds:
        raise UserError("no round was finished")
    epochs = [epoch for pair in rounds for epoch in pair]
    shared = [p for p in epochs[0].phases if all(e.phases.get(p) is not None for e in epochs)]
    differences = {p: np.array([_seconds(on, p) - _seconds(off, p) for off, on in rounds]) for p in shared}
    return Effect(differences, frozenset(may_change), True, steps_per_round)


def _seconds(epoch: EpochEstimate, phase: Phase) -> float:
    part = epoch.phases[phase]
    assert part is not None, "shared phases are measured"
    return part.value
