"""Flags from runs with known faults. `make_run` stores no readings; these tests add them."""

from dataclasses import replace

import numpy as np
import pytest

from epoch_gap.profiler.analysis.flags import Flag
from epoch_gap.profiler.analysis.run_analysis import analyse_run
from epoch_gap.profiler.comparison.subject import group_runs
from epoch_gap.profiler.machine.environment import ThreadPool
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports.export.summary import summarise
from tests.helpers.recorded import QUIET_READING, SECOND_NS, readings
from tests.helpers.runs import MakeRun, retimed


@pytest.fixture
def quiet(make_run: MakeRun) -> Run:
    run = make_run([1.0] * 30, environment={"machine": {"cpu": "c", "cores_logical": 2, "system": "Test 1"}})
    noise = 1 + 0.01 * np.random.default_rng(1).standard_normal(30)
    return replace(retimed(run, noise), readings=readings())


def flags(run: Run) -> tuple[Flag, ...]:
    return analyse_run(run).flags


def names(run: Run) -> list[str]:
    return [flag.kind for flag in flags(run)]


def drifted(run: Run) -> bool | None:
    return analyse_run(run).has_drifted


def cores_busy(run: Run) -> float | None:
    return analyse_run(run).cores_busy


def test_a_quiet_run_has_no_flag(quiet: Run) -> None:
    assert flags(quiet) == ()
    assert drifted(quiet) is False
    assert cores_busy(quiet) == pytest.approx(2.0)


def test_without_readings_drift_is_unknown(quiet: Run) -> None:
    run = replace(quiet, readings=())
    assert (drifted(run), cores_busy(run), flags(run)) == (None, None, ())


@pytest.mark.parametrize("part", ["matmul_ns", "loop_ns"])
def test_a_canary_that_slows_down_is_drift(quiet: Run, part: str) -> None:
    run = replace(quiet, readings=readings(**{part: getattr(QUIET_READING, part) * 1.05}))
    assert names(run) == ["machine drift"]
    assert drifted(run) is True
    assert "longer by 4.9%" in flags(run)[0].text
    assert summarise(group_runs([run]), [], [])["subjects"][0]["drifted"] is True


def test_a_canary_that_only_varies_is_flagged_as_unsteady_not_as_drift(quiet: Run) -> None:
    wild = tuple(replace(r, loop_ns=round(r.loop_ns * f)) for r, f in zip(readings(), [1, 1.1] * 3, strict=True))
    run = replace(quiet, readings=wild)
    assert names(run) == ["machine unsteady"]
    assert drifted(run) is False


@pytest.mark.parametrize(("end", "name"), [(1.05, "steps grow slower"), (0.95, "steps grow faster")])
def test_steps_that_change_over_the_run_are_flagged(quiet: Run, end: float, name: str) -> None:
    run = retimed(quiet, quiet.train.wall_ns / SECOND_NS * np.linspace(1, end, 30))
    assert name in names(run)
    assert drifted(run) is True


def test_memory_that_grows_with_every_step_is_flagged_with_its_rate(quiet: Run) -> None:
    growing = 10**9 + 5_000_000 * np.arange(30)
    run = replace(quiet, train=replace(quiet.train, rss_bytes=growing))
    assert names(run) == ["memory grows"]
    assert "5.0 MB per step" in flags(run)[0].text
    once = np.where(np.arange(30) < 1, 10**8, 10**9)
    assert names(replace(quiet, train=replace(quiet.train, rss_bytes=once))) == []


@pytest.mark.parametrize(
    ("change", "name", "figure"),
    [
        ({"steal_s": 10.0}, "CPU stolen", "10.0%"),
        ({"throttled": 4}, "throttled", "4 times"),
        ({"other_runs": 1}, "other runs", "1 other timed run at"),
    ],
)
def test_machine_conditions_are_flagged(quiet: Run, change: dict[str, float], name: str, figure: str) -> None:
    run = replace(quiet, readings=readings(**change))
    assert names(run) == [name]
    assert figure in flags(run)[0].text


def test_other_processes_are_flagged_by_the_cpu_time_that_they_used(quiet: Run) -> None:
    shared = tuple(replace(r, own_s=r.own_s * 0.8) for r in readings())
    assert names(replace(quiet, readings=shared)) == ["machine busy"]


def test_a_run_without_a_steady_state_is_flagged(quiet: Run) -> None:
    run = retimed(quiet, np.linspace(1, 1.3, 30) + quiet.train.wall_ns / SECOND_NS - 1)
    assert "no steady state" in names(run)


def test_a_forced_kernel_is_named_with_the_kernel_in_use(quiet: Run) -> None:
    environment = replace(
        quiet.manifest.environment,
        variables={"OPENBLAS_CORETYPE": "Haswell", "OMP_NUM_THREADS": "2"},
        thread_pools=(ThreadPool(internal_api="openblas", architecture="Haswell", num_threads=2),),
    )
    run = replace(quiet, manifest=replace(quiet.manifest, environment=environment))
    assert names(run) == ["kernels forced"]
    assert flags(run)[0].text == "the environment chooses kernels (OPENBLAS_CORETYPE=Haswell): openblas uses Haswell"
