"""Fencing: the two timing modes, and the schedule that alternates them.

On a lazy or asynchronous device a phase may end before its work is done. An *as-run* step is the article's loop with
nothing added: it shows where the clock charges time. A *fenced* step waits, before each mark, for all requested work:
it shows where the work is done. Totals come from as-run steps and the split of work from fenced ones; a run that
alternates has both from one process. The stored name of the timing mode is `ledger`.
"""

from collections.abc import Callable
from enum import StrEnum

ASRUN_BLOCK, FENCED_BLOCK = 4, 3
"""Steps of one timing mode before the other's turn. Totals need more precision than the split. The first step after a
switch is excluded, since it may include work left over from the step before it. Short blocks let a short process have
both modes."""


class TimingMode(StrEnum):
    """The timing mode of a step."""

    ASRUN = "asrun"
    FENCED = "fenced"


Schedule = Callable[[int], TimingMode]
"""Maps the index of a training step in its epoch to a timing mode."""

POLICIES: dict[str, Schedule] = {
    "none": lambda step: TimingMode.ASRUN,
    "alternate": lambda step: (
        TimingMode.ASRUN if step % (ASRUN_BLOCK + FENCED_BLOCK) < ASRUN_BLOCK else TimingMode.FENCED
    ),
    "all": lambda step: TimingMode.FENCED,
}
"""The choices of `--fence`."""


def ends_asrun_block(schedule: Schedule, steps: int) -> bool:
    """Whether the last `ASRUN_BLOCK` of `steps` steps are all as-run, so that a flush after them can be scaled."""
    return steps >= ASRUN_BLOCK and all(schedule(i) is TimingMode.ASRUN for i in range(steps - ASRUN_BLOCK, steps))


def begins_block(schedule: Schedule, step: int) -> bool:
    """Whether a block begins at this training step: at each switch of modes, and after as many steps without one."""
    return step % (ASRUN_BLOCK + FENCED_BLOCK) == 0 or schedule(step) is not schedule(step - 1)
