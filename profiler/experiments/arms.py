"""The arms of a run that turns interventions on and off: which level each training step has.

With two levels, off and on, blocks of steps follow A B B A: a slow change of the machine affects both alike. With
more levels, every group of blocks has each level once, in an order drawn from the seed.
"""

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.storage.manifest import Alternation

BLOCK = 2
"""steps of one level before the next one's turn. Neighbouring steps are alike, so short blocks compare best."""


def level_of(alternation: Alternation, step: int) -> int:
    """The index of the level that a training step has, from its index in the epoch; 0 is off."""
    group, place = divmod(step // alternation.block, len(alternation.levels))
    return _order(alternation, group)[place]


def levels_of(alternation: Alternation, steps: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """The levels of training steps, of shape (n,)."""
    return np.array([level_of(alternation, int(step)) for step in steps], np.int64)


def groups_of(alternation: Alternation, steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """The groups of training steps, of shape (n,); a group has one block of every level."""
    return steps // steps_per_group(alternation)


def steps_per_group(alternation: Alternation) -> int:
    """The number of training steps in which every level has one block."""
    return alternation.block * len(alternation.levels)


def follows_a_switch(alternation: Alternation, steps: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a step is the first of the training, or of its level: it may hold work of the level before."""
    at_start: NDArray[np.bool_] = np.equal(steps, 0)
    switched: NDArray[np.bool_] = levels_of(alternation, steps) != levels_of(alternation, np.maximum(steps - 1, 0))
    return at_start | switched


def _order(alternation: Alternation, group: int) -> list[int]:
    levels = list(range(len(alternation.levels)))
    if len(levels) == 2:
        return levels if group % 2 == 0 else levels[::-1]
    random.Random(f"{alternation.seed} {group}").shuffle(levels)
    return levels
