"""Test accuracies of one run: after how many steps, and with which interval."""

from dataclasses import replace

import numpy as np
import pytest

from epoch_gap.profiler.analysis.accuracy import (
    Evaluation,
    common_steps,
    largest_loss_difference,
    list_evaluations,
    wilson_interval,
)
from epoch_gap.profiler.storage.run import Run
from tests.helpers.runs import MakeRun


def test_the_wilson_interval_matches_published_values() -> None:
    """Newcombe 1998 (Two-sided confidence intervals for the single proportion), table I."""
    for correct, images, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)):
        interval = wilson_interval(correct, images)
        assert interval.value == correct / images
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


def test_the_wilson_interval_covers_the_true_share() -> None:
    hits = np.random.default_rng(3).binomial(1024, 0.12, 2000)
    intervals = [wilson_interval(int(count), 1024) for count in hits]
    covered = np.mean([not interval.excludes(0.12) for interval in intervals])
    assert 0.93 <= covered <= 0.97


def evaluated_early(run: Run, steps: int) -> Run:
    """The run as if its evaluation had started after `steps` training steps, which then went on."""
    start = np.full(len(run.evaluate), run.train.start_ns[steps])
    train = run.train.start_ns + np.where(np.arange(len(run.train)) >= steps, 1, 0)
    return replace(run, evaluate=replace(run.evaluate, start_ns=start), train=replace(run.train, start_ns=train))


def test_an_evaluation_counts_the_training_steps_before_it(make_run: MakeRun) -> None:
    run = make_run([1.0] * 6, evaluation=[0.2, 0.2], epochs=2)
    assert list_evaluations(run) == [Evaluation(0, 6, 12, 20), Evaluation(1, 12, 12, 20)]
    once = make_run([1.0] * 6, evaluation=[0.2])
    assert [e.steps for e in list_evaluations(evaluated_early(once, 4))] == [4]
    assert list_evaluations(make_run([1.0] * 6)) == []


def test_common_steps_end_where_the_epochs_do_not_match(make_run: MakeRun) -> None:
    short, long = make_run([1.0] * 4, epochs=2), make_run([1.0] * 6, epochs=2)
    assert common_steps([short, long]) == 4
    assert common_steps([short, short]) == 8


def test_repeats_differ_by_the_largest_difference_at_a_common_step(make_run: MakeRun) -> None:
    runs = [make_run([1.0] * 3, losses=losses) for losses in ([2.0, 1.0, 1.0], [2.1, 1.4, 1.0])]
    assert largest_loss_difference(runs) == pytest.approx(0.4)
    assert largest_loss_difference([*runs, make_run([1.0] * 2, losses=[2.0, float("nan")])]) == pytest.approx(0.1)
    assert largest_loss_difference(runs[:1]) is None
