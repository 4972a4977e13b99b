"""The answers of a cross: what each cause explains of the difference between the sides, with a verdict."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from epoch_gap.profiler.analysis.significance import p_positive, share_error
from epoch_gap.profiler.analysis.stats import Estimate
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.experiments.verdict import LEAST_SHARE, Verdict, shifted
from epoch_gap.profiler.learning.cross import Cell
from epoch_gap.profiler.learning.effects import CrossEffects, Factors, measure_effects
from epoch_gap.profiler.learning.outcomes import Outcome, measure_outcome
from epoch_gap.profiler.learning.rivals import FRAMEWORK, SCHEDULE
from epoch_gap.profiler.learning.session import CrossSession, Rival, find_crosses, load_cross
from epoch_gap.profiler.storage.reader import read_run
from epoch_gap.profiler.storage.run import Run


@dataclass(frozen=True)
class Answer:
    """One claim with its measurement."""

    rival: Rival
    predicted: Estimate
    """with the spread between trainings, as the cross shows it; unknown before"""
    measured: Estimate | None
    """what the cause makes of the outcome, fast - slow; None: its trainings are not finished"""
    verdict: Verdict | None = None
    """None: not measured, or edited"""
    reason: str = ""
    runs: tuple[str, ...] = ()
    """ids of those that it was measured with"""


@dataclass(frozen=True)
class CrossAssessment:
    """A session with its runs and answers."""

    session: CrossSession
    baseline: Mapping[str, Run]
    """of both sides as they are, by the registry's name; those that can be read"""
    runs: Mapping[Cell, Run]
    """of the cross"""
    effects: Mapping[Outcome, CrossEffects] = field(default_factory=dict)
    answers: tuple[Answer, ...] = ()
    is_edited: bool = False
    """whether the predictions were changed after they were sealed"""

    def value(self, cell: Cell, outcome: Outcome) -> float | None:
        """The outcome of a training; None if it is not finished, or lacks it."""
        run = self.runs.get(cell)
        return None if run is None else measure_outcome(run, outcome)


def load_cross_assessments(runs_dir: Path, warn: Callable[[str], None]) -> list[CrossAssessment]:
    """The assessments of all crosses beside the runs, newest first; `warn` is told of what cannot be read."""
    found = []
    for folder in find_crosses(runs_dir):
        try:
            found.append(assess_cross(folder, runs_dir, warn))
        except UserError as error:
            warn(f"skipped: {error}")
    return found


def assess_cross(folder: Path, runs_dir: Path, warn: Callable[[str], None]) -> CrossAssessment:
    """The answers of the cross in a folder, as far as it is trained.

    Raises UserError if the session cannot be read. A run that cannot be read counts as not trained.
    """
    session = load_cross(folder)
    runs = {t.cell: run for t in session.trainings if (run := _read(folder / t.run, warn)) is not None}
    found = (_read(runs_dir / id, warn) for id in session.baseline)
    baseline = {run.config.framework: run for run in found if run is not None}
    return answer(session, baseline, runs)


def _read(path: Path, warn: Callable[[str], None]) -> Run | None:
    try:
        return read_run(path)
    except UserError as error:
        warn(f"skipped: {error}")
        return None


def answer(session: CrossSession, baseline: Mapping[str, Run], runs: Mapping[Cell, Run]) -> CrossAssessment:
    """Measure every cause, and judge all claims together by Holm's method."""
    values = {outcome: _by_seed(session, runs, outcome) for outcome in Outcome}
    effects = {outcome: found for outcome, v in values.items() if (found := measure_effects(v)) is not None}
    plain = CrossAssessment(session, baseline, runs, effects)
    is_edited = session.is_edited(run.manifest.session for run in runs.values())
    measured = [_measure(plain, rival) for rival in session.rivals]
    known = [
        _Claim(rival, estimate, effects[rival.outcome].error)
        for rival, estimate in zip(session.rivals, measured, strict=True)
        if estimate is not None and not is_edited
    ]
    judged = dict(zip((claim.rival.claim for claim in known), _judge(known), strict=True))
    answers = []
    for rival, estimate in zip(session.rivals, measured, strict=True):
        verdict, reason = judged.get(rival.claim, (None, ""))
        predicted = _predicted(rival, effects.get(rival.outcome))
        answers.append(Answer(rival, predicted, estimate, verdict, reason, _runs_of(session, rival, runs)))
    return CrossAssessment(session, baseline, runs, effects, tuple(answers), is_edited)


def _by_seed(session: CrossSession, runs: Mapping[Cell, Run], outcome: Outcome) -> dict[int, dict[Factors, float]]:
    found: dict[int, dict[Factors, float]] = {seed: {} for seed in session.seeds}
    for cell, run in runs.items():
        value = measure_outcome(run, outcome)
        if cell.framework == session.fast and value is not None:
            found[cell.seed][cell.factors] = value
    return found


