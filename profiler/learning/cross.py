"""The cross: which trainings tell apart the schedule, the initialisation and the framework.

Both sides first train as they are. The fast side then trains with its own and with the other side's schedule, and
with its own and with the other side's initial weights, with several seeds. The slow side trains once more with the
schedule and the initial weights of the fast side, so that everything but the framework is the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

SCHEDULE, WEIGHTS = "other_schedule", "other_initial_weights"
"""the interventions, by which a side takes these from the other one"""


@dataclass(frozen=True)
class Cell:
    """One training."""

    framework: str
    """the registry's name"""
    switches: tuple[str, ...]
    """the interventions that are on: of `SCHEDULE` and `WEIGHTS`, in this order"""
    seed: int

    @property
    def factors(self) -> tuple[bool, bool]:
        """Whether the schedule, and whether the initial weights, are the other side's."""
        return SCHEDULE in self.switches, WEIGHTS in self.switches


def plan_cross(slow: str, fast: str, seeds: Sequence[int]) -> list[Cell]:
    """The trainings in their order: the slow side with everything shared, then the cross, seed by seed."""
    cells = [Cell(slow, (SCHEDULE, WEIGHTS), seeds[0])]
    for seed, weights, schedule in product(seeds, ((), (WEIGHTS,)), ((), (SCHEDULE,))):
        cells.append(Cell(fast, (*schedule, *weights), seed))
    return cells
