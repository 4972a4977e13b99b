"""Rules that predict the effect of an intervention, in wall seconds per step."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from epoch_gap.profiler.analysis.stats import Estimate, difference, total
from epoch_gap.profiler.drilldown.spans import OperatorCategory
from epoch_gap.profiler.experiments.evidence import Evidence, MissingEvidenceError
from epoch_gap.profiler.phases import Phase


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a rule predicts, in seconds; negative: less time."""

    phases: Mapping[Phase, Estimate]
    """by phase; all others stay as they are"""
    whole: Estimate
    """of all phases together: known better than the sum of its parts where these are not independent"""
    is_bound: bool = False
    """whether the change is between 0 and `whole`, at most"""

    @classmethod
    def from_phases(cls, phases: Mapping[Phase, Estimate], *, is_bound: bool = False) -> "Change":
        """A change of independent phases."""
        return cls(phases=dict(phases), whole=total(phases.values()) if phases else Estimate(0.0), is_bound=is_bound)

    def scaled(self, factor: float) -> "Change":
        """`factor` times the change."""
        phases = {phase: part.scaled(factor) for phase, part in self.phases.items()}
        return Change(phases=phases, whole=self.whole.scaled(factor), is_bound=self.is_bound)

    def without(self, phase: Phase) -> "Change":
        """The change of all other phases, which are taken as independent if this one changes."""
        if phase not in self.phases:
            return self
        others = {other: part for other, part in self.phases.items() if other is not phase}
        return Change.from_phases(others, is_bound=self.is_bound)


def sum_of_changes(changes: Iterable[Change]) -> Change:
    """What several changes predict together, if they do not interact."""
    changes = list(changes)
    names = dict.fromkeys(phase for change in changes for phase in change.phases)
    return Change(
        phases={p: total(c.phases[p] for c in changes if p in c.phases) for p in names},
        whole=total(change.whole for change in changes),
        is_bound=any(change.is_bound for change in changes),
    )


@dataclass(frozen=True)
class Remove:
    """The phase disappears."""

    phase: Phase

    def predict(self, evidence: Evidence) -> Change:
        """Minus the phase. On a lazy device that was not fenced, work of other phases may be in it: a bound."""
        is_bound = evidence.is_lazy and evidence.fenced is None
        seconds = evidence.work.get(self.phase, Estimate(0.0)) if evidence.is_lazy else evidence.phase(self.phase)
        return Change.from_phases({self.phase: seconds.scaled(-1)}, is_bound=is_bound)


@dataclass(frozen=True)
class Substitute:
    """The operators of a category take the time that they take in the framework `by`."""

    category: OperatorCategory
    phases: tuple[Phase, ...]
    """forward and backward; and the evaluation, if it computes them in the same way"""
    by: str
    """the registry's name"""

    def predict(self, evidence: Evidence) -> Change:
        """b - a in forward and backward, from the shares of the drill-downs and the seconds of timed steps.

        The evaluation is taken as forward without gradients: it changes by the same share as forward. Raises
        MissingEvidenceError unless the operators of both frameworks, and the evaluation, were timed.
        """
        phases = [phase for phase in self.phases if phase is not Phase.EVALUATE]
        parts: dict[Phase, Estimate] = {phase: self._difference(evidence, phase) for phase in phases}
        if Phase.EVALUATE not in self.phases:
            return Change.from_phases(parts)
        if evidence.forward.value <= 0:
            raise MissingEvidenceError("forward took no time in the stored runs, so its share is not known")
        weight = _quotient(evidence.evaluation, evidence.forward)
        forward = parts.pop(Phase.FORWARD)
        # Forward's error is also one of the evaluation, so the two add up as they are, not as squares.
        of_weight = Estimate(0.0, weight.variance * forward.value**2, weight.dof)
        return Change(
            phases={Phase.FORWARD: forward, **parts, Phase.EVALUATE: _product(forward, weight)},
            whole=total([forward.scaled(1 + weight.value), of_weight, *parts.values()]),
        )

    def _difference(self, evidence: Evidence, phase: Phase) -> Estimate:
        by, own = (evidence.operator(name, phase, self.category) for name in (self.by, evidence.framework))
        return difference(by, own)


