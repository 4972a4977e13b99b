from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.epoch import EpochEstimate, estimate_epoch, training_precision
from epoch_gap.profiler.analysis.run_analysis import analyse_run
from epoch_gap.profiler.analysis.step_selection import select_steps
from epoch_gap.profiler.analysis.warm_up import StartKind
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import TimingMode
from epoch_gap.profiler.recording.records import Epoch
from epoch_gap.profiler.storage.manifest import RunStatus
from epoch_gap.profiler.storage.run import Run, StepTable
from tests.helpers.runs import MakeRun, manifest

EPOCH_START = 0.5
"""seconds, in every run of `make_run`; its full epoch is 10 steps of 10 images, one of 4, and 20 test images"""
WHOLE = [10] * 10 + [4]


def own_epoch(run: Run) -> EpochEstimate:
    return analyse_run(run).asrun.own_epoch


def any_epoch(run: Run) -> EpochEstimate:
    return analyse_run(run).asrun.any_epoch


def steady_steps(run: Run) -> StepTable:
    return analyse_run(run).asrun.steady


def precision(run: Run) -> float | None:
    return training_precision(select_steps(run.train, 10), 10, 3910)


NOISY = [1.3, 0.8, 1.1, 0.9, 1.2, 0.7, 1.0, 1.25, 0.95, 1.05, 0.5]


def test_constant_steps_give_the_epoch_that_arithmetic_gives(make_run: MakeRun) -> None:
    run = make_run(
        [2.0] * 8,
        images=[128] * 8,
        evaluation=[0.25, 0.25],
        config={"batch_size": 128},
        full_epoch={"train_images": 50_000, "test_images": 10_000},
    )
    epoch = own_epoch(run)
    assert epoch.total.value == pytest.approx((390 + 80 / 128) * 2.0 + 1000 * 0.25 + EPOCH_START, rel=1e-9)
    assert not epoch.measured
    seconds = {phase: part.value for phase, part in epoch.phases.items() if part is not None}
    assert seconds == {
        Phase.EPOCH_START: pytest.approx(EPOCH_START),
        Phase.FORWARD: pytest.approx(390.625 * 0.5),
        Phase.BACKWARD: pytest.approx(390.625 * 1.5),
        Phase.EVALUATE: pytest.approx(250),
    }


def test_an_interval_covers_a_partial_batch_from_its_share_to_a_whole_step(make_run: MakeRun) -> None:
    interval = own_epoch(make_run([2.0] * 8)).total.interval()
    assert interval.low is not None
    assert interval.high is not None
    assert 0 < interval.high - interval.value < 2.0
    even = own_epoch(make_run([2.0] * 8, full_epoch={"train_images": 100})).total.interval()
    assert even.high == pytest.approx(even.value, rel=1e-9)


def test_the_warm_up_is_shown_and_not_averaged_in(make_run: MakeRun) -> None:
    run = make_run([9.0, 5.0] + [1.0] * 8)
    shown = analyse_run(run).warm_up
    assert (shown.steps, shown.first) == (2, 9.0)
    assert shown.excess == pytest.approx(12.0)
    assert shown.steady.value == pytest.approx(1.0)
    assert own_epoch(run).total.value == pytest.approx(10.4 * 1.0 + EPOCH_START)


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (2, 1), (60, 1)])
def test_the_first_step_is_always_excluded(make_run: MakeRun, steps: int, warmup: int) -> None:
    run = make_run([1.0] * steps)
    assert analyse_run(run).selection.start.steps == warmup
    assert len(steady_steps(run)) == steps - warmup
    assert analyse_run(run).warm_up.kind is StartKind.FLAT


def test_more_steps_are_required_until_the_epoch_is_known(make_run: MakeRun) -> None:
    noisy = list(np.random.default_rng(2).normal(1, 0.05, 40))
    run = make_run(noisy, full_epoch={"train_images": 3910})
    more = analyse_run(run).more_steps
    assert more is not None
    exact = 2.02**2 * 0.05**2 / (0.01**2 + 2.02**2 * 0.05**2 / 391)
    assert more == pytest.approx(exact - 39, rel=0.5)
    assert analyse_run(make_run([1.0] * 40)).more_steps == 0
    assert analyse_run(make_run([1.0] * 3)).more_steps is None


