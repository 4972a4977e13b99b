"""What stored runs and drill-downs tell about a training step before anything is changed; input of the predictions.

All times are wall seconds per training step of a full batch, in one timing mode; nothing is a sum of kernel times.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from epoch_gap.profiler.analysis.stats import Estimate, total
from epoch_gap.profiler.drilldown.spans import OperatorCategory
from epoch_gap.profiler.phases import Phase

PHASES_OF_WORK = {
    Phase.FORWARD: (Phase.FORWARD, Phase.MATERIALIZE),
    Phase.BACKWARD: (Phase.BACKWARD,),
}
"""the phases of a fenced step that hold the operators of a direction, by the phase that names it"""


class MissingEvidenceError(Exception):
    """A prediction needs something that was not measured. The message says what, and how to measure it."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A side before the experiments."""

    framework: str
    """the registry's name"""
    phases: Mapping[Phase, Estimate]
    """as-run steps: where the clock charges the time"""
    per_epoch: Mapping[Phase, Estimate] = field(default_factory=dict)
    """phases outside the steps, divided by the number of steps"""
    fenced: Mapping[Phase, Estimate] | None = None
    """fenced steps: where the work is done; None: not measured"""
    is_lazy: bool = False
    """whether work may be done in a later phase than the one that asks for it"""
    system: Mapping[Phase, Estimate] | None = None
    """the operating system's part of each phase, in all steps the same share of their sum; None: not counted"""
    cores_busy: float | None = None
    """CPU seconds per second of a step; None: not counted"""
    operators: Mapping[str, Mapping[tuple[Phase, OperatorCategory], Estimate]] = field(default_factory=dict)
    """by framework: the seconds of an operator category in the work of forward or backward"""
    isolated: Mapping[str, Estimate] = field(default_factory=dict)
    """by name of the function that makes the two variants: the new one's time over the present one's"""

    @property
    def work(self) -> Mapping[Phase, Estimate]:
        """Where the work is done: fenced steps, or as-run ones if there are no others."""
        return self.fenced or self.phases

    @property
    def step(self) -> float:
        """Seconds of an as-run step."""
        return sum(part.value for part in self.phases.values())

    @property
    def forward(self) -> Estimate:
        """Seconds of the work of forward."""
        return total(self.work[phase] for phase in PHASES_OF_WORK[Phase.FORWARD] if phase in self.work)

    @property
    def evaluation(self) -> Estimate:
        """Seconds of the evaluation over the number of steps. Raises MissingEvidenceError if it was not timed."""
        found = self.per_epoch.get(Phase.EVALUATE)
        if found is None:
            raise MissingEvidenceError("the evaluation was not timed in every stored run; run `make profile`")
        return found

    def phase(self, phase: Phase) -> Estimate:
        """Seconds in a phase, as charged; 0 for a phase that the framework does not have."""
        return self.phases.get(phase, Estimate(0.0))

    def operator(self, framework: str, phase: Phase, category: OperatorCategory) -> Estimate:
        """Seconds of a category in the work of a phase; 0 if the drill-down did not find it there.

        Raises MissingEvidenceError without a drill-down of the framework's operators.
        """
        found = self.operators.get(framework)
        if found is None:
            raise MissingEvidenceError(f"the operators of {framework} were not timed")
        return found.get((phase, category), Estimate(0.0))
