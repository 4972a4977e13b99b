"""Slow and statistical checks: `make bench` runs them and shows their figures."""

import time
from pathlib import Path

import numpy as np
import pytest

from profiler import stats, store
from profiler.commands.main import main
from profiler.estimate import estimate_epoch
from profiler.phases import Phase
from profiler.recorder import mark_cost_ns
from tests.conftest import autoregression

pytestmark = pytest.mark.bench

MARK_BUDGET = 2.0
"""clock reads"""


def clock_cost_ns(reads: int = 20_000) -> float:
    clock = time.perf_counter_ns
    rounds = []
    for _ in range(5):
        start = clock()
        for _ in range(reads):
            clock()
        rounds.append((clock() - start) / reads)
    return min(rounds)


def test_a_mark_costs_at_most_two_clock_reads() -> None:
    ratios = [mark_cost_ns() / clock_cost_ns() for _ in range(21)]
    ratio = float(np.median(ratios))
    print(
        f"\none mark: {mark_cost_ns():.0f} ns; clock read: {clock_cost_ns():.0f} ns; ratio, median of 21: {ratio:.2f}"
    )
    assert ratio <= MARK_BUDGET


def test_a_report_of_a_fake_recovers_its_costs_on_the_real_clock(tmp_path: Path) -> None:
    script = {"fetch": 1.0, "collate": 2.0, "forward": 10.0, "backward": 20.0, "step": 5.0}
    costs = ",".join(f"{phase}={ms}" for phase, ms in script.items())
    words = ["run", "--framework", "fake", "--data", "synthetic", "--train-limit", "1280", "--test-limit", "128"]
    words += ["--batch-size", "10", "--quiet", "--fake-costs", costs, "--runs-dir", str(tmp_path)]
    assert main(words) == 0
    run = store.read(store.find(tmp_path)[0])
    epoch = estimate_epoch(run)
    for phase, ms in script.items():
        part = epoch.phases[Phase(phase)]
        assert part is not None
        error = part.value / (ms / 1000 * 50_000 / 10) - 1
        print(f"\n{phase}: {part.value:.3f} s per epoch, off by {error:+.2%}")
        assert abs(error) <= 0.02


@pytest.mark.parametrize("rho", [0.0, 0.5])
@pytest.mark.parametrize("n", [15, 60])
def test_coverage_of_the_mean_of_a_whole_epoch(rho: float, n: int) -> None:
    rng, size, trials = np.random.default_rng(20261123), 391, 1000
    hits = 0
    for _ in range(trials):
        series = autoregression(rng, rho, size)
        interval = stats.mean(series[:n], size).interval()
        assert interval.low is not None
        assert interval.high is not None
        hits += interval.low <= series.mean() <= interval.high
    print(f"\ncoverage, rho {rho}, {n} of {size} steps: {hits / trials:.1%}")
    assert hits / trials >= 0.88
