"""Which timing mode leads: where the work was done if a side charges much of it elsewhere, otherwise as charged."""

from dataclasses import replace
from pathlib import Path

from epoch_gap.profiler.comparison.gap import Gap, Verdict, measure_gap
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.comparison.timing_modes import (
    charged_phases,
    is_where_work_was_done,
    leading_gap,
    modes_agree,
)
from epoch_gap.profiler.phases import Phase
from tests.helpers.fake_training import scripted_run

SLOW, FAST = "forward=30,backward=80,step=5", "forward=3,backward=8,step=5"


def gap(folder: Path, lazy: bool, costs: str = SLOW, fence: str = "alternate") -> Gap:
    slow = scripted_run(folder / "slow", lazy=lazy, costs=costs, fence=fence)
    fast = scripted_run(folder / "fast", lazy=False, costs=FAST, fence=fence)
    return measure_gap(*(Subject.from_runs([run]) for run in (slow, fast)))


def test_shifted_work_puts_the_fenced_gap_first(tmp_path: Path) -> None:
    lazy = gap(tmp_path, lazy=True)
    assert leading_gap(lazy) is lazy.fenced
    assert is_where_work_was_done(lazy)
    assert charged_phases(lazy.slow, Phase.BACKWARD) == [Phase.STEP]
    assert charged_phases(lazy.fast, Phase.BACKWARD) == []


def test_modes_that_agree_leave_the_gap_as_charged_and_name_the_work(tmp_path: Path) -> None:
    eager = gap(tmp_path, lazy=False)
    assert leading_gap(eager) is eager
    assert is_where_work_was_done(eager)


def test_without_fenced_steps_only_the_charge_is_known(tmp_path: Path) -> None:
    unfenced = gap(tmp_path, lazy=True, fence="none")
    assert leading_gap(unfenced) is unfenced
    assert not is_where_work_was_done(unfenced)


def test_an_undecided_gap_is_shown_as_charged(tmp_path: Path) -> None:
    lazy = gap(tmp_path, lazy=True)
    undecided = replace(lazy, floor=1e9)
    assert undecided.verdict is Verdict.UNDECIDED
    assert leading_gap(undecided) is undecided


def test_fences_in_the_first_round_only_are_no_timing_mode(tmp_path: Path) -> None:
    """A few fenced steps of one process would be compared with all processes, by noise."""
    runs = [scripted_run(tmp_path / fence, lazy=False, costs=FAST, fence=fence) for fence in ("alternate", "none")]
    subject = Subject.from_runs(runs)
    assert subject.is_eager
    assert (subject.fenced, subject.fence_effect) == (None, None)
    assert modes_agree(subject)
    assert not any(Subject.from_runs([run]).is_eager for run in runs)
