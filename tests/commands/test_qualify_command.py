"""`qualify` on the scripted fake, whose truth is its script, in this process and on a scripted clock."""

from pathlib import Path

import pytest

from epoch_gap.profiler.commands import qualify
from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.comparison.qualification import measure_rates
from epoch_gap.profiler.storage.qualification_store import QUALIFICATION_JSON, Qualification, load_qualifications
from epoch_gap.profiler.storage.reader import find_runs, read_run
from tests.helpers.in_process import Rounds, on_one_clock

COSTS = "fetch=1,collate=1,forward=10,backward=10,step=4,metrics=1"
SIZE = ["--data", "synthetic", "--batch-size", "10", "--train-limit", "200", "--test-limit", "20"]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EPOCH_GAP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "runs"


def run_qualify(runs: Path, *words: str) -> int:
    common = ["--framework", "fake", *SIZE, "--fake-costs", COSTS, "--quiet", "--runs-dir", str(runs)]
    return main(["qualify", *common, *words])


def stored(runs: Path) -> Qualification:
    ((found,),) = [list(of_machine.values()) for of_machine in load_qualifications(runs).values()]
    return found


def test_without_noise_the_planted_share_is_what_is_measured(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on_one_clock(monkeypatch)
    monkeypatch.setattr(qualify, "run_rounds", Rounds())
    assert run_qualify(runs, "--comparisons", "2", "--slowdowns", "5,20", "--repeats", "2") == 0
    found = stored(runs)
    assert [trial.slowdown for trial in found.trials] == [0.0, 0.05, 0.2] * 2
    assert [trial.planted for trial in found.trials] == pytest.approx([0.0, 0.05, 0.2] * 2, abs=1e-3)
    assert [trial.ratio for trial in found.trials] == pytest.approx([1.0, 1.05, 1.2] * 2, abs=2e-3)
    assert (found.framework, found.batch_size, found.phase) == ("fake", 10, "forward")
    assert (found.rounds, found.steps) == (2, 8)
    printed = capsys.readouterr().out
    assert "found a slowdown of 5 % in 2 of 2" in printed
    assert "0 false alarms in 2 no-op comparisons" in printed


@pytest.mark.parametrize("seed", range(2))
def test_with_noise_the_gate_is_never_red_without_a_slowdown_and_finds_10_percent(
    runs: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    on_one_clock(monkeypatch, seed=20261129 + seed, spread=0.01)
    monkeypatch.setattr(qualify, "run_rounds", Rounds())
    assert run_qualify(runs, "--comparisons", "3", "--slowdowns", "10", "--repeats", "3") == 0
    no_op, ten = measure_rates(stored(runs), 0.02, None)
    assert (no_op.failed, no_op.trials) == (0, 3)
    assert (ten.failed, ten.trials) == (3, 3)


def test_a_lazy_framework_is_slowed_down_where_nothing_overlaps(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_one_clock(monkeypatch)
    monkeypatch.setattr(qualify, "run_rounds", Rounds())
    words = ["--comparisons", "1", "--slowdowns", "10", "--repeats", "2", "--fake-lazy", "--fake-overlap", "0.4"]
    assert run_qualify(runs, *words) == 0
    assert stored(runs).phase == "metrics"
    assert stored(runs).trials[1].ratio == pytest.approx(1.1, abs=5e-3)


def test_no_two_comparisons_share_a_process_and_reports_do_not_select_them(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_one_clock(monkeypatch)
    monkeypatch.setattr(qualify, "run_rounds", Rounds())
    assert run_qualify(runs, "--comparisons", "2", "--slowdowns", "10", "--repeats", "2") == 0
    assert find_runs(runs) == []
    sessions = [read_run(path).manifest.session for path in find_runs(runs / qualify.FOLDER)]
    assert len(sessions) == 2 * 2 * 4
    assert {sessions.count(session) for session in sessions} == {4}


@pytest.mark.parametrize(("status", "expected"), [(130, 130), (143, 143), (1, 2)])
def test_what_was_measured_before_the_end_is_stored(
    runs: Path, monkeypatch: pytest.MonkeyPatch, status: int, expected: int
) -> None:
    on_one_clock(monkeypatch)
    monkeypatch.setattr(qualify, "run_rounds", Rounds(end_at=3, status=status))
    assert run_qualify(runs, "--comparisons", "2", "--slowdowns", "10", "--repeats", "2") == expected
    assert [trial.slowdown for trial in stored(runs).trials] == [0.0, 0.1]


def test_a_damaged_file_is_refused_before_the_work(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rounds = Rounds()
    monkeypatch.setattr(qualify, "run_rounds", rounds)
    runs.mkdir()
    (runs / QUALIFICATION_JSON).write_text("{")
    assert run_qualify(runs) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert rounds.calls == 0


@pytest.mark.parametrize("words", [["--steps", "5"], ["--seconds", "5"], ["--epochs", "2"]])
def test_a_fixed_length_is_refused(runs: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert run_qualify(runs, *words) == 2
    assert capsys.readouterr().err.startswith(f"error: {words[0]}: rounds end by a rule of their own")
    assert not runs.exists()


@pytest.mark.parametrize("text", ["0", "5,-1", "five", ""])
def test_a_slowdown_that_is_none_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["qualify", "--slowdowns", text])
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("error: argument --slowdowns: ")
