"""Verdicts on predictions: confirmed, refuted, below the floor, or undecided. Never "no effect".

A claim is confirmed if the 95 % interval of measured - predicted lies inside the tolerance (two one-sided tests,
Schuirmann 1987) and the phases moved in the claimed direction. It is refuted if that interval lies outside the
tolerance, if phases that must not change clearly did, or if a phase clearly moved by less than half of the claim.
Several claims at once share the error by Holm's method (1979), which also holds for decisions in two directions if
the tests are independent (Shaffer 1980).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from epoch_gap.profiler.analysis.significance import p_positive, share_error
from epoch_gap.profiler.analysis.stats import Estimate, difference, t_quantile, total
from epoch_gap.profiler.experiments.effect import Effect
from epoch_gap.profiler.experiments.prediction import Change
from epoch_gap.profiler.phases import Phase

TOLERANCE = 0.05
"""share of the epoch"""
LEAST_SHARE = 0.5
"""of a phase's claimed change: moving by less refutes the claim"""
MOST_STEPS = 10_000_000
"""a forecast of more steps is none"""


class Verdict(StrEnum):
    """The result of a test; the values are shown."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    BELOW_FLOOR = "below the floor"
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A prediction with its measurement, in seconds per epoch."""

    predicted: Change
    measured: Effect
    tolerance: float
    """seconds per epoch: `TOLERANCE` of it, or the machine's noise floor if that is larger"""

    def error(self, predicted: float) -> Estimate:
        """Measured - predicted of the whole epoch, if `predicted` were the prediction's value."""
        return difference(self.measured.epoch, replace(self.predicted.whole, value=predicted))

    @property
    def range(self) -> tuple[float, float]:
        """The predicted change: from 0 to its value if it is a bound, else twice its value."""
        value = self.predicted.whole.value
        return (min(0.0, value), max(0.0, value)) if self.predicted.is_bound else (value, value)

    @property
    def moved_as_claimed(self) -> bool:
        """Whether every phase that is claimed to change clearly did, in the claimed direction."""
        ends = [move.measured.interval().low for move in self.moves()]
        return bool(ends) and all(end is not None and end > 0 for end in ends)

    def moves(self) -> "Iterator[_Move]":
        """The phases that are claimed to fall, and those that are claimed to rise; none of a bound."""
        if self.predicted.is_bound:
            return
        for sign in (-1, 1):
            phases = {p: part for p, part in self.predicted.phases.items() if sign * part.value > 0}
            if phases:
                yield _Move(phases, self.measured.together(phases).scaled(sign), sign)


@dataclass(frozen=True)
class _Move:
    """Phases that are claimed to change in one direction."""

    claimed: Mapping[Phase, Estimate]
    measured: Estimate
    """positive: in the claimed direction"""
    sign: int

    @property
    def surplus(self) -> Estimate:
        """What was measured beyond `LEAST_SHARE` of the claim."""
        return difference(self.measured, total(self.claimed.values()).scaled(self.sign * LEAST_SHARE))


@dataclass(frozen=True)
class Judgement:
    """The verdict on one claim."""

    verdict: Verdict
    p: float
    """the smallest error rate at which the claim would be decided, alone"""
    reason: str
    bound: float
    """seconds per epoch: the change is at most this, in either direction, at 95 %; infinite if unknown"""
    more_steps: int | None = None
    """further training steps that would decide if the values stay; None: decided, or no number would"""


@dataclass(frozen=True)
class _Decision:
    """A decision, and the error rate at which the data support it."""

    verdict: Verdict
    p: float
    reason: str


def judge(claims: Sequence[Claim]) -> list[Judgement]:
    """The verdicts on claims that are tested together; in 5 % of such families at most, one is decided wrongly."""
    decisions = [min(_confirm(claim), _refute(claim), key=lambda decision: decision.p) for claim in claims]
    decided, allowed = share_error([decision.p for decision in decisions])
    return [
        _decided(claim, decision) if i in decided else _left_open(claim, decision, allowed[i])
        for i, (claim, decision) in enumerate(zip(claims, decisions, strict=True))
    ]


