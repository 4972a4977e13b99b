"""Speed-up, efficiency, and what the lost efficiency is made of, against known epochs."""

import pytest

from epoch_gap.profiler.distributed.communication import WAIT
from epoch_gap.profiler.distributed.scaling import (
    mean_epoch_of_ranks,
    mean_of_repeats,
    measure_scaling,
)
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import Phase
from epoch_gap.reports.scaling import loss_rows, scaling_rows
from tests.helpers.scaling import ALONE, TWO, epoch, point


def test_efficiency_is_the_ideal_over_the_measured_epoch() -> None:
    _, scaled = measure_scaling([ALONE, TWO])
    assert scaled.ideal == 50
    assert scaled.speedup.value == pytest.approx(100 / 60)
    assert scaled.efficiency.value == pytest.approx(50 / 60)
    assert scaled.efficiency.low is not None
    assert scaled.efficiency.low < 50 / 60


def test_the_loss_is_the_sum_of_its_phases() -> None:
    _, scaled = measure_scaling([ALONE, TWO])
    values = {phase: lost.value for phase, lost in scaled.lost_by_phase.items()}
    assert values == {Phase.FORWARD: pytest.approx(2), Phase.BACKWARD: pytest.approx(0), WAIT: pytest.approx(8)}
    assert sum(values.values()) == pytest.approx(scaled.lost.value)


def test_the_baseline_has_lost_nothing() -> None:
    base, _ = measure_scaling([ALONE, TWO])
    assert (base.efficiency.value, base.lost.value) == (1, 0)


def test_one_rank_against_one_process_alone_is_the_overhead_of_the_distributed_training() -> None:
    one = point(1, epoch(forward=41.0, backward=62.0, communication=1.0))
    _, scaled = measure_scaling([ALONE, one])
    assert scaled.lost.value == pytest.approx(4)


def test_a_baseline_of_several_ranks_is_refused() -> None:
    with pytest.raises(UserError, match="a training of one process to compare with"):
        measure_scaling([TWO])


def test_the_mean_over_ranks_and_over_repeats() -> None:
    other = epoch(forward=26.0, backward=34.0)
    ranks = mean_epoch_of_ranks([TWO.epoch, other])
    parts = {phase: part.value for phase, part in ranks.phases.items() if part is not None}
    assert parts == {Phase.FORWARD: 24, Phase.BACKWARD: 32, WAIT: 4}
    assert ranks.total.value == pytest.approx(60)
    repeats = mean_of_repeats([TWO.epoch, other])
    assert repeats.total.value == pytest.approx(60)
    assert repeats.total.dof == 1


def test_the_tables_show_every_point_and_all_that_was_lost() -> None:
    points = measure_scaling([ALONE, TWO])
    rows = scaling_rows(points)
    assert [row[0] for row in rows] == ["", "alone", "2 ranks"]
    assert rows[2][2] == "64 x 2"
    lost = loss_rows(points)
    assert lost[0] == ["lost per epoch", "2 ranks"]
    assert [row[0] for row in lost[1:]] == ["forward", "wait", "all"]
    assert all("+" in row[1] and " to " in row[1] for row in lost[1:]), "each with its interval"
