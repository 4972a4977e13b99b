"""How often the gate is right on a machine: its false alarms, and the slowdowns that it finds, from known truths."""

from collections.abc import Sequence
from dataclasses import dataclass

from epoch_gap.profiler.analysis.accuracy import wilson_interval
from epoch_gap.profiler.analysis.stats import Interval
from epoch_gap.profiler.comparison.gap import Gap
from epoch_gap.profiler.comparison.gate import GateDecision, decide
from epoch_gap.profiler.comparison.identity import comparison_key, machine_key
from epoch_gap.profiler.storage.qualification_store import Qualification, Qualifications, Trial
from epoch_gap.profiler.storage.run import Run


@dataclass(frozen=True)
class Rate:
    """How often the gate failed in comparisons with one slowdown."""

    slowdown: float
    """the planted share of an epoch; 0: none, so that every failure is a false alarm"""
    failed: int
    trials: int
    """at least one; they share no process"""

    @property
    def share(self) -> Interval:
        """The share of failures with its Wilson interval."""
        return wilson_interval(self.failed, self.trials)


def measure_rates(qualification: Qualification, allowed: float, floor: float | None) -> list[Rate]:
    """The gate's rates by slowdown, the smallest first, with this allowance and this noise floor (shares)."""
    slowdowns = sorted({trial.slowdown for trial in qualification.trials})
    return [_rate(slowdown, qualification.trials, allowed, floor) for slowdown in slowdowns]


def _rate(slowdown: float, trials: Sequence[Trial], allowed: float, floor: float | None) -> Rate:
    decisions = [
        decide(Interval(trial.ratio, trial.low, trial.high), trial.is_difference_clear, floor, allowed)
        for trial in trials
        if trial.slowdown == slowdown
    ]
    return Rate(slowdown, decisions.count(GateDecision.FAILED), len(decisions))


def judge_trial(gap: Gap, slowdown: float, planted: float) -> Trial:
    """The comparison `gap`, of the slowed side over the plain one, as a trial."""
    ratio = gap.judged
    is_clear = gap.seconds.interval().excludes(0)
    return Trial(
        slowdown=slowdown,
        planted=planted,
        ratio=ratio.value,
        low=ratio.low,
        high=ratio.high,
        is_difference_clear=is_clear,
    )


def applicable_qualification(known: Qualifications, runs: Sequence[Run]) -> Qualification | None:
    """The qualification of the workload of `runs` on their machine; None if they have several, or it is unknown."""
    keys = {(machine_key(run.manifest), comparison_key(run.manifest)) for run in runs}
    if len(keys) > 1:
        return None
    machine, key = keys.pop()
    return known.get(machine, {}).get(key)
