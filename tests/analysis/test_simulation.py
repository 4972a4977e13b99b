"""The statistics as a whole on series with known truth; `make bench` does the same with 1000 trials each."""

import numpy as np
import pytest

from tests.helpers import simulation
from tests.helpers.runs import MakeRun

TRIALS = 150
SLACK = 3 * (0.05 * 0.95 / TRIALS) ** 0.5
"""three standard errors of a share of 5 % over so many trials"""


@pytest.mark.parametrize("name", simulation.STATIONARY)
def test_intervals_cover_and_noise_is_not_claimed(make_run: MakeRun, name: str) -> None:
    found = simulation.simulate(simulation.base_run(make_run), simulation.STATIONARY[name], TRIALS)
    assert found.covered >= 0.92 - SLACK
    assert found.alarms <= 0.07 + SLACK
    assert found.flagged <= 0.05 + SLACK


@pytest.mark.parametrize("name", simulation.MOVING)
def test_drift_and_missing_steady_state_are_flagged(make_run: MakeRun, name: str) -> None:
    found = simulation.simulate(simulation.base_run(make_run), simulation.MOVING[name], TRIALS)
    assert found.flagged >= 0.95 - SLACK


def test_a_warm_up_does_not_bias_the_epoch(make_run: MakeRun) -> None:
    excess = 2.0 * 3.0 ** -np.arange(simulation.STEPS)
    found = simulation.simulate(simulation.base_run(make_run), simulation.warming, TRIALS, excess)
    assert found.covered >= 0.92 - SLACK
    assert found.flagged <= 0.05 + SLACK


def test_an_interval_covers_if_its_sample_contains_an_outlier(make_run: MakeRun) -> None:
    found = simulation.simulate(simulation.base_run(make_run, 200), simulation.outliers, TRIALS)
    assert found.covered_seen >= 0.92 - SLACK
    assert found.covered >= found.reachable - 0.05 - SLACK
    assert found.alarms <= 0.07 + SLACK
