"""Effects in the cross, by simulation with known truth."""

import numpy as np
import pytest

from epoch_gap.profiler.learning.effects import CELLS, measure_effects

RUNS = 1500


def simulated(
    random: np.random.Generator, schedule: float, weights: float, both: float, seeds: int = 3
) -> dict[int, dict[tuple[bool, bool], float]]:
    values = {}
    for seed in range(seeds):
        block = random.normal(0.3, 0.05)
        values[seed] = {
            (s, w): block + schedule * s + weights * w + both * (s and w) + random.normal(0, 0.02) for s, w in CELLS
        }
    return values


def test_effects_without_noise_are_exact_and_a_seed_does_not_matter() -> None:
    values = {
        seed: {(s, w): 0.1 * seed - 0.04 * s + 0.02 * w - 0.01 * (s and w) for s, w in CELLS} for seed in range(4)
    }
    effects = measure_effects(values)
    assert effects is not None
    assert effects.schedule.value == pytest.approx(0.045)  # own - other, the mean over both initialisations
    assert effects.initialisation.value == pytest.approx(-0.015)
    assert effects.interaction.value == pytest.approx(-0.01)
    assert effects.error.variance == pytest.approx(0, abs=1e-12)
    assert effects.error.dof == 9


def test_intervals_contain_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(13)
    covered = np.zeros(3)
    for _ in range(RUNS):
        effects = measure_effects(simulated(random, schedule=-0.06, weights=0.03, both=-0.02))
        assert effects is not None
        truths = (0.07, -0.02, -0.02)
        found = (effects.schedule, effects.initialisation, effects.interaction)
        covered += [not estimate.interval().excludes(truth) for estimate, truth in zip(found, truths, strict=True)]
    assert covered / RUNS == pytest.approx(0.95, abs=0.02)


def test_one_seed_has_effects_of_unknown_spread() -> None:
    effects = measure_effects(simulated(np.random.default_rng(1), 0.1, 0.0, 0.0, seeds=1))
    assert effects is not None
    assert effects.schedule.interval().low is None


def test_a_seed_that_lacks_a_training_is_left_out() -> None:
    values = simulated(np.random.default_rng(1), 0.1, 0.0, 0.0)
    whole = {seed: values[seed] for seed in (0, 1)}
    del values[2][(True, True)]
    assert measure_effects(values) == measure_effects(whole)
    assert measure_effects({2: values[2]}) is None
