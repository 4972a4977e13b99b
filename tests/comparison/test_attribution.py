"""Known truth: a scripted fake on a clock that only its busy-waits move."""

from pathlib import Path

import pytest

from epoch_gap.profiler.analysis.epoch import NS
from epoch_gap.profiler.analysis.run_analysis import analyse_run
from epoch_gap.profiler.analysis.stats import mean
from epoch_gap.profiler.comparison.gap import measure_gaps
from epoch_gap.profiler.comparison.subject import Subject, group_runs
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports.export.summary import summarise
from epoch_gap.workloads.adapters.fake import parse_costs
from tests.helpers.fake_training import COSTS, scripted_run


def subject(*runs: Run) -> Subject:
    return group_runs(runs)[0]


def test_a_lazy_step_is_charged_where_it_waits_and_fences_show_where_it_works(tmp_path: Path) -> None:
    lazy = subject(scripted_run(tmp_path, lazy=True))
    assert lazy.fenced is not None
    for phase, ms in parse_costs(COSTS).items():
        if phase in (Phase.EPOCH_START, Phase.EVALUATE):
            continue
        done = lazy.fenced.epoch.phases[phase]
        assert done is not None
        assert done.value == pytest.approx(10.4 * ms / 1000, rel=0.03)
    assert lazy.fence_effect is not None
    found = [(shift.done_in, shift.charged_to, round(shift.seconds, 3)) for shift in lazy.fence_effect.shifted_work]
    assert found == [(Phase.BACKWARD, Phase.STEP, 0.02), (Phase.FORWARD, Phase.MATERIALIZE, 0.01)]
    assert lazy.fence_effect.perturbation.value == pytest.approx(1, abs=0.01)


def test_the_flush_is_scaled_by_the_steps_that_caused_it(tmp_path: Path) -> None:
    """3 ms per full step: as-run steps leave it to the flush, fenced ones do it themselves."""
    costs = "forward=10,backward=20,step=6,flush=3"
    for fence, steps, left in (("none", 40, 40), ("alternate", 39, 4)):
        run = scripted_run(tmp_path, lazy=True, fence=fence, costs=costs, images=10 * steps)
        assert run.epochs[0].durations[Phase.FLUSH] == pytest.approx(left * 3_000_000, rel=0.03)
        flush = subject(run).epoch.phases[Phase.FLUSH]
        assert flush is not None
        assert flush.value == pytest.approx(10.4 * 0.003, rel=0.03)
    fenced = subject(run).fenced
    assert fenced is not None
    assert fenced.epoch.phases[Phase.FLUSH] is None
    step = fenced.epoch.phases[Phase.STEP]
    assert step is not None
    assert step.value == pytest.approx(10.4 * 0.009, rel=0.03)


def test_a_flush_without_a_wait_is_unknown_and_not_0(tmp_path: Path) -> None:
    """The sample ends with a fenced step, or just after one."""
    costs = "forward=10,backward=20,step=6,flush=3"
    for steps in (21, 22):
        lazy = subject(scripted_run(tmp_path, lazy=True, costs=costs, images=10 * steps))
        eager = subject(scripted_run(tmp_path, lazy=False, costs="forward=5,backward=5"))
        assert lazy.epoch.phases[Phase.FLUSH] is None
        gap = measure_gaps([lazy, eager])[0]
        assert gap.excluded == (Phase.FLUSH,)
        assert Phase.FLUSH not in gap.by_phase
    known = subject(scripted_run(tmp_path, lazy=True, costs=costs, images=390))
    assert measure_gaps([known, eager])[0].excluded == ()


def test_on_an_eager_device_the_timing_modes_agree(tmp_path: Path) -> None:
    eager = subject(scripted_run(tmp_path, lazy=False))
    assert eager.fence_effect is not None
    assert eager.fence_effect.shifted_work == ()
    assert all(abs(e.value) < 0.001 for e in eager.fence_effect.by_phase.values())


def test_totals_are_of_as_run_steps_and_the_split_of_fenced_ones(tmp_path: Path) -> None:
    lazy, plain = scripted_run(tmp_path, lazy=True), scripted_run(tmp_path, lazy=True, fence="none")
    by_id = {s["id"]: s for s in summarise(group_runs([lazy, plain]), [], [])["subjects"]}
    alternated, asrun = (by_id[f"fake-lazy {fence}-1-cpu"] for fence in ("alternate", "none"))
    assert alternated["epoch_seconds"]["value"] == pytest.approx(asrun["epoch_seconds"]["value"], rel=1e-3)
    for mode in ("asrun", "fenced"):
        parts = [part["seconds"] for part in alternated["phases"][mode].values() if part]
        assert sum(parts) == pytest.approx(alternated["epoch_seconds"]["value"], rel=0.01)
    assert asrun["phases"]["fenced"] is asrun["perturbation"] is None
    assert asrun["steps"]["fenced"] == 0 < alternated["steps"]["fenced"]


def test_the_steady_step_shown_is_that_of_as_run_steps(tmp_path: Path) -> None:
    run = scripted_run(tmp_path, lazy=True)
    analysis = analyse_run(run)
    assert analysis.warm_up.steady == mean(analysis.asrun.steady.wall_ns * NS)
    assert len(analysis.asrun.steady) < len(run.train) - analysis.warm_up.steps


def test_the_gap_sums_in_each_timing_mode(tmp_path: Path) -> None:
    slow = scripted_run(tmp_path, lazy=True, costs="forward=30,backward=80,step=5")
    fast = scripted_run(tmp_path, lazy=False)
    gap = measure_gaps(group_runs([slow, fast]))[0]
    assert gap.fenced is not None
    for side in (gap, gap.fenced):
        assert sum(e.value for e in side.by_phase.values()) == pytest.approx(side.seconds.value, rel=1e-9)
    assert gap.by_phase[Phase.BACKWARD].value < 0 < gap.fenced.by_phase[Phase.BACKWARD].value


def test_a_run_of_fenced_steps_alone_has_no_totals(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="as-run ones"):
        group_runs([scripted_run(tmp_path, lazy=True, fence="all")])
