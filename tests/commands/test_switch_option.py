"""`--switch`: what a run with it stores, and what refuses it."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from epoch_gap.profiler.commands import noise, profile
from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.commands.shared.run_selection import add_latest_candidates
from epoch_gap.profiler.comparison.fairness import audit_fairness
from epoch_gap.profiler.comparison.identity import subject_id
from epoch_gap.profiler.comparison.subject import group_runs
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.artifacts import find_artifacts, read_json_artifact
from epoch_gap.profiler.storage.reader import find_runs, read_run
from epoch_gap.workloads.experiments import find_experiments
from tests.helpers.command_line import SMALL, fake_run
from tests.helpers.processes import start_profiler

LAZY_ONLY = ["no_loss_eval", "loss_eval_after_backward"]
IN_PROCESS = [
    name
    for name, module in find_experiments().items()
    if hasattr(module, "apply") and "fake" in (module.EXPERIMENT.frameworks or ("fake",))
]


@pytest.mark.parametrize("name", IN_PROCESS)
def test_a_switch_is_in_the_manifest_the_identity_the_title_and_the_fairness_list(name: str, runs: Path) -> None:
    lazy = ["--fake-lazy"] if name in LAZY_ONLY else []
    assert fake_run(runs, *lazy) == 0
    assert fake_run(runs, *lazy, "--switch", name) == 0
    plain, switched = group_runs([read_run(path) for path in find_runs(runs)])
    words = name.replace("_", " ")
    assert switched.config.switches == (name,)
    assert plain.config.switches == ()
    assert switched.id == f"{plain.id}-{words.replace(' ', '-')}"
    assert switched.title == plain.title.replace("(cpu)", f"(cpu, {words})")
    items = {item.name: item for item in audit_fairness([plain, switched])}
    assert list(items["interventions (--switch)"].values.values()) == ["none", name]
    assert items["interventions (--switch)"].differs


def test_a_dose_and_several_switches_are_stored_as_they_were_given(runs: Path) -> None:
    assert fake_run(runs, "--switch", "planted:step=0.02", "--switch", "no_progress_bar") == 0
    (run,) = map(read_run, find_runs(runs))
    assert run.config.switches == ("planted:step=0.02", "no_progress_bar")
    assert subject_id(run.manifest) == "fake-1-cpu-planted:step=0.02-no-progress-bar"
    assert run.train.phase_ns[Phase.STEP].mean() / 1e6 == pytest.approx(21, rel=0.02)


def test_conditions_and_clocks_are_those_of_the_switch(runs: Path) -> None:
    switches = ["shared_initial_weights", "other_schedule", "collate_by_indexing"]
    assert fake_run(runs, *(word for name in switches for word in ("--switch", name))) == 0
    (run,) = map(read_run, find_runs(runs))
    conditions = run.framework.conditions
    assert conditions["initialisation"].startswith("shared")
    assert conditions["schedule"] == "StepLR(step_size=5, gamma=0.5)"
    assert "fancy index" in conditions["loader"]
    assert "fancy index" in run.framework.clocks["collate"]
    assert run.framework.clocks["forward"] == "busy-waits for its scripted milliseconds"


def test_a_report_shows_a_configuration_with_and_without_a_switch(runs: Path) -> None:
    assert fake_run(runs) == fake_run(runs, "--switch", "noop") == fake_run(runs, "--switch", "noop") == 0
    assert [run.path for run in add_latest_candidates([], runs)] == [find_runs(runs)[i] for i in (0, 2)]


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--framework", "fake", "--switch", "nonsense"],
        ["run", "--framework", "fake", "--switch", "no_loss_eval"],
        ["run", "--framework", "fake", "--switch", "kept_memory"],
        ["layers", "--framework", "fake", "--switch", "one_mx_eval"],
        ["profile", "--frameworks", "fake", "--switch", "nonsense"],
        ["profile", "--frameworks", "torch,fake", "--switch", "loss_by_item"],
        ["profile", "--frameworks", "torch,lucid", "--switch", "kept_memory"],
        ["profile", "--frameworks", "torch,lucid", "--device", "cpu", "--switch", "one_mx_eval"],
        ["profile", "--frameworks", "torch,lucid", "--switch", "planted", "--switch", "planted=1"],
        ["noise", "--framework", "torch", "--switch", "no_loss_eval"],
    ],
)
def test_a_switch_that_cannot_be_turned_on_ends_in_one_line_before_anything_is_stored(
    words: list[str], runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, *SMALL, "--runs-dir", str(runs)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not runs.exists()


def test_a_drilldown_with_a_switch_explains_only_runs_that_have_it(runs: Path) -> None:
    words = ["layers", "--framework", "fake", "--data", "synthetic", "--batch-size", "2", "--steps", "2", "--quiet"]
    assert main([*words, "--runs-dir", str(runs), "--switch", "noop"]) == 0
    (path,) = find_artifacts(runs, "layers.json", "layers-fake-")
    assert read_json_artifact(path)["switches"] == ["noop"]


@pytest.mark.skipif(sys.platform != "linux", reason="another BLAS")
def test_a_switch_that_needs_a_variable_restarts_the_process_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    words = ["run", "--framework", "fake", *SMALL, "--runs-dir", str(tmp_path), "--switch", "threads=1"]
    process = start_profiler(*words)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert errors.count("switches (OMP_NUM_THREADS=1") == 1
    (run,) = map(read_run, find_runs(tmp_path))
    assert run.manifest.environment.variables["OMP_NUM_THREADS"] == "1"
    assert {pool.num_threads for pool in run.manifest.environment.thread_pools} == {1}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The switches with which `profile` and `noise` would start each side's processes."""
    sides: dict[str, list[str]] = {}

    def start(
        arguments: Mapping[str, Sequence[str]], order: Sequence[str], allow_busy: bool
    ) -> tuple[int, list[Path]]:
        for name, words in arguments.items():
            sides[name] = [words[i + 1] for i, word in enumerate(words) if word == "--switch"]
        return 1, []

    for verb in (noise, profile):
        monkeypatch.setattr(verb, "run_session", start)
    return sides


def test_profile_turns_a_switch_on_in_every_framework_that_can_have_it(
    runs: Path, started: dict[str, list[str]]
) -> None:
    switches = ["noop", "planted:step=0.01", "torch_convolution", "no_loss_eval", "one_mx_eval"]
    words = [word for name in switches for word in ("--switch", name)]
    common = [*SMALL, "--runs-dir", str(runs), "--out", str(runs.parent / "out")]
    assert main(["profile", "--frameworks", "torch,lucid,mlx", *words, *common]) == 1
    assert started == {
        "torch": ["noop", "planted:step=0.01"],
        "lucid": switches,
        "mlx": ["noop", "planted:step=0.01", "no_loss_eval"],
    }
    assert main(["profile", "--frameworks", "torch,lucid", "--device", "cpu", *words[:6], *common]) == 1
    assert started["lucid"] == switches[:3]


def test_noise_has_its_switches_on_both_sides(runs: Path, started: dict[str, list[str]]) -> None:
    words = ["noise", "--framework", "fake", "--switch", "noop", "--switch", "threads=2"]
    assert main([*words, *SMALL, "--runs-dir", str(runs)]) == 1
    assert started == {side: ["noop", "threads=2"] for side in noise.SIDES}
