"""The spread between processes, by simulation and by textbook intervals; fixed seeds."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats as scipy_stats

from epoch_gap.profiler.analysis.stats import Estimate
from epoch_gap.profiler.comparison.spread import Basis, Variance, mean_of_rounds, variance_of_one, widen

TRIALS = 2000
Draw = Callable[[np.random.Generator, int], list[float]]


def test_rounds_alone_give_students_interval() -> None:
    values = [0.1, 0.3, 0.25, 0.2]
    mean, basis = mean_of_rounds(values)
    textbook = scipy_stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (mean.interval().low, mean.interval().high) == pytest.approx((textbook.low, textbook.high))
    assert basis == Basis(4)


def test_a_single_round_needs_a_spread_from_elsewhere() -> None:
    single = Estimate(1.0, 0.01, 20)
    unknown, basis = widen(single, None)
    assert (unknown.interval().low, basis) == (None, None)
    widened, basis = widen(single, Variance(0.04, 5, Basis(1, 6, 2)))
    assert (widened.variance, widened.dof) == pytest.approx((0.05, 5))
    assert basis == Basis(1, 6, 2)


def test_earlier_sessions_narrow_the_interval_and_are_counted() -> None:
    random = np.random.default_rng(1)
    session, *earlier = (list(random.normal(0, 0.02, 3)) for _ in range(6))
    alone, _ = mean_of_rounds(session)
    pooled, basis = mean_of_rounds(session, earlier)
    assert (alone.dof, pooled.dof) == (2, 12)
    assert basis == Basis(3, 15, 5)


def test_sessions_that_differ_in_their_mean_tell_the_same_spread() -> None:
    earlier = [[1.0, 1.1, 1.2], [5.0, 5.1, 5.2]]
    pooled, _ = mean_of_rounds([0.0, 0.1, 0.2], earlier)
    assert pooled.variance == pytest.approx(0.01 / 3)


def test_a_session_that_is_clearly_noisier_keeps_its_own_spread() -> None:
    quiet = [list(np.random.default_rng(i).normal(0, 0.001, 3)) for i in range(5)]
    mean, basis = mean_of_rounds([0.0, 0.5, 1.0], quiet)
    assert (mean.dof, basis) == (2, Basis(3))


def test_processes_that_did_not_alternate_have_the_spread_of_both_sides() -> None:
    a, b = [[1.0, 1.2], [1.4]], [[3.0, 3.0], [3.3]]
    found = variance_of_one(a, b)
    assert found is not None
    assert found.value == pytest.approx(np.var([1.0, 1.2, 1.4], ddof=1) + np.var([3.0, 3.0, 3.3], ddof=1))
    assert variance_of_one([[1.0]], b) is None


def normal(spread: float) -> Draw:
    return lambda random, n: list(random.normal(0, spread, n))


def two_speeds(random: np.random.Generator, n: int) -> list[float]:
    """Every process of both sides is, at random, 5 % slower."""
    return list(np.log(1 + 0.05 * random.integers(0, 2, n)) - np.log(1 + 0.05 * random.integers(0, 2, n)))


@pytest.mark.parametrize("sessions", [0, 1, 4, 8])
@pytest.mark.parametrize("rounds", [3, 5])
@pytest.mark.parametrize("draw", [normal(0.02), two_speeds], ids=["normal", "two speeds"])
def test_intervals_cover_the_truth(draw: Draw, rounds: int, sessions: int) -> None:
    random = np.random.default_rng(20261125)
    covered = 0
    for _ in range(TRIALS):
        earlier = [draw(random, 3) for _ in range(sessions)]
        mean, _ = mean_of_rounds(draw(random, rounds), earlier)
        interval = mean.interval()
        assert interval.low is not None
        assert interval.high is not None
        covered += interval.low <= 0 <= interval.high
    assert 0.92 <= covered / TRIALS <= (0.98 if draw is not two_speeds else 0.99), "a bounded spread covers more"


def test_a_pooled_interval_covers_even_if_the_machine_was_quieter_before() -> None:
    random = np.random.default_rng(3)
    covered, width = 0, []
    for _ in range(TRIALS):
        earlier = [list(random.normal(0, 0.01, 3)) for _ in range(4)]
        interval = mean_of_rounds(list(random.normal(0, 0.03, 3)), earlier)[0].interval()
        assert interval.low is not None
        assert interval.high is not None
        covered += interval.low <= 0 <= interval.high
        width.append(interval.high - interval.low)
    assert covered / TRIALS >= 0.92
    assert math.isfinite(float(np.mean(width)))
