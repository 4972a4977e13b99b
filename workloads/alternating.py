"""Turn interventions on and off between the steps of a training, block by block."""

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.experiments.arms import level_of
from epoch_gap.profiler.recording.records import Step
from epoch_gap.profiler.storage.manifest import Alternation
from epoch_gap.workloads.experiments import apply_switches, check_switches
from epoch_gap.workloads.framework import Framework
from epoch_gap.workloads.intervention import Undo, Workload
from epoch_gap.workloads.loop import ShouldStop


class Alternating:
    """A `ShouldStop` that gives each training step its level. The time that this takes belongs to no phase.

    Without an alternation, nothing is ever turned on. The evaluation is done with the interventions turned off.
    """

    def __init__(self, alternation: Alternation | None, workload: Workload, should_stop: ShouldStop) -> None:
        self._alternation, self._workload, self._should_stop = alternation, workload, should_stop
        self._level = 0
        self._undo: Undo = lambda: None
        self._use(0)

    def __call__(self, step: Step) -> bool:
        """Whether training stops after `step`; if not, the next step has its level."""
        is_last = self._should_stop(step)
        if is_last:
            self.turn_off()
        else:
            self._use(step.index + 1)
        return is_last

    def turn_off(self) -> None:
        """Undo whatever is on."""
        undo, self._undo, self._level = self._undo, lambda: None, 0
        undo()

    def _use(self, step: int) -> None:
        if self._alternation is None or (level := level_of(self._alternation, step)) == self._level:
            return
        self.turn_off()
        self._undo = apply_switches(self._alternation.levels[level], self._workload)
        self._level = level


def check_alternation(alternation: Alternation | None, framework: Framework, epochs: int, fence: str) -> None:
    """Raise UserError if a switch cannot alternate in this training, or if its steps could not be told apart."""
    if alternation is None:
        return
    for switches in alternation.levels:
        check_switches(switches, framework)
    if epochs != 1:
        raise UserError("--alternate: one epoch only, because blocks are counted from its first step; use --epochs 1")
    if fence == "alternate":
        raise UserError("--alternate: the timing mode must not alternate, too; add --fence none")
