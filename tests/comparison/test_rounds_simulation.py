"""The interval of a ratio over rounds, through the whole analysis; `make bench` does the same with 2000 trials."""

import pytest

from tests.helpers.rounds_simulation import SPEEDS, Simulation
from tests.helpers.runs import MakeRun

TRIALS = 300
SLACK = 3 * (0.05 * 0.95 / TRIALS) ** 0.5
"""three standard errors of a share of 5 % over so many trials"""


@pytest.mark.parametrize("name", SPEEDS)
def test_intervals_between_rounds_cover_and_noise_is_not_claimed(make_run: MakeRun, name: str) -> None:
    found = Simulation(make_run).cover(SPEEDS[name], TRIALS)
    assert 0.92 - SLACK <= found.covered <= 0.98 + SLACK
    assert found.slower < 0.05
    assert found.different <= 0.05 + SLACK


def test_a_side_that_starts_slowly_is_compared_once_warm(make_run: MakeRun) -> None:
    """All together: PyTorch's start-up, and a machine whose speed shifts within and between processes."""
    found = Simulation(make_run, startup=True).cover(SPEEDS["both"], TRIALS)
    assert 0.92 - SLACK <= found.covered <= 0.98 + SLACK


def test_earlier_sessions_narrow_the_interval_that_still_covers(make_run: MakeRun) -> None:
    simulation = Simulation(make_run)
    alone, pooled = (simulation.cover(SPEEDS["both"], TRIALS // 3, earlier=n) for n in (0, 3))
    assert pooled.half_width < 0.75 * alone.half_width
    assert pooled.covered >= 0.92 - 2 * SLACK
