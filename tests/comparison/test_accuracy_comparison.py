"""Whether two subjects learn the same, at equal numbers of steps."""

from typing import Any

import numpy as np
import pytest

from epoch_gap.profiler.analysis.accuracy import Evaluation
from epoch_gap.profiler.comparison.accuracy import (
    AccuracyComparison,
    AccuracyVerdict,
    Likeness,
    accuracy_difference,
    compare_accuracy,
)
from epoch_gap.profiler.comparison.gap import measure_gap
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.storage.run import Run
from tests.helpers.runs import MakeRun


def compared(slow: Run, fast: Run) -> AccuracyComparison:
    return compare_accuracy(measure_gap(*(Subject.from_runs([run]) for run in (slow, fast))))


def test_the_interval_of_a_difference_matches_published_values() -> None:
    """Newcombe 1998 (Interval estimation for the difference between independent proportions), table II, method 10."""
    for a, m, b, n, low, high in (
        (56, 70, 48, 80, 0.0524, 0.3339),
        (9, 10, 3, 10, 0.1705, 0.8090),
        (10, 10, 0, 20, 0.6791, 1.0),
    ):
        interval = accuracy_difference(Evaluation(0, 1, a, m), Evaluation(0, 1, b, n))
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-4)


def test_equal_accuracies_seldom_differ_and_a_real_difference_is_covered() -> None:
    rng = np.random.default_rng(11)
    for p, q in ((0.3, 0.3), (0.35, 0.3)):
        hits = zip(rng.binomial(1024, p, 2000), rng.binomial(1024, q, 2000), strict=True)
        intervals = [
            accuracy_difference(Evaluation(0, 9, int(a), 1024), Evaluation(0, 9, int(b), 1024)) for a, b in hits
        ]
        assert 0.93 <= np.mean([not i.excludes(p - q) for i in intervals]) <= 0.97


@pytest.mark.parametrize(
    ("steps", "evaluation", "verdict"),
    [
        (6, [0.2], AccuracyVerdict.NO_CLAIM),
        (9, [0.2], AccuracyVerdict.NOT_COMPARABLE),
        (6, [0.2, 0.2], AccuracyVerdict.NOT_COMPARABLE),
        (6, [], AccuracyVerdict.NOT_EVALUATED),
    ],
)
def test_accuracies_are_compared_after_equal_steps_on_equal_images(
    make_run: MakeRun, steps: int, evaluation: list[float], verdict: AccuracyVerdict
) -> None:
    comparison = compared(make_run([2.0] * 6, evaluation=[0.2]), make_run([1.0] * steps, evaluation=evaluation))
    assert comparison.verdict is verdict
    assert (comparison.difference is not None) == (verdict is AccuracyVerdict.NO_CLAIM)


def test_a_clear_difference_of_accuracy_differs(make_run: MakeRun) -> None:
    slow, fast = (make_run([s] * 6, evaluation=[0.2] * 30) for s in (2.0, 1.0))
    fast.evaluate.correct[:] = 1
    comparison = compared(slow, fast)
    assert comparison.verdict is AccuracyVerdict.DIFFERS
    assert comparison.difference is not None
    assert comparison.difference.value == pytest.approx(0.5)


def test_losses_are_compared_over_the_last_common_steps(make_run: MakeRun) -> None:
    rng = np.random.default_rng(5)
    batch = rng.normal(2.0, 0.5, 40)
    slow = make_run([2.0] * 30, losses=batch[:30] + 0.1 + rng.normal(0, 0.01, 30))
    fast = make_run([1.0] * 40, losses=batch)
    losses = compared(slow, fast).losses
    assert losses is not None
    assert (losses.steps, losses.last) == (30, 15)
    assert losses.first == (slow.train.loss[0], batch[0])
    assert losses.means[1] == pytest.approx(batch[15:30].mean())
    assert losses.difference.value == pytest.approx(0.1, abs=0.01)
    assert losses.difference.excludes(0), "the same batches: their difficulty cancels"


def test_a_diverged_loss_is_not_compared(make_run: MakeRun) -> None:
    losses = [2.0] * 5 + [float("inf")]
    assert compared(make_run([2.0] * 6, losses=losses), make_run([1.0] * 6)).losses is None


@pytest.mark.parametrize(
    ("mine", "seed", "likeness"),
    [("shared", 42, Likeness.SAME), ("own", 42, Likeness.DIFFERENT), ("shared", 7, Likeness.DIFFERENT)],
)
def test_the_order_is_the_same_only_with_the_same_seed(
    make_run: MakeRun, mine: str, seed: int, likeness: Likeness
) -> None:
    changes: dict[str, Any] = {"framework": {"data_order": mine}, "config": {"seed": seed}}
    comparison = compared(make_run([2.0] * 6, **changes), make_run([1.0] * 6, framework={"data_order": "shared"}))
    assert (comparison.data_order, comparison.initialisation) == (likeness, Likeness.UNKNOWN)
