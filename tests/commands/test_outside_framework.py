"""Verbs with an adapter from outside: its runs are named, reported without it, and refused what they lack."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from epoch_gap.profiler.commands import gate, noise, qualify
from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.commands.shared import side_drilldowns
from epoch_gap.profiler.commands.shared.experiment_plan import frameworks_needed
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.artifacts import find_artifacts, store_artifacts
from epoch_gap.profiler.storage.reader import find_runs, read_run
from epoch_gap.workloads.experiments import find_experiments
from tests.helpers.command_line import SMALL, fake_run

NAME = "constant:Constant"


def run(runs: Path, name: str, *more: str) -> int:
    return main(["run", "--framework", name, *SMALL, "--quiet", "--runs-dir", str(runs), *more])


def test_a_run_is_named_after_the_adapter_and_read_without_it(
    runs: Path, outside: Path, capsys: pytest.CaptureFixture[str], blank_pictures: None
) -> None:
    assert run(runs, NAME) == 0
    assert fake_run(runs) == 0
    for file in outside.glob("*.py"):
        file.unlink()
    first, _ = find_runs(runs)
    stored = read_run(first)
    assert re.fullmatch(r"\d{8}T\d{6}\.\d{3}Z-constant_Constant-cpu-[0-9a-f]{6}", first.name)
    assert (stored.config.framework, stored.framework.name, stored.framework.title) == (NAME, NAME, "Constant")
    assert Phase("loss_and_gradients") in stored.train.phase_ns
    assert (sum(stored.train.phase_ns.values()) == stored.train.wall_ns).all()

    out = runs.parent / "out"
    assert main(["report", "--runs-dir", str(runs), "--out", str(out)]) == 0
    assert "Constant 3.1 (cpu)" in capsys.readouterr().out
    summary = json.loads((out / "summary.json").read_text())
    subject = next(subject for subject in summary["subjects"] if subject["framework"] == NAME)
    assert subject["id"] == "constant:Constant-3.1-cpu"
    assert subject["phases"]["asrun"]["forward"] is None
    assert subject["phases"]["asrun"]["loss_and_gradients"]["seconds"] > 0
    page = (out / "index.html").read_text()
    assert "Constant.loss_and_gradients()" in page

    for words in (["show", first.name], ["list"], ["history", "--framework", NAME, "--out", str(runs.parent / "h")]):
        assert main([*words, "--runs-dir", str(runs)]) == 0
    capsys.readouterr()
    assert main(["history", "--framework", "unknown:Class", "--runs-dir", str(runs)]) == 2
    assert capsys.readouterr().err.startswith("error: no run of unknown:Class with a full training step")


@pytest.mark.usefixtures("outside", "blank_pictures")
def test_profile_trains_adapters_in_processes_of_their_own_and_reports_the_gap(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = runs.parent / "out"
    names = [NAME, "constant:Splitting"]
    stores = ["--runs-dir", str(runs), "--out", str(out)]
    assert main(["profile", "--frameworks", ",".join(names), *SMALL, "--quiet", *stores]) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert sorted(subject["framework"] for subject in summary["subjects"]) == sorted(names)
    (gap,) = summary["gaps"]
    assert sum(phase["value"] for phase in gap["by_phase"]["asrun"].values()) == pytest.approx(
        gap["seconds"]["value"]
    )
    a, b = (path.name for path in find_runs(runs))
    capsys.readouterr()
    assert main(["compare", a, b, "--runs-dir", str(runs), "--format", "json"]) == 0
    compared = json.loads(capsys.readouterr().out)
    assert {compared["a"]["framework"], compared["b"]["framework"]} == {*names}


@pytest.mark.parametrize(
    ("verb", "function"), [(gate, "run_rounds"), (qualify, "run_rounds"), (noise, "run_session")]
)
def test_verbs_with_processes_pass_the_adapter_on(
    verb: ModuleType, function: str, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides: list[Sequence[str]] = []

    def run_nothing(arguments: Mapping[str, Sequence[str]], *more: Any, **named: Any) -> tuple[int, list[Path]]:
        sides.extend(arguments.values())
        return 2, []

    monkeypatch.setattr(verb, function, run_nothing)
    words = ["--framework", NAME, *SMALL[:-2], "--quiet", "--runs-dir", str(runs)]
    assert main([verb.__name__.rpartition(".")[2], *words]) == 2
    assert [list(words[:2]) for words in sides] == [["--framework", NAME]] * 2


@pytest.mark.usefixtures("outside")
def test_a_side_without_layer_timings_is_a_problem_of_its_drill_downs(runs: Path) -> None:
    assert run(runs, NAME) == 0
    subject = Subject.from_runs([read_run(path) for path in find_runs(runs)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(side_drilldowns, "run_layers", lambda python, words: (main(["layers", *words]), ""))
        found = side_drilldowns.time_sides((subject, subject), ("python", "python"), runs)
    assert found.problems == (
        "A: its layers could not be timed (status 2)",
        "B: its layers could not be timed (status 2)",
    )


def test_experiments_of_an_adapter_use_the_computing_frameworks() -> None:
    experiments = [module.EXPERIMENT for module in find_experiments().values()]
    assert frameworks_needed(experiments, NAME) == frameworks_needed(experiments, "lucid")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["run", "--framework", NAME, "--checkpoint"], "--checkpoint: Constant writes none: its adapter does not"),
        (["layers", "--framework", NAME], "layers and operators of Constant cannot be timed: its adapter does not"),
        (["parity", "--frameworks", f"{NAME},{NAME}"], "the training of Constant cannot be compared: its adapter"),
        (["run", "--framework", NAME, "--switch", "collate_by_indexing"], "--switch collate_by_indexing: not for"),
        (["run", "--framework", NAME, "--switch", "planted"], f"--switch planted: {NAME} cannot be delayed in forw"),
        (["profile", "--frameworks", f"fake,{NAME}s"], f"{NAME}s: constant has no class Constants"),
        (["lines", "--framework", NAME], f"no sampled stacks of {NAME}; run `python -m profiler flame --framework"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
@pytest.mark.usefixtures("outside")
def test_what_an_adapter_lacks_is_refused_in_one_line(
    words: list[str], line: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--data", "synthetic", "--batch-size", "4", "--runs-dir", str(runs)]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith(f"error: {line}")
    assert errors.count("\n") == 1
    assert find_runs(runs) == []


@pytest.mark.usefixtures("outside")
def test_a_checkpoint_and_a_compiled_step_of_an_adapter_are_stored(runs: Path) -> None:
    assert run(runs, "constant:Splitting", "--checkpoint", "--compile") == 0
    (path,) = find_runs(runs)
    assert (path / "weights.npy").is_file()
    stored = read_run(path)
    assert Phase.COMPILED in stored.train.phase_ns
    assert stored.framework.conditions["compiles_in_first_step"] is True
    assert stored.framework.conditions["layer_timings"] is False


def test_a_drill_down_of_an_adapter_is_found_by_its_name(tmp_path: Path) -> None:
    folder = store_artifacts(tmp_path, f"flame-{NAME}-cpu", {"hot.txt": "x"})
    assert ":" not in folder.name
    assert find_artifacts(tmp_path, "hot.txt", f"flame-{NAME}-") == [folder / "hot.txt"]