def _measure(assessment: CrossAssessment, rival: Rival) -> Estimate | None:
    effects = assessment.effects.get(rival.outcome)
    if effects is None:
        return None
    if rival.cause == FRAMEWORK:
        return _framework_difference(assessment, rival.outcome, effects)
    return effects.schedule if rival.cause == SCHEDULE else effects.initialisation


def _framework_difference(assessment: CrossAssessment, outcome: Outcome, effects: CrossEffects) -> Estimate | None:
    """Fast - slow with one seed, schedule and initialisation: two trainings, each with the cross's error."""
    shared, *_ = assessment.session.plan
    own = Cell(assessment.session.fast, (), shared.seed)
    fast, slow = assessment.value(own, outcome), assessment.value(shared, outcome)
    if fast is None or slow is None:
        return None
    return Estimate(fast - slow, 2 * effects.error.variance, effects.error.dof)


def _runs_of(session: CrossSession, rival: Rival, runs: Mapping[Cell, Run]) -> tuple[str, ...]:
    shared, *cross = session.plan
    cells = [shared, Cell(session.fast, (), shared.seed)] if rival.cause == FRAMEWORK else cross
    return tuple(runs[cell].id for cell in cells if cell in runs)


def _predicted(rival: Rival, effects: CrossEffects | None) -> Estimate:
    """The difference of two trainings, one of each side."""
    if effects is None:
        return Estimate(rival.predicted, dof=0)
    return Estimate(rival.predicted, BOTH_SIDES * effects.error.variance, effects.error.dof)


BOTH_SIDES = 2
"""A prediction is the difference of two trainings, so it has twice the variance of one."""


@dataclass(frozen=True)
class _Claim:
    """A rival with its measurement."""

    rival: Rival
    measured: Estimate
    error: Estimate
    """of one training"""

    @property
    def sign(self) -> float:
        """The direction in which the cause is claimed to work."""
        return math.copysign(1, self.rival.predicted)

    def beyond(self, share: float) -> Estimate:
        """Measured minus a share of what is predicted. Both have the error of one training, estimated once."""
        variance = self.measured.variance + share**2 * BOTH_SIDES * self.error.variance
        return Estimate(self.measured.value - share * self.rival.predicted, variance, self.error.dof)


def _judge(claims: Sequence[_Claim]) -> list[tuple[Verdict, str]]:
    """Verdict and reason of claims that are tested together, by the rules of experiments.

    Confirmed: the interval of measured - predicted is inside the tolerance, and the cause clearly works in the
    claimed direction. Refuted: that interval is outside, or the cause clearly explains less than half.
    """
    decisions = [min(_confirm(claim), _refute(claim)) for claim in claims]
    decided, _ = share_error([p for p, _, _ in decisions])
    return [
        (Verdict(decisions[i][1]), decisions[i][2]) if i in decided else _left_open(claim)
        for i, claim in enumerate(claims)
    ]


def _confirm(claim: _Claim) -> tuple[float, str, str]:
    error, tolerance = claim.beyond(1), claim.rival.tolerance
    tests = [p_positive(shifted(error, tolerance)), p_positive(shifted(error.scaled(-1), tolerance))]
    if claim.rival.predicted:
        tests.append(p_positive(claim.measured.scaled(claim.sign)))
    return min(1.0, 2 * max(tests)), Verdict.CONFIRMED, "measured as predicted"


def _refute(claim: _Claim) -> tuple[float, str, str]:
    error, tolerance = claim.beyond(1).scaled(claim.sign), claim.rival.tolerance
    ways = [
        ("it explains less than half of the difference", claim.beyond(LEAST_SHARE).scaled(-claim.sign)),
        ("it makes a larger difference", shifted(error, -tolerance)),
        ("it makes a smaller difference", shifted(error.scaled(-1), -tolerance)),
    ]
    p, reason = min((p_positive(excess), reason) for reason, excess in ways)
    return min(1.0, len(ways) * p), Verdict.REFUTED, reason


def _left_open(claim: _Claim) -> tuple[Verdict, str]:
    interval, tolerance = claim.measured.interval(), claim.rival.tolerance
    if interval.low is None or interval.high is None:
        return Verdict.UNDECIDED, "its spread is unknown: train more seeds"
    bound = max(-interval.low, interval.high)
    if abs(claim.rival.predicted) <= tolerance and bound <= tolerance:
        return Verdict.BELOW_FLOOR, "the sides hardly differ, and it makes hardly a difference"
    return Verdict.UNDECIDED, "the intervals are too wide"
