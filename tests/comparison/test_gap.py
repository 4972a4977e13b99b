from dataclasses import replace

import numpy as np
import pytest
from scipy import stats as scipy_stats

from epoch_gap.profiler.comparison.gap import (
    EQUAL_WITHIN,
    Gap,
    IntervalScope,
    measure_chain,
    measure_gap,
    measure_gaps,
)
from epoch_gap.profiler.comparison.subject import Subject, group_runs
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.run import Run
from tests.helpers.runs import MakeRun, retimed, with_materialize

STEPS, EPOCH_START = 10.4, 0.5
"""full steps in the full epoch of `make_run`, and its seconds outside them"""


def noisy(mean: float, seed: int, n: int = 20, spread: float = 0.05) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, spread * mean, n)


def sums(g: Gap) -> float:
    return sum(part.value for part in g.by_phase.values())


def test_the_terms_sum_to_the_gap_in_known_seconds(make_run: MakeRun) -> None:
    slow, fast = make_run([3.0] * 9, config={"label": "slow"}), make_run([1.0] * 9)
    g = measure_gaps(group_runs([fast, slow]))[0]
    assert (g.slow.first.id, g.fast.first.id) == (slow.id, fast.id)
    assert g.seconds.value == pytest.approx(STEPS * 2)
    assert g.by_phase[Phase.FORWARD].value == pytest.approx(STEPS * 2 / 4)
    assert g.by_phase[Phase.BACKWARD].value == pytest.approx(STEPS * 2 * 3 / 4)
    assert g.by_phase[Phase.EPOCH_START].value == pytest.approx(0, abs=1e-9)
    assert g.ratio.value == pytest.approx((STEPS * 3 + EPOCH_START) / (STEPS + EPOCH_START))
    assert sums(g) == pytest.approx(g.seconds.value, rel=1e-9)


@pytest.mark.parametrize("repeats", [(1, 1), (3, 3), (3, 2), (1, 2)])
def test_the_terms_sum_to_the_gap_of_noisy_runs(make_run: MakeRun, repeats: tuple[int, int]) -> None:
    slow = [make_run(noisy(2, i), evaluation=noisy(0.3, i, 3), config={"label": "slow"}) for i in range(repeats[0])]
    fast = [make_run(noisy(1, 9 + i), evaluation=noisy(0.2, i, 3)) for i in range(repeats[1])]
    g = measure_gaps(group_runs([*slow, *fast]))[0]
    assert sums(g) == pytest.approx(g.seconds.value, rel=1e-9)
    assert g.seconds.value == pytest.approx(g.slow.epoch.total.value - g.fast.epoch.total.value)
    assert g.fast_seconds == pytest.approx(g.fast.epoch.total.value)
    assert (g.scope is IntervalScope.BETWEEN_PROCESSES) == (min(repeats) >= 2)


def test_only_a_clear_gap_has_shares(make_run: MakeRun) -> None:
    slow, fast = make_run([3.0] * 9, config={"label": "slow"}), make_run([1.0] * 9)
    assert measure_gaps(group_runs([fast, slow]))[0].share(STEPS) == pytest.approx(0.5)
    assert replace(measure_gaps(group_runs([fast, slow]))[0], floor=5.0).share(STEPS) is None
    assert measure_gaps(group_runs([fast, make_run([1.0] * 9, config={"label": "same"})]))[0].share(STEPS) is None


def test_pairs_of_processes_have_a_t_interval_over_log_ratios(make_run: MakeRun) -> None:
    slow_seconds, fast_seconds = [2.0, 2.6, 2.2], [1.0, 1.2, 1.05]
    slow = [make_run([s] * 6, config={"label": "slow"}) for s in slow_seconds]
    fast = [make_run([s] * 6) for s in fast_seconds]
    g = measure_gaps(group_runs([*slow, *fast]))[0]
    epochs = [STEPS * np.array(s) + EPOCH_START for s in (slow_seconds, fast_seconds)]
    logs = scipy_stats.ttest_1samp(np.log(epochs[0] / epochs[1]), 0).confidence_interval(0.95)
    assert g.ratio.low == pytest.approx(np.exp(logs.low))
    assert g.ratio.high == pytest.approx(np.exp(logs.high))
    seconds = scipy_stats.ttest_1samp(epochs[0] - epochs[1], 0).confidence_interval(0.95)
    assert g.seconds.interval().low == pytest.approx(seconds.low)
    assert g.verdict == "slower"


def test_a_drift_shared_by_pairs_does_not_hide_the_gap(make_run: MakeRun) -> None:
    drift = [1.0, 1.5, 2.2, 3.0]
    slow = [make_run([1.05 * d] * 6, config={"label": "slow"}) for d in drift]
    fast = [make_run([d] * 6) for d in drift]
    assert measure_gaps(group_runs([*slow, *fast]))[0].verdict == "slower"
    assert measure_gaps(group_runs([*slow, *fast[:3]]))[0].verdict == "undecided"


def test_the_verdict_follows_the_interval(make_run: MakeRun) -> None:
    base = make_run([1.0] * 20, full_epoch={"train_images": 1000})
    assert one_against_one(base, noisy(1.3, 1), noisy(1.0, 2)).verdict == "slower"
    assert one_against_one(base, noisy(1.0, 1, spread=0.001), noisy(1.0, 2, spread=0.001)).verdict == "equal"
    assert one_against_one(base, noisy(1.0, 1, spread=0.3), noisy(1.0, 2, spread=0.3)).verdict == "undecided"


def test_a_difference_inside_2_percent_is_equal_and_one_outside_is_slower(make_run: MakeRun) -> None:
    base = make_run([1.0] * 20, full_epoch={"train_images": 100_000})
    steps = np.ones(20)
    assert one_against_one(base, steps * (1 + EQUAL_WITHIN * 0.95), steps).verdict == "equal"
    assert one_against_one(base, steps * (1 + EQUAL_WITHIN * 1.05), steps).verdict == "slower"


