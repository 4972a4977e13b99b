"""Turn interventions on and off between the steps of a training, block by block."""

from collections.abc import Sequence
from typing import Protocol

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.experiments.arms import level_of
from epoch_gap.profiler.recording.records import Step
from epoch_gap.profiler.storage.manifest import Alternation
from epoch_gap.workloads.experiments import apply_switches, check_switches, switches_of_evaluation
from epoch_gap.workloads.framework import Framework
from epoch_gap.workloads.intervention import Undo, Workload
from epoch_gap.workloads.loop import EvaluationPlan, ShouldStop


class Plan(ShouldStop, EvaluationPlan, Protocol):
    """When the training of an epoch ends, and when and on how much of the test set it is evaluated."""


class Alternating:
    """A `Plan` that gives each training step its level, and each test batch if the evaluation alternates, too.

    The time that this takes belongs to no phase. Without an alternation, nothing is ever turned on. An evaluation
    that does not alternate is done with the interventions turned off.
    """

    def __init__(self, alternation: Alternation | None, workload: Workload, plan: Plan) -> None:
        self._workload, self._plan, self._alternation = workload, plan, alternation
        self._training = alternation.levels if alternation is not None else ()
        self._evaluation = tuple(map(switches_of_evaluation, self._training))
        self._on: Sequence[str] = ()
        self._undo: Undo = lambda: None
        self._use(self._training, 0)

    def __call__(self, step: Step) -> bool:
        """Whether training stops after `step`; if not, the next step has its level."""
        is_last = self._plan(step)
        if is_last:
            self.turn_off()
        else:
            self._use(self._training, step.index + 1)
        return is_last

    def is_due(self) -> bool:
        """Whether to evaluate now, as the plan says."""
        return self._plan.is_due()

    def ends_after(self, batches: int) -> bool:
        """Whether the evaluation ends after this number of batches; if not, the next batch has its level."""
        is_last = self._plan.ends_after(batches)
        if is_last:
            self.turn_off()
        elif self._alternation is not None and self._alternation.evaluation:
            self._use(self._evaluation, batches)
        return is_last

    def turn_off(self) -> None:
        """Undo whatever is on."""
        undo, self._undo, self._on = self._undo, lambda: None, ()
        undo()

    def _use(self, levels: Sequence[Sequence[str]], index: int) -> None:
        """Turn on the switches that the step or batch of this index has."""
        if self._alternation is None:
            return
        switches = levels[level_of(self._alternation, index)]
        if switches != self._on:
            self.turn_off()
            self._undo, self._on = apply_switches(switches, self._workload), switches


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
    if alternation.evaluation and not any(map(switches_of_evaluation, alternation.levels)):
        raise UserError("--alternate-evaluation: none of these interventions changes an evaluation")