def test_a_share_of_the_epoch_is_known_from_the_steps_so_far(make_run: MakeRun) -> None:
    noisy = list(np.random.default_rng(2).normal(1, 0.05, 40))
    run = make_run(noisy, full_epoch={"train_images": 3910})
    found = precision(run)
    interval = own_epoch(run).total.interval()
    assert interval.low is not None
    assert interval.high is not None
    half = (interval.high - interval.low) / 2
    assert found == pytest.approx(half / (interval.value - EPOCH_START), rel=1e-6)
    assert precision(make_run([1.0 + i for i in range(40)])) is None
    assert precision(make_run([1.0])) is None


def test_a_whole_epoch_is_measured_and_equals_its_wall_time(make_run: MakeRun) -> None:
    run = make_run(NOISY, images=WHOLE, evaluation=[0.2, 0.3])
    own = own_epoch(run)
    assert own.measured
    assert own.total.value == pytest.approx(run.epochs[0].wall_ns * 1e-9, rel=1e-12)
    for part in (own.total, *filter(None, own.phases.values())):
        interval = part.interval()
        assert interval.low == interval.value == interval.high


def test_a_whole_epoch_is_still_one_of_many_in_a_comparison(make_run: MakeRun) -> None:
    run = make_run(NOISY, images=WHOLE, evaluation=[0.2, 0.3])
    own, general = own_epoch(run), any_epoch(run)
    assert general.total.value == own.total.value
    interval = general.total.interval()
    assert interval.low is not None
    assert interval.low < interval.value - 0.1


def test_whole_epochs_are_averaged(make_run: MakeRun) -> None:
    run = make_run(NOISY, images=WHOLE, evaluation=[0.2, 0.3], epochs=3)
    own = own_epoch(run)
    assert own.measured
    assert own.total.value == pytest.approx(sum(epoch.wall_ns for epoch in run.epochs) * 1e-9 / 3, rel=1e-12)
    assert own.total.interval().low == own.total.interval().high


def test_four_times_the_epochs_have_a_quarter_of_the_variance(make_run: MakeRun) -> None:
    steps = [1.1, 0.9] * 5 + [0.4]
    one, four = (any_epoch(make_run(steps, images=WHOLE, evaluation=[0.2, 0.2], epochs=n)) for n in (1, 4))
    steady_one, steady_four = 10 - 2, 40 - 5
    assert one.total.variance / four.total.variance == pytest.approx(steady_four / steady_one, rel=0.15)


def test_parts_of_many_epochs_are_still_a_sample(make_run: MakeRun) -> None:
    """More steps than one epoch has, and none of the epochs was trained to its end."""
    run = make_run([1.1, 0.9] * 3, epochs=4)
    epoch = own_epoch(run)
    assert not epoch.measured
    forward = epoch.phases[Phase.FORWARD]
    assert forward is not None
    spread_of_24_from_40 = np.var(steady_steps(run).phase_ns[Phase.FORWARD] * 1e-9, ddof=1) / 23 * (1 - 23 / 40)
    partial = (0.6 * 0.25) ** 2 / 3
    assert forward.variance == pytest.approx(spread_of_24_from_40 * 10.4**2 + partial, rel=0.01)


def test_the_last_partial_batch_is_not_averaged_with_full_ones(make_run: MakeRun) -> None:
    run = make_run([1.0] * 6 + [77.0], images=[10] * 6 + [4])
    assert own_epoch(run).total.value == pytest.approx(10.4 * 1.0 + EPOCH_START)
    assert len(steady_steps(run)) == 5


def test_a_partial_test_batch_is_not_averaged_with_full_ones(make_run: MakeRun) -> None:
    run = make_run([1.0] * 6, evaluation=[0.2, 0.2, 9.0])
    sizes = np.array([10, 10, 5])
    run = replace(run, evaluate=replace(run.evaluate, images=sizes))
    assert own_epoch(run).phases[Phase.EVALUATE].value == pytest.approx(0.4)


@pytest.mark.parametrize(("batches", "dof"), [([0.5, 0.2], 1), ([0.5, 0.21, 0.19], 1), ([0.5, 0.21, 0.2, 0.19], 2)])
def test_the_first_test_batch_counts_once(make_run: MakeRun, batches: list[float], dof: int) -> None:
    """It is slower, as a first step is, and must not be taken for the average of the whole test set."""
    run = make_run([1.0] * 6, evaluation=batches)
    full = run.manifest.full_epoch
    whole = replace(run, manifest=replace(run.manifest, full_epoch=replace(full, test_images=1000)))
    part = any_epoch(whole).phases[Phase.EVALUATE]
    assert part is not None
    assert part.value == pytest.approx(0.5 + 99 * 0.2)
    assert (part.dof, part.variance > 0) == (dof, True)