def _decided(claim: Claim, decision: _Decision) -> Judgement:
    return Judgement(decision.verdict, decision.p, decision.reason, _bound(claim))


def _left_open(claim: Claim, decision: _Decision, allowed: float) -> Judgement:
    bound = _bound(claim)
    is_small = abs(claim.predicted.whole.value) <= claim.tolerance
    if is_small and bound <= claim.tolerance:
        return Judgement(Verdict.BELOW_FLOOR, decision.p, "the noise hides a change of this size", bound)
    more = _more_steps(claim, allowed)
    reason = (
        "the intervals are too wide" if more else "the prediction is too uncertain, or at the edge of the tolerance"
    )
    return Judgement(Verdict.UNDECIDED, decision.p, reason, bound, more)


def _confirm(claim: Claim) -> _Decision:
    """Both one-sided tests at half the error rate, as the interval's two ends; and the direction of every move."""
    low, high = claim.range
    tests = [
        p_positive(shifted(claim.error(low), claim.tolerance)),
        p_positive(shifted(claim.error(high).scaled(-1), claim.tolerance)),
        *(p_positive(move.measured) for move in claim.moves()),
    ]
    return _Decision(Verdict.CONFIRMED, min(1.0, 2 * max(tests)), "measured as predicted")


def _refute(claim: Claim) -> _Decision:
    """Any of several ways, whose error rates add up."""
    low, high = claim.range
    unchanged = claim.measured.unchanged
    ways = [
        ("the epoch is longer than predicted", shifted(claim.error(high), -claim.tolerance)),
        ("the epoch is shorter than predicted", shifted(claim.error(low).scaled(-1), -claim.tolerance)),
        ("phases that must not change became longer", shifted(unchanged, -claim.tolerance)),
        ("phases that must not change became shorter", shifted(unchanged.scaled(-1), -claim.tolerance)),
        *((f"{', '.join(move.claimed)} did not move as claimed", move.surplus.scaled(-1)) for move in claim.moves()),
    ]
    reason, p = min(((reason, p_positive(excess)) for reason, excess in ways), key=lambda way: way[1])
    return _Decision(Verdict.REFUTED, min(1.0, len(ways) * p), reason)


def shifted(estimate: Estimate, value: float) -> Estimate:
    """The estimate plus a known value."""
    return replace(estimate, value=estimate.value + value)


def _bound(claim: Claim) -> float:
    """The largest change: of the phases that may change, or of the epoch if there are none."""
    return _largest(claim.measured.changed if claim.measured.may_change else claim.measured.epoch)


def _largest(estimate: Estimate) -> float:
    """The larger distance of the 95 % interval's ends from 0."""
    interval = estimate.interval()
    return math.inf if interval.low is None or interval.high is None else max(-interval.low, interval.high)


def _more_steps(claim: Claim, allowed: float) -> int | None:
    """The further steps that shrink each interval to its distance from what it has to exclude.

    The measurement's variance falls with the number of pairs, the prediction's does not.
    """
    low, high = claim.range
    measured, predicted = claim.measured.epoch, claim.predicted.whole
    beyond = max(low - measured.value, measured.value - high)
    gaps = [(claim.tolerance - beyond, measured, predicted.variance)]
    if beyond < claim.tolerance:
        gaps += [(move.measured.value, move.measured, 0.0) for move in claim.moves()]
    needed = [_pairs(abs(gap), estimate, fixed, claim.measured.pairs, allowed) for gap, estimate, fixed in gaps]
    steps = (max(needed) - claim.measured.pairs) * claim.measured.steps_per_pair
    return math.ceil(steps) if 0 < steps <= MOST_STEPS else None


def _pairs(gap: float, estimate: Estimate, fixed: float, pairs: int, allowed: float) -> float:
    """The pairs with which an interval's half-width is `gap`; infinite if `fixed`, a variance, is too large."""
    if estimate.dof <= 0:
        return 2.0 * pairs
    t = t_quantile(1 - allowed / 2, estimate.dof)
    room = (gap / t) ** 2 - fixed
    return pairs * estimate.variance / room if room > 0 else math.inf
