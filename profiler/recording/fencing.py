"""The two ledgers: where the clock charged time, and where the work was done.

On a lazy or asynchronous device a phase may end before its work has. An as-run step is the article's loop with
nothing added. A fenced step waits, before each mark, for everything that was asked for. Totals come from as-run
steps, the split of the work from fenced ones; a run that alternates between them has both from one process.
"""

from collections.abc import Callable
from enum import StrEnum

ASRUN_BLOCK, FENCED_BLOCK = 6, 3
"""Steps of one ledger before the other's turn. The first after a switch may pay for the last before it and is kept
apart; totals need more precision than the split."""


class Ledger(StrEnum):
    """How a step was timed."""

    ASRUN = "asrun"
    FENCED = "fenced"


Schedule = Callable[[int], Ledger]
"""The ledger of a training step, by its index in the epoch."""

POLICIES: dict[str, Schedule] = {
    "none": lambda step: Ledger.ASRUN,
    "alternate": lambda step: Ledger.ASRUN if step % (ASRUN_BLOCK + FENCED_BLOCK) < ASRUN_BLOCK else Ledger.FENCED,
    "all": lambda step: Ledger.FENCED,
}
"""What `--fence` may be."""


def ends_asrun_block(schedule: Schedule, steps: int) -> bool:
    """Whether the last of `steps` steps were a block of as-run ones: what they left undone can be told."""
    return steps >= ASRUN_BLOCK and all(schedule(i) is Ledger.ASRUN for i in range(steps - ASRUN_BLOCK, steps))


def begins_block(schedule: Schedule, step: int) -> bool:
    """Whether a block begins with this training step: where the ledger changes, and after as many steps otherwise."""
    return step % (ASRUN_BLOCK + FENCED_BLOCK) == 0 or schedule(step) is not schedule(step - 1)