def test_an_evaluation_of_all_test_images_is_a_point_in_this_process_and_not_in_general(make_run: MakeRun) -> None:
    run = make_run([1.0] * 6, evaluation=[0.2, 0.3])
    own, general = (epoch.phases[Phase.EVALUATE] for epoch in (own_epoch(run), any_epoch(run)))
    assert own is not None
    assert general is not None
    assert own.value == general.value == pytest.approx(0.5)
    assert own.variance == 0 < general.variance


def test_a_run_without_a_full_step_gives_one_clear_line(make_run: MakeRun) -> None:
    run = make_run([1.0], images=[4], status="interrupted")
    with pytest.raises(UserError) as error:
        own_epoch(run)
    assert str(error.value) == f"{run.id}: no full training step was stored (interrupted); nothing to report"


@pytest.mark.parametrize("steps", [1, 2])
def test_from_one_steady_step_the_interval_is_unknown(make_run: MakeRun, steps: int) -> None:
    epoch = own_epoch(make_run([1.0] * steps, evaluation=[0.2, 0.21, 0.19]))
    assert epoch.total.value == pytest.approx(10.4 + 0.4 + EPOCH_START)
    assert (epoch.total.interval().low, epoch.total.interval().high) == (None, None)
    assert epoch.phases[Phase.FORWARD].interval().low is None


def test_a_run_interrupted_in_its_first_epoch_has_no_evaluation(make_run: MakeRun) -> None:
    run = replace(make_run([1.0] * 6), epochs=(), status="interrupted")
    epoch = own_epoch(run)
    assert epoch.phases[Phase.EVALUATE] is None
    assert epoch.phases[Phase.EPOCH_START] is None
    assert epoch.total.value == pytest.approx(10.4)


def test_a_phase_that_the_framework_lacks_is_none_and_not_0(make_run: MakeRun) -> None:
    phases = own_epoch(make_run([1.0] * 6)).phases
    assert set(phases) == set(Phase)
    assert phases[Phase.MATERIALIZE] is None
    assert phases[Phase.CHECKPOINT] is None


def test_the_remaining_phases_still_sum_without_one(make_run: MakeRun) -> None:
    epoch = own_epoch(make_run(NOISY[:6], evaluation=[0.2, 0.3]))
    rest = epoch.without([Phase.EVALUATE, Phase.CHECKPOINT])
    assert rest.phases[Phase.EVALUATE] is None
    assert rest.total.value == pytest.approx(sum(p.value for p in rest.phases.values() if p), rel=1e-12)
    assert rest.total.value == pytest.approx(epoch.total.value - 0.5)


nanoseconds = st.integers(0, 10**11)
step_phases = [phase for phase in Phase if phase is not Phase.EVALUATE]


@given(
    st.lists(st.sampled_from(step_phases), min_size=1, unique=True),
    st.lists(st.lists(nanoseconds, min_size=len(Phase), max_size=len(Phase)), min_size=1, max_size=12),
    st.lists(nanoseconds, max_size=3),
    st.dictionaries(st.sampled_from(step_phases), nanoseconds),
    st.booleans(),
)
def test_phases_sum_to_the_total(
    phases: list[Phase], steps: list[list[int]], evaluation: list[int], outside: dict[Phase, int], is_finite: bool
) -> None:
    train = table(np.array(steps)[:, : len(phases)], phases)
    evaluated = table(np.array(evaluation, np.int64).reshape(-1, 1), [Phase.EVALUATE])
    epoch = Epoch(0, 1, 0, {**outside, Phase.EVALUATE: sum(evaluation)}, 1e-3, 1.0, 0.5, None, None)
    run = Run("random", Path(), RunStatus.COMPLETE, manifest(), train, evaluated, (epoch,), ())
    steady = select_steps(run.train, run.batch_size).steady(TimingMode.ASRUN)
    estimate = estimate_epoch(run, steady, TimingMode.ASRUN, is_finite=is_finite)
    parts = [part for part in estimate.phases.values() if part is not None]
    assert sum(part.value for part in parts) == pytest.approx(estimate.total.value, rel=1e-9, abs=1e-12)


def table(ns: NDArray[np.int64], phases: list[Phase]) -> StepTable:
    """Steps of 10 images from nanoseconds of shape (steps, phases)."""
    n = len(ns)
    zero, ten = np.zeros(n, np.int64), np.full(n, 10)
    return StepTable(
        zero,
        np.arange(n),
        zero > 0,
        ten,
        np.ones(n),
        zero,
        zero,
        ns.sum(axis=1),
        dict(zip(phases, ns.T, strict=True)),
        zero,
    )
