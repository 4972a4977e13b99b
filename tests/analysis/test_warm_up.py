import numpy as np
import pytest

from epoch_gap.profiler.analysis.warm_up import LATEST, LEAST_STEPS, StartKind, detect_start


def noisy(n: int, seed: int = 1, spread: float = 0.02) -> np.ndarray:
    return np.random.default_rng(seed).normal(1, spread, n)


def test_only_the_first_step_of_a_flat_series_is_excluded() -> None:
    found = detect_start(noisy(60))
    assert (found.kind, found.steps) == (StartKind.FLAT, 1)


@pytest.mark.parametrize("n", [10, 20, 60, 391])
def test_a_slow_start_is_warm_up_to_its_last_slow_step(n: int) -> None:
    series = noisy(n)
    series[:3] += [8.0, 4.0, 0.5]
    found = detect_start(series)
    assert (found.kind, found.steps) == (StartKind.WARM_UP, 3)


def test_the_first_step_alone_is_a_warm_up_when_it_is_slow() -> None:
    series = noisy(30)
    series[0] = 2.0
    assert detect_start(series).kind is StartKind.WARM_UP
    assert detect_start(series).steps == 1


def test_a_fast_start_is_a_slowdown() -> None:
    series = noisy(60)
    series[:10] *= 0.8
    found = detect_start(series)
    assert (found.kind, found.steps) == (StartKind.SLOWDOWN, 10)


def test_a_change_after_40_percent_of_the_steps_means_no_steady_state() -> None:
    series = noisy(60)
    series[int(LATEST * 60) + 10 :] *= 1.1
    assert detect_start(series).kind is StartKind.NO_STEADY_STATE


def test_a_warm_up_that_does_not_end_means_no_steady_state() -> None:
    assert detect_start(noisy(60) + np.linspace(3, 0, 60)).kind is StartKind.NO_STEADY_STATE


def test_a_constant_series_is_flat() -> None:
    assert detect_start(np.ones(50)).kind is StartKind.FLAT


def test_changes_below_a_percent_are_none() -> None:
    series = np.ones(60)
    series[:20] = 1.005
    assert detect_start(series).kind is StartKind.FLAT


def test_one_outlier_is_no_change_of_level() -> None:
    series = noisy(60)
    series[5] = 10.0
    assert detect_start(series).kind is StartKind.FLAT


@pytest.mark.parametrize(("n", "start"), [(1, 0), (2, 1), (LEAST_STEPS - 1, 1)])
def test_a_few_steps_are_flat(n: int, start: int) -> None:
    found = detect_start(np.arange(n, 0, -1.0))
    assert (found.kind, found.steps) == (StartKind.FLAT, start)


def test_noise_is_rarely_taken_for_a_warm_up() -> None:
    kinds = [detect_start(noisy(60, seed)).kind for seed in range(300)]
    assert sum(kind is not StartKind.FLAT for kind in kinds) / 300 <= 0.05
