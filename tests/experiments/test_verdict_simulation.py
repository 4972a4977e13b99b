"""Verdicts on claims of known truth: how often each is decided wrongly, alone and in families of several claims."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from epoch_gap.profiler.analysis.stats import Estimate
from epoch_gap.profiler.experiments.effect import Effect
from epoch_gap.profiler.experiments.prediction import Change
from epoch_gap.profiler.experiments.verdict import Claim, Judgement, Verdict, judge
from epoch_gap.profiler.phases import Phase
from tests.helpers.series import autoregression

TOLERANCE = 10.0
"""seconds: 5 % of an epoch of 200"""
TRIALS = 400
SLACK = 3 * (0.05 * 0.95 / TRIALS) ** 0.5
"""three standard errors of a share of 5 %"""
PAIRS = 16


@dataclass(frozen=True)
class Truth:
    """A claim about forward, and what is true; seconds per epoch."""

    claimed: float
    forward: float
    """true change of the phase that may change"""
    others: float = 0.0
    """true change of the other phases"""
    noise: float = 8.0
    """standard deviation of a pair's difference"""
    wrong: tuple[Verdict, ...] = ()
    """verdicts that contradict the truth"""

    def draw(self, random: np.random.Generator, pairs: int = PAIRS, rho: float = 0.0) -> Claim:
        def series(mean: float) -> np.ndarray:
            if rho:
                return mean + self.noise * (autoregression(random, rho, pairs) - 10)
            return random.normal(mean, self.noise, pairs)

        differences = {Phase.FORWARD: series(self.forward), Phase.BACKWARD: series(self.others)}
        effect = Effect(differences, frozenset({Phase.FORWARD}), False, 4)
        predicted = Change.from_phases({Phase.FORWARD: Estimate(self.claimed)} if self.claimed else {})
        return Claim(predicted=predicted, measured=effect, tolerance=TOLERANCE)


CONFIRMED, REFUTED = (Verdict.CONFIRMED,), (Verdict.REFUTED,)
HARDEST = [
    Truth(-40, -30, wrong=CONFIRMED),  # at the edge of the tolerance
    Truth(-40, -50, wrong=CONFIRMED),
    Truth(-40, -40, others=TOLERANCE, wrong=CONFIRMED),
    Truth(-5, 0, noise=3.0, wrong=CONFIRMED),  # small enough for the tolerance, but the phase does not move
    Truth(-40, -31, wrong=REFUTED),  # right, but only just
    Truth(-10, -5.01, noise=3.0, wrong=REFUTED),  # more than half of the claim
    Truth(0, 0, noise=12.0, wrong=REFUTED),
    Truth(-40, -40, others=9.9, wrong=()),
]
"""Truths at the edge of what a verdict claims, where it is wrong most often."""


def families(truths: Sequence[Truth], pairs: int = PAIRS, rho: float = 0.0) -> list[list[Judgement]]:
    random = np.random.default_rng(20261128)
    return [judge([truth.draw(random, pairs, rho) for truth in truths]) for _ in range(TRIALS)]


def share_wrong(truths: Sequence[Truth], judged: Sequence[Sequence[Judgement]]) -> float:
    """Of the families in which any verdict contradicts the truth."""
    wrong = [any(j.verdict in t.wrong for t, j in zip(truths, family, strict=True)) for family in judged]
    return sum(wrong) / len(wrong)


@pytest.mark.parametrize("truth", HARDEST, ids=str)
def test_a_claim_is_decided_wrongly_in_5_percent_at_most(truth: Truth) -> None:
    assert share_wrong([truth], families([truth])) <= 0.05 + SLACK


def test_a_family_of_claims_has_a_wrong_verdict_in_5_percent_at_most() -> None:
    truths = HARDEST[:7]
    assert share_wrong(truths, families(truths)) <= 0.05 + SLACK


def test_without_holms_method_the_family_would_err_more_often() -> None:
    """The check above would notice: seven claims that are judged one by one."""
    truths = [Truth(-40, -30, wrong=CONFIRMED), Truth(-40, -50, wrong=CONFIRMED)] * 4
    random = np.random.default_rng(20261128)
    alone = [[judge([truth.draw(random)])[0] for truth in truths] for _ in range(TRIALS)]
    assert share_wrong(truths, alone) > 0.05 + SLACK
    assert share_wrong(truths, families(truths)) <= 0.05 + SLACK