@dataclass(frozen=True)
class Ratio:
    """The phases shrink by the ratio of two variants that are timed in isolation on the same arrays."""

    phases: tuple[Phase, ...]
    isolated: str
    """a function of the experiment's module that makes the two variants, the present one first"""

    def predict(self, evidence: Evidence) -> Change:
        """Each phase x (new / old - 1). Raises MissingEvidenceError if the variants were not timed."""
        ratio = evidence.isolated.get(self.isolated)
        if ratio is None:
            raise MissingEvidenceError("the two variants were not timed in isolation")
        shrinkage = replace(ratio, value=ratio.value - 1)
        seconds = {phase: evidence.phase(phase) for phase in self.phases}
        return Change(
            phases={phase: _product(part, shrinkage) for phase, part in seconds.items()},
            whole=_product(total(seconds.values()), shrinkage),
        )


@dataclass(frozen=True)
class Move:
    """The time of a phase moves to another; the sum stays."""

    from_: Phase
    to: Phase

    def predict(self, evidence: Evidence) -> Change:
        """Minus the phase in one place, plus the same in the other."""
        seconds = evidence.phase(self.from_)
        return Change(phases={self.from_: seconds.scaled(-1), self.to: seconds}, whole=Estimate(0.0))


@dataclass(frozen=True)
class Null:
    """Nothing changes."""

    def predict(self, evidence: Evidence) -> Change:
        """0."""
        return Change(phases={}, whole=Estimate(0.0))


@dataclass(frozen=True)
class Scale:
    """The same CPU seconds on this number of threads: an upper bound."""

    threads: int

    def predict(self, evidence: Evidence) -> Change:
        """Each phase x (cores busy / threads - 1): at most so much, since threads that wait in a loop count as busy.

        Raises MissingEvidenceError if the CPU seconds were not counted.
        """
        if evidence.cores_busy is None:
            raise MissingEvidenceError("the CPU seconds of the stored runs were not counted; run `make profile`")
        factor = evidence.cores_busy / self.threads - 1
        phases = {**evidence.phases, **evidence.per_epoch}
        return Change.from_phases({p: part.scaled(factor) for p, part in phases.items()}, is_bound=True)


@dataclass(frozen=True)
class Delay:
    """The phase takes exactly this much longer."""

    phase: Phase
    seconds: float

    def predict(self, evidence: Evidence) -> Change:
        """Plus the delay, exactly."""
        return Change.from_phases({self.phase: Estimate(self.seconds)})


@dataclass(frozen=True)
class SystemTime:
    """The operating system's time disappears."""

    def predict(self, evidence: Evidence) -> Change:
        """Minus its part of each phase. Raises MissingEvidenceError if it was not counted by phase."""
        if evidence.system is None:
            raise MissingEvidenceError("the operating system's time by phase is not known; run `make profile`")
        parts = {phase: part.scaled(-1) for phase, part in evidence.system.items()}
        # The parts are shares of one estimate, so their errors add up as they are, not as squares.
        value, error = (math.fsum(values) for values in ((p.value for p in parts.values()), _errors(parts.values())))
        dof = min((part.dof for part in parts.values()), default=math.inf)
        return Change(phases=parts, whole=Estimate(value, error**2, dof))


def _product(a: Estimate, b: Estimate) -> Estimate:
    """The product of independent estimates, with the variance of Goodman 1960 without its smallest term."""
    variance = a.variance * b.value**2 + b.variance * a.value**2
    return Estimate(a.value * b.value, variance, min(a.dof, b.dof))


def _quotient(a: Estimate, b: Estimate) -> Estimate:
    """a / b for independent estimates, b > 0, with its first-order variance."""
    value = a.value / b.value
    return Estimate(value, (a.variance + value**2 * b.variance) / b.value**2, min(a.dof, b.dof))


def _errors(parts: Iterable[Estimate]) -> Iterable[float]:
    return (math.sqrt(part.variance) for part in parts)


Prediction = Remove | Substitute | Ratio | Move | Null | Scale | Delay | SystemTime
