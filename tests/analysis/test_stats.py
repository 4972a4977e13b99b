import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from epoch_gap.profiler.analysis.stats import (
    DIRECT_LAGS,
    Estimate,
    Interval,
    autocorrelation,
    inflation,
    mean,
    mean_of_processes,
    required_steps,
    spread,
    t_quantile,
    total,
    trend,
    unseen_share,
)
from tests.helpers.series import autoregression

ALTERNATING = np.array([2, 4, 2, 4, 2, 4])
"""mean 3, s^2 1.2, no positive autocorrelation"""
IN_BLOCKS = np.array([0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1])
"""lag-1 autocorrelation 5/12, without its bias 2/3; s^2 3/11"""


def test_the_mean_of_independent_values_has_students_interval() -> None:
    estimate = mean(ALTERNATING)
    assert (estimate.value, estimate.variance, estimate.dof) == (3, pytest.approx(0.2), 5)
    interval = estimate.interval()
    assert interval.low == pytest.approx(3 - 2.570582 * math.sqrt(0.2), rel=1e-6)
    assert interval.high == pytest.approx(3 + 2.570582 * math.sqrt(0.2), rel=1e-6)


def test_autocorrelation_is_corrected_for_its_bias_and_widens_the_mean() -> None:
    assert autocorrelation(IN_BLOCKS) == pytest.approx(2 / 3)
    pairs = np.tile([1.0, 1.0, 2.0, 2.0], 10)
    r = autocorrelation(pairs)
    assert 0 < r < 0.2
    estimate = mean(pairs)
    assert estimate.variance == pytest.approx(10 / 39 / 40 * (1 + r) / (1 - r))
    assert estimate.dof == pytest.approx(40 * (1 - r) / (1 + r) - 1)


def test_a_series_counts_for_at_least_three_independent_values() -> None:
    estimate = mean(IN_BLOCKS)
    assert estimate.variance == pytest.approx(3 / 11 / 3)
    assert estimate.dof == pytest.approx(3 - 1)


def test_autocorrelation_is_between_0_and_1() -> None:
    assert autocorrelation(ALTERNATING) == 0
    assert autocorrelation(np.arange(100)) == 1
    assert autocorrelation(np.full(9, 7)) == 0


def test_a_fully_sampled_finite_population_has_a_point_as_interval() -> None:
    assert mean(ALTERNATING, 6).interval() == Interval(3, 3, 3)
    assert mean(ALTERNATING, 24).variance == pytest.approx(mean(ALTERNATING).variance * 3 / 4)


def test_one_value_has_an_unknown_spread() -> None:
    for alone in (mean(np.array([5.0])), mean_of_processes([5.0])):
        assert alone.interval() == Interval(5.0, None, None)


def test_a_part_of_unknown_spread_adds_its_value_and_no_variance() -> None:
    known, unknown = Estimate(10, 4, 7), Estimate(5, 0, 0)
    assert total([known, unknown]) == Estimate(15, 4, pytest.approx(7))
    assert total([unknown, unknown]).interval() == Interval(10, None, None)
    assert total([Estimate(1), unknown]).interval() == Interval(6, 6, 6)