def test_decided_claims_leave_the_error_to_the_others() -> None:
    """Holm's step: with many claims that are clearly right, the last one is tested at 5 %, and no more."""
    clear = [Truth(-60, -60, noise=1.0)] * 6
    truths = [*clear, Truth(-40, -30, wrong=CONFIRMED)]
    judged = families(truths)
    assert all(j.verdict is Verdict.CONFIRMED for family in judged for j in family[:6])
    assert share_wrong(truths, judged) <= 0.05 + SLACK


def test_autocorrelated_pairs_do_not_err_more_often() -> None:
    truths = [Truth(-40, -30, noise=4.0, wrong=CONFIRMED), Truth(-40, -50, noise=4.0, wrong=CONFIRMED)]
    assert share_wrong(truths, families(truths, pairs=40, rho=0.4)) <= 0.05 + SLACK


@pytest.mark.parametrize(
    ("truth", "verdict"),
    [
        (Truth(-40, -40, noise=4.0), Verdict.CONFIRMED),
        (Truth(-4, -4, noise=1.5), Verdict.CONFIRMED),
        (Truth(0, 0, noise=4.0), Verdict.CONFIRMED),
        (Truth(-40, 0, noise=4.0), Verdict.REFUTED),
        (Truth(-40, -80, noise=4.0), Verdict.REFUTED),
        (Truth(0, 30, noise=4.0), Verdict.REFUTED),
        (Truth(-40, -40, others=40, noise=4.0), Verdict.REFUTED),
        (Truth(-1, -0.8, noise=4.0), Verdict.BELOW_FLOOR),
        (Truth(-40, -40, noise=100.0), Verdict.UNDECIDED),
    ],
    ids=str,
)
def test_a_clear_truth_is_found_in_most_trials(truth: Truth, verdict: Verdict) -> None:
    found = [family[0].verdict for family in families([truth])]
    assert found.count(verdict) / len(found) > 0.8
    assert all(v not in truth.wrong for v in found)


def test_below_the_floor_has_a_bound_that_holds() -> None:
    truth = Truth(-1, -0.8, noise=4.0)
    judged = [family[0] for family in families([truth])]
    small = [j for j in judged if j.verdict is Verdict.BELOW_FLOOR]
    assert sum(j.bound >= 0.8 for j in small) / len(small) >= 0.95 - SLACK
    assert max(j.bound for j in small) < TOLERANCE


def test_the_further_steps_would_decide() -> None:
    truth = Truth(-40, -40, noise=30.0)
    undecided = [family[0] for family in families([truth]) if family[0].verdict is Verdict.UNDECIDED]
    steps = [j.more_steps for j in undecided if j.more_steps is not None]
    assert len(steps) > 0.9 * len(undecided)
    longer = PAIRS + int(np.median(steps)) // 4
    decided = [family[0].verdict is not Verdict.UNDECIDED for family in families([truth], pairs=2 * longer)]
    assert sum(decided) / len(decided) > 0.5


def test_a_bound_is_confirmed_anywhere_between_0_and_the_prediction() -> None:
    random = np.random.default_rng(1)
    for true in (0.0, -20.0, -40.0):
        claim = Truth(-40, true, noise=2.0).draw(random)
        bound = Claim(
            predicted=Change(phases=claim.predicted.phases, whole=claim.predicted.whole, is_bound=True),
            measured=claim.measured,
            tolerance=TOLERANCE,
        )
        assert judge([bound])[0].verdict is Verdict.CONFIRMED
    far = Truth(-40, -60, noise=2.0).draw(random)
    bound = Claim(
        predicted=Change(phases=far.predicted.phases, whole=far.predicted.whole, is_bound=True),
        measured=far.measured,
        tolerance=TOLERANCE,
    )
    assert judge([bound])[0].verdict is Verdict.REFUTED


def test_no_claims_have_no_verdicts() -> None:
    assert judge([]) == []
