from dataclasses import replace

import pytest

from epoch_gap.profiler.analysis.stats import Estimate, mean_of_processes
from epoch_gap.profiler.comparison.gap import measure_gap
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.noise_floor_store import NoiseFloor
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports import formats
from epoch_gap.reports.terminal.comparison import comparison_table
from tests.helpers.runs import MakeRun, with_materialize

STEADY = [1.0, 1.01, 0.99, 1.0, 1.01, 0.99, 1.0, 1.01, 0.99, 1.0]


def shown(a: Run, b: Run, floor: NoiseFloor | None = None) -> list[str]:
    sides = Subject.from_runs([a], id="a", side="A"), Subject.from_runs([b], id="b", side="B")
    gap = replace(measure_gap(sides[1], sides[0]), floor=floor.share if floor else None)
    return comparison_table(*sides, gap, floor).splitlines()


def row(lines: list[str], phase: str) -> str:
    return next(line for line in lines if line.startswith(f"{phase} "))


def test_phases_that_one_side_did_not_measure_are_excluded_and_the_rest_sums_to_the_gap(make_run: MakeRun) -> None:
    """A's evaluation is in no total of the table: B was interrupted before its own."""
    lines = shown(make_run([2.0] * 20, evaluation=[50.0]), make_run([1.0] * 20, status="interrupted"))
    epoch = row(lines, "epoch")
    assert "21.3 s" in epoch
    assert "10.9 s" in epoch
    assert f"{formats.seconds(10.9 - 21.3)} " in epoch
    assert any("without evaluate, not measured on both sides" in line for line in lines)
    assert any(line.startswith("B: faster") for line in lines)


@pytest.mark.parametrize(("half", "word"), [(0.1, "faster"), (9.0, "undecided")])
def test_a_difference_that_may_be_0_is_not_called_faster_either(make_run: MakeRun, half: float, word: str) -> None:
    """The ratio's interval alone excludes 1."""
    a, b = (
        Subject.from_runs([make_run(STEADY)], id="a", side="A"),
        Subject.from_runs([make_run([0.5 * s for s in STEADY])], id="b", side="B"),
    )
    found = measure_gap(b, a)
    wide = replace(found, seconds=Estimate(found.seconds.value, (half / 2) ** 2, 1e6))
    assert any(line.startswith(f"B: {word}: ") for line in comparison_table(a, b, wide, None).splitlines())


def test_a_clear_difference_reads_as_percent_and_an_undecided_one_as_a_tilde(make_run: MakeRun) -> None:
    a, b = make_run(STEADY), make_run([1.5 * s for s in STEADY])
    assert row(shown(a, b), "forward").endswith("+50.0 %")
    assert row(shown(b, a), "backward").endswith(f"{formats.percent(1 / 1.5 - 1)}")
    alike = shown(a, make_run(STEADY[::-1]))
    assert [row(alike, name).split()[-1] for name in ("forward", "backward", "epoch")] == ["~", "~", "~"]
    assert any(line.startswith("~ undecided") for line in alike)


def test_an_epochs_difference_below_the_noise_floor_is_undecided(make_run: MakeRun) -> None:
    floor = NoiseFloor("fake", "cpu", 10, "cifar10", 0.6, 1.0, "equal", 4, "2026-11-24")
    lines = shown(make_run(STEADY), make_run([1.5 * s for s in STEADY]), floor)
    assert row(lines, "epoch").endswith("~")
    assert any("noise floor is \N{PLUS-MINUS SIGN}60.0 %" in line for line in lines)
    assert any(line.startswith("~ undecided") and line.endswith("within the noise floor") for line in lines)


def test_a_half_width_is_half_of_a_skewed_interval(make_run: MakeRun) -> None:
    """Few long steps carry the mean: their intervals are lopsided."""
    side = Subject.from_runs(
        [make_run([*STEADY, *STEADY, *STEADY, 3.0, *STEADY], full_epoch={"train_images": 50_000})], id="a", side="A"
    )
    i = side.epoch.interval(Phase.BACKWARD)
    assert i is not None
    assert i.low is not None
    assert i.high is not None
    assert i.high - i.value > 1.05 * (i.value - i.low)
    cells = row(shown(side.first, side.first), "backward")
    assert formats.percent((i.high - i.low) / 2 / i.value) in cells
    assert formats.percent((i.high - i.value) / i.value) not in cells


def test_repeats_without_a_phase_have_the_interval_of_their_own_epochs_without_it(make_run: MakeRun) -> None:
    """A slow process is slow in all phases: its evaluation adds no information to its training."""
    factors = (1.0, 1.1, 0.95, 1.05)
    a = [make_run([f * s for s in STEADY], evaluation=[30 * f, 30 * f]) for f in factors]
    b = [make_run([2 * f * s for s in STEADY], config={"label": "b"}, status="interrupted") for f in factors]
    sides = Subject.from_runs(a, id="a", side="A"), Subject.from_runs(b, id="b", side="B")
    found = measure_gap(sides[1], sides[0])
    assert found.excluded == (Phase.EVALUATE,)
    i = mean_of_processes(e.without(found.excluded).total.value for e in sides[0].any_epoch).interval()
    assert i.low is not None
    assert i.high is not None
    epoch = row(comparison_table(*sides, found, None).splitlines(), "epoch")
    assert formats.percent((i.high - i.low) / 2 / i.value) in epoch


def test_the_columns_are_aligned_and_each_side_shows_its_n(make_run: MakeRun) -> None:
    lines = shown(make_run(STEADY), make_run([150 * s for s in STEADY]))
    assert lines[0].endswith("n = 1 process, 9 steps")
    table = lines[lines.index("") + 1 :]
    assert len({len(line) for line in table[: table.index("")]}) == 1


def test_different_machines_give_a_warning_on_the_first_line(make_run: MakeRun) -> None:
    machine = {"cpu": "other CPU", "cores_usable": 8, "system": "Test 1"}
    a, b = make_run(STEADY), make_run(STEADY, environment={"machine": machine})
    assert shown(a, b)[0] == (
        "WARNING: A and B ran on different machines: A on test CPU, 2 cores, Test; B on other CPU, 8 cores, Test; "
        "the difference may be due to the machines"
    )
    assert shown(a, a)[0].startswith("A  ")


def test_a_phase_that_only_one_side_has_reads_na_and_has_no_change(make_run: MakeRun) -> None:
    lazy = with_materialize(make_run(STEADY))
    cells = row(shown(make_run(STEADY), lazy), "materialize").split()
    assert cells[1] == "n/a"
    assert cells[-1] == "s", "the interval is the last cell"


def test_a_step_in_which_the_process_was_suspended_is_mentioned(make_run: MakeRun) -> None:
    """It widens the interval until 30 % more are not shown, so it must not be passed over in silence."""
    slower = [1.3 * s for s in STEADY]
    lines = shown(make_run(STEADY), make_run([*slower, 3.3, *slower]))
    assert any(
        line.startswith("B  outliers: 1 of 20 steps; the largest 3.30 s, the mean without 1.30 s") for line in lines
    )
    assert not any(line.startswith("A  outliers") for line in lines)
