"""`gate` on the scripted fake: base and head are interpreters whose fakes have other costs."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from epoch_gap.profiler.commands import gate
from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.commands.shared import side_drilldowns
from epoch_gap.profiler.comparison.identity import machine_key
from epoch_gap.profiler.storage.artifacts import DRILLDOWNS, read_json_artifact
from epoch_gap.profiler.storage.manifest import Network
from epoch_gap.profiler.storage.qualification_store import Qualification, Trial, save_qualification
from epoch_gap.profiler.storage.reader import find_runs, read_run
from tests.helpers.in_process import Rounds, on_one_clock, run_layers
from tests.helpers.processes import store_interpreter

SIZE = ["--data", "synthetic", "--batch-size", "10", "--train-limit", "200", "--test-limit", "20"]
COSTS = "fetch=1,collate=1,forward=10,backward=20,step=4,metrics=1"
SLOWER = COSTS.replace("backward=20", "backward=26")
"""17 % of a step"""

pytestmark = pytest.mark.usefixtures("blank_pictures")
Gate = Callable[..., int]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def run_gate(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """The verb, with the costs of the head."""
    monkeypatch.setenv("EPOCH_GAP_CACHE", str(tmp_path / "cache"))
    on_one_clock(monkeypatch, seed=20261129, spread=0.005)
    pythons = {side: str(store_interpreter(tmp_path / side)) for side in ("base", "head")}
    monkeypatch.setattr(side_drilldowns, "run_layers", run_layers)

    def run(head: str, *words: str, rounds: Rounds | None = None) -> int:
        script = {pythons["base"]: ["--fake-costs", COSTS], pythons["head"]: ["--fake-costs", head]}
        monkeypatch.setattr(gate, "run_rounds", rounds or Rounds(script))
        sides = [word for side, python in pythons.items() for word in (f"--{side}", python)]
        common = ["--framework", "fake", *SIZE, "--repeats", "3", "--quiet", "--runs-dir", str(runs)]
        return main(["gate", *common, *sides, *words])

    return run


def test_a_slower_head_fails_and_the_layers_of_both_sides_are_attached(
    run_gate: Gate, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_gate(SLOWER, "--format", "md") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("**Gate failed:** B is at least ")
    assert any(line.startswith("- backward of fc: +") for line in lines)
    assert any(line.startswith("- backward of linear: +") for line in lines)
    assert len(list((runs / gate.FOLDER / DRILLDOWNS).glob("*/layers.json"))) == 2
    assert find_runs(runs) == [], "reports do not select these runs"


def test_the_layers_of_both_sides_are_those_of_the_network_that_was_compared(run_gate: Gate, runs: Path) -> None:
    assert run_gate(SLOWER, "--model", "lenet5", "--image-size", "40") == 1
    stored = [read_json_artifact(path) for path in (runs / gate.FOLDER / DRILLDOWNS).glob("*/layers.json")]
    assert [drilldown["network"] for drilldown in stored] == [{"model": "lenet5", "image_size": 40}] * 2
    runs_of_gate = [read_run(path) for path in find_runs(runs / gate.FOLDER)]
    assert {run.config.network for run in runs_of_gate} == {Network("lenet5", 40)}


def test_an_equal_head_passes_and_nothing_else_is_timed(
    run_gate: Gate, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_gate(COSTS) == 0
    assert "gate: not shown to be more than 2 % slower" in capsys.readouterr().out
    assert not (runs / gate.FOLDER / DRILLDOWNS).exists()


def test_base_and_head_take_turns_in_one_session_under_their_names(run_gate: Gate, runs: Path) -> None:
    assert run_gate(COSTS) == 0
    manifests = [read_run(path).manifest for path in find_runs(runs / gate.FOLDER)]
    sides = ["base", "head", "head", "base", "base", "head"]
    assert [manifest.config.label for manifest in manifests] == [f"fake {side}" for side in sides]
    assert len({manifest.session for manifest in manifests}) == 1


def test_an_allowance_and_no_drill_down_are_obeyed(run_gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_gate(SLOWER, "--fail-above", "25") == 0
    capsys.readouterr()
    assert run_gate(SLOWER, "--no-drill-down") == 1
    assert "Layers" not in capsys.readouterr().out


def test_json_has_the_decision_the_gap_and_the_parts(run_gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_gate(SLOWER, "--format", "json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "slower"
    assert (found["gate"]["decision"], found["gate"]["allowed"]) == ("failed", 0.02)
    assert found["gate"]["qualification"] is None
    assert found["gap"]["by_phase"]["asrun"]["backward"]["value"] == pytest.approx(0.006 * 5000, rel=0.05)
    part = found["layers"][0]
    assert (part["direction"], part["name"]) == ("backward", "fc")
    assert part["seconds_per_step"]["value"] == pytest.approx(0.006, rel=0.1)
    assert [side["runs"] for side in (found["a"], found["b"])] != [[], []]


def test_the_rates_of_this_machine_stand_beside_the_verdict(
    run_gate: Gate, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_gate(COSTS) == 0
    assert "`python -m profiler qualify` measures it" in capsys.readouterr().out
    manifest = read_run(find_runs(runs / gate.FOLDER)[0]).manifest
    trial = Trial(slowdown=0.1, planted=0.1, ratio=1.1, low=1.05, high=1.15, is_difference_clear=True)
    known = Qualification(
        framework="fake",
        version="1",
        device="cpu",
        batch_size=10,
        data="synthetic",
        phase="forward",
        rounds=3,
        steps=8,
        day="2026-11-29",
        trials=(trial,),
    )
    save_qualification(runs, machine_key(manifest), known)
    for form in ("text", "md"):
        assert run_gate(COSTS, "--format", form) == 0
        assert "found a slowdown of 10 % in 1 of 1" in capsys.readouterr().out


def test_a_page_has_the_layers_that_were_timed(run_gate: Gate, runs: Path, tmp_path: Path) -> None:
    assert run_gate(SLOWER, "--out", str(tmp_path / "out")) == 1
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"index.html", "summary.json", "explanation.md", "layers.png"} <= names
    assert "Layers with the largest differences" in (tmp_path / "out" / "explanation.md").read_text()


def test_sides_that_cannot_be_timed_are_named_and_the_gate_is_still_red(
    run_gate: Gate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(side_drilldowns, "run_layers", lambda python, words: (2, ""))
    assert run_gate(SLOWER) == 1
    printed = capsys.readouterr().out
    assert "Not timed:\n  A: its layers could not be timed (status 2)\n  B: its layers" in printed


@pytest.mark.parametrize(("status", "expected"), [(1, 2), (-9, 2), (2, 2), (130, 130), (143, 143)])
def test_a_side_that_crashed_is_no_slowdown(run_gate: Gate, status: int, expected: int) -> None:
    assert run_gate(COSTS, rounds=Rounds(end_at=1, status=status)) == expected


def test_a_missing_interpreter_and_a_fixed_length_are_refused_in_one_line(
    run_gate: Gate, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, text in ((["--head", "no-such-python"], "no interpreter"), (["--steps", "5"], "--steps: rounds end")):
        assert run_gate(COSTS, *words) == 2
        errors = capsys.readouterr().err
        assert text in errors
        assert errors.count("\n") == 1


def test_the_default_sides_are_this_interpreter(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, str] = {}

    def note(*arguments: object, pythons: dict[str, str]) -> tuple[int, list[Path]]:
        seen.update(pythons)
        return 130, []

    monkeypatch.setattr(gate, "run_rounds", note)
    assert main(["gate", "--framework", "fake", *SIZE, "--runs-dir", str(runs)]) == 130
    assert seen == {"base": sys.executable, "head": sys.executable}