def test_the_verdict_is_undecided_if_one_side_has_an_unknown_spread(make_run: MakeRun) -> None:
    slow, fast = make_run([5.0, 5.0], config={"label": "slow"}), make_run(noisy(1, 1))
    g = measure_gaps(group_runs([slow, fast]))[0]
    assert g.ratio.value == pytest.approx(5, rel=0.2)
    assert (g.ratio.low, g.ratio.high, g.seconds.interval().low) == (None, None, None)
    assert g.verdict == "undecided"


def test_a_against_a_is_rarely_called_slower_and_a_real_difference_mostly_is(make_run: MakeRun) -> None:
    base = make_run([1.0] * 40, full_epoch={"train_images": 3910})
    random, trials = np.random.default_rng(7), 300
    false_alarms = found = 0
    for _ in range(trials):
        a, b = random.normal(1, 0.1, (2, 40))
        false_alarms += one_against_one(base, a, b).verdict == "slower"
        found += one_against_one(base, 1.1 * a, b).verdict == "slower"
    simulation_error = 2 * (0.05 * 0.95 / trials) ** 0.5
    assert false_alarms / trials <= 0.07 + simulation_error
    assert found / trials > 0.9


def test_a_chain_of_gaps_sums_to_the_whole_by_phase(make_run: MakeRun) -> None:
    """Lucid by way of MLX to PyTorch: the middle one has a phase of its own, the last no evaluation."""
    runs = [
        make_run(noisy(3, 1), evaluation=[0.4], config={"label": "slow"}),
        with_materialize(make_run(noisy(2, 2), evaluation=[0.3], config={"label": "middle"})),
        make_run(noisy(1, 3), config={"label": "fast"}),
    ]
    subjects = group_runs(runs)
    links = measure_chain(subjects)
    whole = measure_gap(subjects[0], subjects[2])
    assert [(g.slow.id, g.fast.id) for g in links] == [
        (subjects[0].id, subjects[1].id),
        (subjects[1].id, subjects[2].id),
    ]
    assert all(g.excluded == whole.excluded == (Phase.EVALUATE,) for g in links)
    assert sum(g.seconds.value for g in links) == pytest.approx(whole.seconds.value, rel=1e-9)
    for phase in (Phase.FORWARD, Phase.BACKWARD, Phase.MATERIALIZE):
        parts = [g.by_phase[phase].value for g in links if phase in g.by_phase]
        assert sum(parts) == pytest.approx(whole.by_phase[phase].value if phase in whole.by_phase else 0, abs=1e-9)


def test_a_phase_that_only_one_side_has_counts_fully(make_run: MakeRun) -> None:
    lazy, eager = with_materialize(make_run([4.0] * 6, config={"label": "lazy"})), make_run([2.0] * 6)
    g = measure_gaps(group_runs([lazy, eager]))[0]
    assert g.by_phase[Phase.MATERIALIZE].value == pytest.approx(STEPS * (1.0 - 0.001))
    assert g.by_phase[Phase.FORWARD].value == pytest.approx(STEPS * (0.001 - 0.5))
    assert sums(g) == pytest.approx(g.seconds.value, rel=1e-9)
    reverse = measure_gap(g.fast, g.slow)
    assert reverse.by_phase[Phase.MATERIALIZE].value == pytest.approx(-STEPS * (1.0 - 0.001))
    assert Phase.COLLATE not in g.by_phase


def test_an_evaluation_that_one_side_lacks_is_excluded_and_the_phases_still_sum(make_run: MakeRun) -> None:
    slow = make_run([2.0] * 6, config={"label": "slow"}, evaluation=[0.3, 0.4])
    fast = make_run([1.0] * 6, status="interrupted")
    g = measure_gaps(group_runs([slow, fast]))[0]
    assert g.excluded == (Phase.EVALUATE,)
    assert Phase.EVALUATE not in g.by_phase
    assert g.seconds.value == pytest.approx(STEPS * 1.0)
    assert sums(g) == pytest.approx(g.seconds.value, rel=1e-9)
    assert g.ratio.value == pytest.approx((STEPS * 2 + EPOCH_START) / (STEPS + EPOCH_START))


def test_the_slow_side_is_the_slower_one_in_the_phases_that_both_measured(make_run: MakeRun) -> None:
    """With its evaluation the first run's epoch is the longer one, but the other's steps are slower."""
    evaluated = make_run([1.0] * 6, config={"label": "evaluated"}, evaluation=[20.0, 20.0])
    not_evaluated = make_run([1.5] * 6, status="interrupted")
    g = measure_gaps(group_runs([evaluated, not_evaluated]))[0]
    assert g.slow.first.id == not_evaluated.id
    assert g.seconds.value == pytest.approx(STEPS * 0.5)


def test_every_pair_is_compared_the_largest_gap_first(make_run: MakeRun) -> None:
    subjects = group_runs([make_run([s] * 6, config={"label": f"{s}"}) for s in (2.0, 1.0, 4.0)])
    found = [tuple(s.first.config.label for s in (g.slow, g.fast)) for g in measure_gaps(subjects)]
    assert found == [("4.0", "1.0"), ("4.0", "2.0"), ("2.0", "1.0")]


def one_against_one(base: Run, a: np.ndarray, b: np.ndarray) -> Gap:
    """The gap between two single runs whose steps took `a` and `b` seconds."""
    one, other = (subject_of(retimed(base, seconds)) for seconds in (a, b))
    return measure_gaps([one, other])[0]


def subject_of(run: Run) -> Subject:
    return group_runs([run])[0]
