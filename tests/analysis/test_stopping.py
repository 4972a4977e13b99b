from functools import partial

import numpy as np
import pytest

from epoch_gap.profiler.analysis.stopping import CHECKS, LEAST_FOR_PRECISION, LEAST_IN_TIME, StoppingRule
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import ASRUN_BLOCK, POLICIES, TimingMode, ends_asrun_block
from epoch_gap.profiler.recording.records import Step

BATCH, IMAGES = 10, 3910


def a_step(index: int, seconds: float = 1.0, fence: str = "none") -> Step:
    ns = round(seconds * 1e9)
    return Step("train", POLICIES[fence](index), 0, index, BATCH, 2.0, 5, index * ns, ns, {Phase.FORWARD: ns})


def taken(rule: StoppingRule, steps: list[Step]) -> int:
    """The number of `steps` that the sample takes."""
    return next((n for n, step in enumerate(steps, start=1) if rule(step)), len(steps))


def noisy(spread: float, n: int = 391, fence: str = "none") -> list[Step]:
    seconds = np.random.default_rng(3).normal(1, spread, n)
    return [a_step(i, s, fence) for i, s in enumerate(seconds)]


def test_the_whole_epoch_is_run_without_a_limit() -> None:
    rule = StoppingRule(BATCH, IMAGES)
    assert taken(rule, noisy(0.01)) == 391
    assert rule.reason == "all images were used"


def test_a_number_of_steps_is_not_exceeded() -> None:
    rule = StoppingRule(BATCH, IMAGES, steps=3)
    assert taken(rule, noisy(0.1)) == 3
    assert rule.reason == "its number of steps, 3, was reached"


def test_a_time_limit_ends_the_epoch_but_not_before_the_least_number_of_steps() -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 40.0
        return now

    rule = StoppingRule(BATCH, IMAGES, steps=1000, seconds=30, clock=clock)
    assert taken(rule, noisy(0.1)) == LEAST_IN_TIME
    assert rule.reason == "its time of 30 s was spent"


def test_the_time_limit_starts_again_in_every_epoch() -> None:
    now = 0.0
    rule = StoppingRule(BATCH, IMAGES, seconds=100, clock=lambda: now)
    for _ in range(2):
        count = 0
        while not rule(a_step(count)):
            now += 10.0
            count += 1
        assert count == 9, "a tenth of the time is the evaluation's"


def test_training_ends_where_it_may_before_its_time_is_over() -> None:
    """On a lazy device, after 4 and 11 steps: at 10 s a step, the next end would be too late for 100 s."""
    now = 0.0
    may_end = partial(ends_asrun_block, POLICIES["alternate"])
    rule = StoppingRule(BATCH, IMAGES, seconds=100, may_end=may_end, clock=lambda: now)
    steps = 0
    while not rule(a_step(steps)):
        now += 10.0
        steps += 1
    assert steps + 1 == 4
    assert now <= 90


def test_an_evaluation_ends_with_the_time_but_not_before_the_least_number_of_batches() -> None:
    now = 0.0
    rule = StoppingRule(BATCH, IMAGES, seconds=100, clock=lambda: now)
    rule(a_step(0))
    assert not rule.is_due()
    now = 99.0
    assert not rule.ends_after(50)
    now = 101.0
    assert [rule.ends_after(n) for n in (1, 2, 3, 4)] == [False, False, True, True]
    assert not StoppingRule(BATCH, IMAGES, steps=3, clock=lambda: now).ends_after(1_000)


@pytest.mark.parametrize("fence", ["none", "alternate"])
def test_a_precise_sample_ends_the_epoch_and_gives_the_reason(fence: str) -> None:
    rule = StoppingRule(BATCH, IMAGES, share=0.02)
    assert taken(rule, noisy(0.01, fence=fence)) == LEAST_FOR_PRECISION + CHECKS - 1
    assert rule.reason == "the epoch's training is known within 2%"


def test_a_noisier_series_takes_about_cochrans_number_of_steps() -> None:
    n = taken(StoppingRule(BATCH, IMAGES, share=0.02), noisy(0.1))
    exact = 1.96**2 * 0.1**2 / (0.02**2 + 1.96**2 * 0.1**2 / 390)
    assert 0.6 * exact < n < 1.6 * exact


def test_a_sample_without_a_steady_state_is_not_precise() -> None:
    steps = [a_step(i, 1 + i / 100) for i in range(100)]
    assert taken(StoppingRule(BATCH, IMAGES, share=0.02), steps) == 100


def test_a_sample_of_a_lazy_device_ends_where_its_flush_can_be_scaled() -> None:
    may_end = partial(ends_asrun_block, POLICIES["alternate"])
    rule = StoppingRule(BATCH, IMAGES, share=0.02, may_end=may_end)
    n = taken(rule, noisy(0.01, fence="alternate"))
    assert n == 25
    assert [POLICIES["alternate"](i) for i in range(n - ASRUN_BLOCK, n)] == [TimingMode.ASRUN] * ASRUN_BLOCK
    assert POLICIES["alternate"](n) is TimingMode.FENCED
