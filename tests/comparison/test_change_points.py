"""Change points of series with known levels; the shares of simulations with fixed seeds."""

from collections.abc import Callable

import numpy as np
import pytest

from epoch_gap.profiler.comparison.change_points import detectable_change, find_changes
from tests.helpers.series import autoregression

TRIALS = 400
SLACK = 3 * (0.05 * 0.95 / TRIALS) ** 0.5
"""three standard errors of a share of 5 % over so many trials"""
SPREAD = 0.01
Noise = Callable[[np.random.Generator, int], np.ndarray]
"""n values of mean 0 and standard deviation 1"""


def normal(random: np.random.Generator, n: int) -> np.ndarray:
    return random.normal(0, 1, n)


def long_tailed(random: np.random.Generator, n: int) -> np.ndarray:
    return random.laplace(0, 0.5**0.5, n)


def skewed(random: np.random.Generator, n: int) -> np.ndarray:
    return random.exponential(1, n) - 1


def correlated(random: np.random.Generator, n: int) -> np.ndarray:
    return autoregression(random, 0.3, n) - 10


def share(test: Callable[[np.random.Generator], bool], seed: int = 20261129) -> float:
    """Of the trials in which the test holds."""
    random = np.random.default_rng(seed)
    return sum(test(random) for _ in range(TRIALS)) / TRIALS


def series(
    random: np.random.Generator, levels: list[float], noise: Noise = normal, spread: float = SPREAD
) -> list[float]:
    return list(np.array(levels) * (1 + spread * noise(random, len(levels))))


@pytest.mark.parametrize("noise", [normal, long_tailed, skewed, correlated])
@pytest.mark.parametrize("n", [6, 12, 20, 50])
def test_noise_has_no_change_point(noise: Noise, n: int) -> None:
    assert share(lambda random: bool(find_changes(series(random, [100.0] * n, noise)))) <= 0.05 + SLACK


@pytest.mark.parametrize(("spread", "least"), [(0.01, 0.97), (0.02, 0.8)])
def test_a_step_of_5_percent_in_a_series_of_20_is_found(spread: float, least: float) -> None:
    levels = [100.0] * 12 + [105.0] * 8
    assert share(lambda random: bool(find_changes(series(random, levels, spread=spread)))) >= least


def test_the_position_and_the_size_of_a_step_are_within_their_ranges() -> None:
    levels = [100.0] * 12 + [105.0] * 8
    random = np.random.default_rng(1)
    first = [find_changes(series(random, levels, spread=0.02)) for _ in range(TRIALS)]
    found = [changes[0] for changes in first if len(changes) == 1]
    assert len(found) >= 0.75 * TRIALS
    assert sum(c.earliest <= 12 <= c.latest for c in found) >= (0.95 - SLACK) * len(found)
    assert sum(not c.ratio.excludes(1.05) for c in found) >= (0.95 - SLACK) * len(found)
    assert all(c.earliest <= c.index <= c.latest for c in found)


def test_a_single_step_is_seldom_taken_for_two() -> None:
    levels = [100.0] * 12 + [105.0] * 8
    assert share(lambda random: len(find_changes(series(random, levels))) > 1) <= 0.1 + SLACK


def test_a_level_that_came_and_went_is_found() -> None:
    """It hides from a search for a single change: the levels on both sides are the same on average."""
    levels = [100.0] * 8 + [105.0] * 4 + [100.0] * 8

    def is_found(random: np.random.Generator) -> bool:
        return [c.index for c in find_changes(series(random, levels, spread=0.005))] == [8, 12]

    assert share(is_found) > 0.9


def test_without_noise_every_change_is_found_where_it_is() -> None:
    (up, down) = find_changes([1.0] * 5 + [1.5] * 4 + [1.2] * 6)
    assert (up.index, up.earliest, up.latest) == (5, 5, 5)
    assert (up.ratio.value, down.ratio.value) == (pytest.approx(1.5), pytest.approx(0.8))
    assert down.index == 9
    assert find_changes([1.0] * 20) == []


def test_one_deviating_value_is_no_level() -> None:
    quiet = [1.0, 1.01, 0.99, 1.0, 1.005, 0.995, 1.0, 1.01]
    assert find_changes([*quiet, 3.0, *quiet]) == []
    assert find_changes([*quiet, *quiet, 3.0]) == []


@pytest.mark.parametrize("n", range(6))
def test_a_series_of_fewer_than_six_has_none(n: int) -> None:
    assert find_changes([1.0, 1.0, 2.0, 2.0, 2.0][:n]) == []
    assert detectable_change([1.0, 1.1, 1.0, 1.1, 1.0][:n]) is None


def test_a_change_that_is_smaller_than_the_least_is_none() -> None:
    random = np.random.default_rng(3)
    values = series(random, [100.0] * 10 + [103.0] * 10, spread=0.001)
    assert [change.index for change in find_changes(values)] == [10]
    assert find_changes(values, least=0.04) == []
