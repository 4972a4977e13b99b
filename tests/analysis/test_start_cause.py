"""Slow starts with known causes: PyTorch's on glibc, a machine that was slower, and one that nothing explains."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.run_analysis import analyse_run
from epoch_gap.profiler.analysis.start_cause import Cause
from epoch_gap.profiler.analysis.warm_up import StartKind, detect_late_start
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports.sentences.verdict import how_known
from epoch_gap.reports.sentences.warm_up import describe_start
from tests.helpers.recorded import QUIET_READING
from tests.helpers.rounds_simulation import startup_faults, startup_seconds, with_faults
from tests.helpers.runs import MakeRun, retimed

EPOCH = {"full_epoch": {"train_images": 3910}}


def started(make_run: MakeRun, seconds: NDArray[np.float64], faults: NDArray[np.int64] | None = None) -> Run:
    noisy = seconds * np.random.default_rng(1).normal(1, 0.02, len(seconds))
    run = retimed(make_run([1.0] * len(seconds), **EPOCH), noisy)
    return run if faults is None else with_faults(run, faults)


def falling(slow: int, n: int, first: float = 1.6) -> NDArray[np.float64]:
    return np.where(np.arange(n) < slow, first, 1.0)


def test_pytorchs_start_is_a_warm_up_that_its_page_faults_explain(make_run: MakeRun) -> None:
    """2.4 s at first, 1.56 after 35 steps, 1.35 from 60 on, the page faults falling with it; 80 steps."""
    seconds = startup_seconds(80)
    run = started(make_run, seconds, startup_faults(80))
    warm_up = analyse_run(run).warm_up
    assert warm_up.kind is StartKind.WARM_UP
    assert 50 <= warm_up.steps <= 65
    assert warm_up.cause is not None
    assert warm_up.cause.cause is Cause.PAGE_FAULTS
    assert warm_up.steady.value == pytest.approx(1.35, rel=0.03)
    assert "page faults per step fall from " in describe_start(warm_up)


def test_without_its_counters_the_end_of_the_same_start_is_missed(make_run: MakeRun) -> None:
    assert analyse_run(started(make_run, startup_seconds(80))).warm_up.steps < 40


def test_a_long_start_makes_the_epoch_one_once_warm(make_run: MakeRun) -> None:
    seconds = startup_seconds(80)
    subject = Subject.from_runs([started(make_run, seconds, startup_faults(80))])
    text = how_known(subject)
    extra = float((startup_seconds(391) - 1.35).clip(0).sum())
    assert text.startswith("estimated once warm, first epoch +")
    assert float(text.split("+")[1].split(" s")[0]) == pytest.approx(extra, rel=0.25)
    short = Subject.from_runs([started(make_run, falling(8, 80))])
    assert how_known(short).startswith("estimated without evaluate")


def test_a_start_on_a_slower_machine_is_the_machines(make_run: MakeRun) -> None:
    run = started(make_run, falling(10, 60))
    ends = int(run.train.start_ns[10])
    slow = replace(QUIET_READING, matmul_ns=1_600_000, loop_ns=1_280_000)
    readings = tuple(replace(slow if at < ends else QUIET_READING, at_ns=at) for at in (0, ends - 1, ends, ends + 9))
    cause = analyse_run(replace(run, readings=readings)).warm_up.cause
    assert cause is not None
    assert cause.cause is Cause.MACHINE
    assert cause.during > 1.5 * cause.after


def test_a_start_that_nothing_explains_is_called_so(make_run: MakeRun) -> None:
    for faults in (None, np.full(60, 5000)):
        warm_up = analyse_run(started(make_run, falling(10, 60), faults)).warm_up
        assert warm_up.kind is StartKind.WARM_UP
        assert warm_up.cause is not None
        assert warm_up.cause.cause is Cause.UNEXPLAINED
        assert "unexplained" in describe_start(warm_up)


def test_a_flat_run_and_a_slow_first_step_need_no_cause(make_run: MakeRun) -> None:
    assert analyse_run(started(make_run, falling(0, 60))).warm_up.cause is None
    first = analyse_run(started(make_run, falling(1, 60, first=3.0))).warm_up
    assert (first.steps, first.cause) == (1, None)
    assert describe_start(first) == "warm-up"


@pytest.mark.parametrize(
    ("seconds", "faults"),
    [
        (falling(76, 80), np.where(np.arange(80) < 76, 9000, 10)),
        (falling(40, 80), np.full(80, 9000)),
        (1 / falling(40, 80), np.where(np.arange(80) < 40, 9000, 10)),
        (np.where(np.arange(80) < 40, 2.0, 1 + np.arange(80) / 80), np.where(np.arange(80) < 40, 9000, 10)),
    ],
    ids=["too little follows", "no fall of the faults", "faster at first", "the remainder still moves"],
)
def test_page_faults_alone_make_no_warm_up(seconds: NDArray[np.float64], faults: NDArray[np.int64]) -> None:
    noisy = seconds * np.random.default_rng(1).normal(1, 0.01, len(seconds))
    assert detect_late_start(noisy, faults) is None


@pytest.mark.parametrize("seed", range(20))
def test_a_first_touch_of_memory_or_faults_that_cost_nothing_are_no_warm_up(seed: int) -> None:
    """Memory that is kept: half a million faults in the first step, then a few, scattered; and faults that halve."""
    random = np.random.default_rng(seed)
    seconds = random.normal(1, 0.02, 60) * np.where(np.arange(60) < 1, 1.5, 1.0)
    scattered = np.round(800 * random.normal(1, 0.3, 60))
    scattered[0] = 500_000
    halved = np.where(np.arange(60) < 40, 1600, 800)
    assert detect_late_start(seconds, scattered) is None
    assert detect_late_start(seconds, halved) is None


def test_a_single_late_burst_of_faults_does_not_extend_a_warm_up() -> None:
    faults = np.where(np.arange(80) < 40, 9000, 1000)
    faults[74] = 9000
    start = detect_late_start(falling(40, 80) * np.random.default_rng(1).normal(1, 0.01, 80), faults)
    assert start is not None
    assert start.steps == 40


def test_the_faults_of_the_first_step_explain_no_slow_steps_after_it(make_run: MakeRun) -> None:
    run = started(make_run, falling(10, 60), np.where(np.arange(60) < 1, 500_000, 20))
    cause = analyse_run(run).warm_up.cause
    assert cause is not None
    assert cause.cause is Cause.UNEXPLAINED