def test_a_sum_has_welch_and_satterthwaites_degrees_of_freedom() -> None:
    a, b = [10.1, 9.7, 11.2, 10.4], [7.0, 8.9, 6.1]
    welch = scipy_stats.ttest_ind(a, b, equal_var=False)
    difference = total([mean_of_processes(a), mean_of_processes(b).scaled(-1)])
    assert difference.dof == pytest.approx(welch.df)
    interval, expected = difference.interval(), welch.confidence_interval(0.95)
    assert (interval.low, interval.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_a_sum_of_parts_with_known_variances_has_a_normal_interval() -> None:
    whole = total([Estimate(1, 3), Estimate(2, 1)])
    assert whole == Estimate(3, 4, math.inf)
    assert whole.interval().high == pytest.approx(3 + 1.959964 * 2, rel=1e-6)


def test_scaling_scales_the_interval() -> None:
    interval, tenfold = mean(ALTERNATING).interval(), mean(ALTERNATING).scaled(10).interval()
    assert interval.low is not None
    assert (tenfold.value, tenfold.low) == (30, pytest.approx(10 * interval.low))


def test_a_skewed_means_interval_is_halls() -> None:
    """t + a t^2 / 3 + a^2 t^3 / 27 + a / 6 of a studentised mean is Student's; a is the mean's skewness."""
    series = np.array(([1.0, 2.0] * 8 + [20.0]) * 3)
    estimate = mean(series)
    a = float(scipy_stats.skew(series)) / math.sqrt(estimate.dof + 1)
    assert a > 0.3
    interval = estimate.interval()
    for bound, sign in ((interval.low, 1), (interval.high, -1)):
        assert bound is not None
        t = (estimate.value - bound) / math.sqrt(estimate.variance)
        transformed = t + a * t**2 / 3 + a**2 * t**3 / 27 + a / 6
        assert transformed == pytest.approx(sign * t_quantile(0.975, estimate.dof))
    mirrored = estimate.scaled(-1).interval()
    assert (mirrored.low, mirrored.high) == (
        pytest.approx(-(interval.high or 0)),
        pytest.approx(-(interval.low or 0)),
    )


def test_a_few_values_are_too_few_to_estimate_skewness() -> None:
    series = np.array([1.0, 1.1, 0.9, 1.0, 3.0, 1.05] * 3)
    interval = mean(series).interval()
    assert interval.low is not None
    assert interval.high is not None
    assert interval.high - interval.value == pytest.approx(interval.value - interval.low)


def test_an_interval_covers_a_skewed_mean_that_students_interval_misses() -> None:
    random, trials = np.random.default_rng(8), 2000
    skewed = students = 0
    for _ in range(trials):
        series = random.lognormal(0, 1, 40)
        interval, plain = mean(series).interval(), scipy_stats.ttest_1samp(series, 0).confidence_interval(0.95)
        assert interval.low is not None
        assert interval.high is not None
        skewed += interval.low <= math.exp(0.5) <= interval.high
        students += plain.low <= math.exp(0.5) <= plain.high
    assert students / trials < 0.91
    assert 0.92 <= skewed / trials <= 0.98


@pytest.mark.parametrize("n", [10, 60, 200])
def test_a_kind_of_step_absent_from_n_steps_is_rare_at_95_percent(n: int) -> None:
    """Of samples from a series with just that share of such steps, one in twenty holds none."""
    share = unseen_share(n)
    assert share == pytest.approx(3 / n, rel=0.15)
    none = np.random.default_rng(n).binomial(n, share, 20_000) == 0
    assert none.mean() == pytest.approx(0.05, abs=0.005)


def test_processes_are_independent_in_any_order() -> None:
    values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    expected = scipy_stats.ttest_1samp(values, 0).confidence_interval(0.95)
    interval = mean_of_processes(values).interval()
    assert (interval.low, interval.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


@pytest.mark.parametrize(("rho", "low", "high"), [(0.0, 0.92, 0.99), (0.5, 0.88, 0.99)])
def test_the_interval_from_60_steps_covers_the_mean_of_391(rho: float, low: float, high: float) -> None:
    random, trials, covered = np.random.default_rng(2026), 600, 0
    for _ in range(trials):
        epoch = autoregression(random, rho, 391)
        interval = mean(epoch[:60], 391).interval()
        assert interval.low is not None
        assert interval.high is not None
        covered += interval.low <= epoch.mean() <= interval.high
    assert low <= covered / trials <= high


def test_ignoring_autocorrelation_gives_too_little_coverage() -> None:
    """The series of the test above do need the correction: a plain t interval fails the same bounds."""
    random, trials, covered = np.random.default_rng(2026), 300, 0
    for _ in range(trials):
        epoch = autoregression(random, 0.5, 391)
        plain = scipy_stats.ttest_1samp(epoch[:60], 0).confidence_interval(0.95)
        covered += plain.low <= epoch.mean() <= plain.high
    assert covered / trials < 0.85


def test_a_trend_is_least_squares_with_its_error() -> None:
    random = np.random.default_rng(5)
    at = np.arange(50)
    series = 10 + 0.02 * at + random.normal(0, 0.2, 50)
    line = scipy_stats.linregress(at, series)
    share = 49 / series.mean()
    found = trend(series, at)
    assert found.value == pytest.approx(line.slope * share)
    assert found.variance == pytest.approx((line.stderr * share) ** 2, rel=0.5)
    assert found.variance >= (line.stderr * share) ** 2 * 0.999


def test_the_trend_of_a_straight_line_is_exact_at_any_times() -> None:
    at = np.array([0.0, 1.0, 5.0, 20.0])
    found = trend(1 + at / 20, at)
    assert found.value == pytest.approx(1 / (1 + 6.5 / 20))
    assert found.variance == pytest.approx(0, abs=1e-20)


def test_too_few_values_have_a_trend_of_unknown_spread() -> None:
    assert trend(np.array([1.0, 2.0]), np.array([0, 1])).interval().low is None
    assert trend(np.array([1.0]), np.array([0])).dof == 0


@pytest.mark.parametrize("rho", [0.0, 0.5])
def test_a_trend_is_rarely_found_in_a_series_without_one(rho: float) -> None:
    random, trials, alarms = np.random.default_rng(11), 400, 0
    for _ in range(trials):
        interval = trend(autoregression(random, rho, 60), np.arange(60)).interval()
        assert interval.low is not None
        assert interval.high is not None
        alarms += not interval.low <= 0 <= interval.high
    assert alarms / trials <= 0.09


def test_outliers_are_counted_and_the_mean_shown_without_them() -> None:
    found = spread(np.array([1.0] * 10 + [1.1] * 10 + [50.0]))
    assert (found.outliers, found.largest, found.p50) == (1, 50.0, 1.1)
    assert found.mean_without == pytest.approx(1.05)
    assert found.p99 is None
    assert spread(np.arange(1000)).p99 == pytest.approx(989.01)


def test_the_number_of_required_steps_is_cochrans() -> None:
    series = ALTERNATING
    infinite = (2.570582 * math.sqrt(1.2) / (0.1 * 3)) ** 2
    assert required_steps(series, 10**9, 0.1) == math.ceil(infinite)
    assert required_steps(series, 50, 0.1) == math.ceil(1 / (1 / infinite + 1 / 50))
    assert required_steps(np.ones(9), 391, 0.01) == 0


def test_many_lags_by_fourier_transform_equal_lags_one_by_one() -> None:
    n = 2500
    x = 2 * np.sin(np.linspace(0, 12, n)) + np.random.default_rng(1).normal(size=n)
    d, expected = x - x.mean(), 1.0
    for lag in range(1, math.isqrt(n) + 1):
        expected += 2 * (float(d[lag:] @ d[:-lag]) / float(d @ d) + 1 / n)
    assert math.isqrt(n) > DIRECT_LAGS
    r = autocorrelation(x)
    assert (1 + r) / (1 - r) < expected < n / 3
    assert inflation(x) == pytest.approx(expected)
