"""Sessions on the scripted fake, whose truth is its script: costs in milliseconds, on a clock that only they move."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from epoch_gap.profiler.commands import experiment as experiment_command
from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.commands.shared import experiment_session
from epoch_gap.profiler.drilldown.layers import OPERATORS
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.experiments.assessment import NO_OP, load_assessments
from epoch_gap.profiler.experiments.interactions import measure_interaction
from epoch_gap.profiler.experiments.session import FILE
from epoch_gap.profiler.experiments.session_store import EXPERIMENTS, load_session
from epoch_gap.profiler.experiments.verdict import Verdict
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.artifacts import find_artifacts
from epoch_gap.profiler.storage.reader import find_runs, read_run
from epoch_gap.reports.experiments import describe_row
from epoch_gap.reports.sentences.experiments import describe_judgement, describe_phases, describe_prediction
from epoch_gap.reports.terminal.experiments import experiment_table
from epoch_gap.workloads import registry
from tests.helpers.experiments import COSTS, Faster, InProcess, experiment, newest, outcome, scripted

EPOCH_STEPS = 5000
"""50000 images in batches of 10"""


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EPOCH_GAP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(experiment_command, "report_runs", lambda *arguments: None)
    return tmp_path / "runs"


def per_epoch(ms: float) -> float:
    return ms / 1000 * EPOCH_STEPS


@pytest.mark.parametrize("seed", range(20))
def test_controls_are_classified_right_in_a_noisy_session(
    runs: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    with scripted(monkeypatch, seed=20261128 + seed, spread=0.01):
        assert experiment(runs, "noop", steps=96) == 0
    assessment = newest(runs)
    found = {o.forecast.name: o.judgement and o.judgement.verdict for o in assessment.controls}
    assert found == {"noop": Verdict.CONFIRMED, "planted": Verdict.CONFIRMED}
    assert assessment.withheld is None
    planted = outcome(assessment, "planted").effect
    assert planted is not None
    assert planted.changed.interval().excludes(0)
    assert not planted.unchanged.interval().excludes(per_epoch(0)) or seed  # some of 20 intervals miss


def test_an_undecided_control_is_measured_until_it_is_decided(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(monkeypatch, seed=11, spread=0.025):
        assert experiment(runs, "noop", steps=16) == 0
    control = outcome(newest(runs), "noop")
    assert len(control.runs) > 1
    assert control.effect is not None
    assert control.effect.pairs > 3  # a run of 16 steps has four groups, and the first warms up
    assert control.judgement is not None
    assert control.judgement.verdict is Verdict.CONFIRMED


def test_a_combination_is_tested_with_each_of_its_parts(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(monkeypatch):
        assert experiment(runs, "half_forward+forward_less", "longer_step") == 0
    names = [o.forecast.name for o in newest(runs).outcomes]
    assert names == ["half_forward", "forward_less", "longer_step", "half_forward + forward_less"]


def test_a_dose_response_cannot_be_combined(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert experiment(runs, "no_progress_bar+delay") == 2
    assert "delay cannot be tested together with others" in capsys.readouterr().err


def test_an_intervention_that_acts_beyond_its_own_steps_is_told(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(monkeypatch):
        assert experiment(runs, "lasting", "half_forward") == 0
    lasting, half = (outcome(newest(runs), name) for name in ("lasting", "half_forward"))
    assert half.carried_over is None
    assert lasting.carried_over == pytest.approx(4 / 27, rel=0.02)
    assert "steps with it off took +14." in describe_phases(lasting)
    assert "it off" not in describe_phases(half)


def test_claims_are_confirmed_or_refuted_as_the_script_says(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(monkeypatch):
        assert experiment(runs, "half_forward", "longer_step") == 0
    assessment = newest(runs)
    half, longer = (outcome(assessment, name) for name in ("half_forward", "longer_step"))
    assert half.judgement is not None
    assert half.judgement.verdict is Verdict.CONFIRMED
    assert half.effect is not None
    assert half.effect.changed.value == pytest.approx(-per_epoch(5), rel=0.01)
    assert half.effect.unchanged.value == pytest.approx(0, abs=per_epoch(0.02))
    assert longer.judgement is not None
    assert longer.judgement.verdict is Verdict.REFUTED
    assert half.losses is not None
    assert half.losses.is_kept
    assert half.losses.difference == 0


def test_an_interaction_in_the_script_is_recovered(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of forward, 0.6 of it, and both: 0.3 of it."""
    with scripted(monkeypatch):
        assert experiment(runs, "half_forward", "forward_less", "--together") == 0
    (found,) = newest(runs).interactions
    first = {part.name: part.first_in.value for part in found.parts}
    last = {part.name: part.last_in.value for part in found.parts if part.last_in}
    assert first == pytest.approx({"half_forward": -per_epoch(5), "forward_less": -per_epoch(4)}, rel=0.03)
    assert last == pytest.approx({"half_forward": -per_epoch(3), "forward_less": -per_epoch(2)}, rel=0.03)
    assert found.residual.value == pytest.approx(per_epoch(2), rel=0.03)
    assert measure_interaction({}, ["half_forward", "forward_less"]) is None


def test_three_changes_are_measured_alone_without_each_and_together(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted(monkeypatch):
        assert experiment(runs, "half_forward", "forward_less", "no_backward", "--together", steps=16) == 0
    (found,) = newest(runs).interactions
    assert len(found.parts) == 3
    assert found.together.value == pytest.approx(-per_epoch(7 + 10), rel=0.03)
    assert found.residual.value == pytest.approx(per_epoch(2), rel=0.03)


def test_an_overlap_in_the_script_is_recovered(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait of d after forward hides 0.4 d of the 10 ms that forward has left to the device."""
    overlapping = ["--fake-lazy", "--fake-overlap", "0.4"]
    with scripted(monkeypatch):
        assert experiment(runs, "delay", "--phase", "forward", *overlapping) == 0
        eager = runs / "eager"
        assert experiment(eager, "delay", "--phase", "forward") == 0
        assert experiment(eager, "delay", "--phase", "step") == 0
    lazy_slope = outcome(newest(runs), "delay").slope
    assert lazy_slope is not None
    assert lazy_slope.value == pytest.approx(0.6, rel=0.03)
    for assessment in load_assessments(eager, print):
        slope = outcome(assessment, "delay").slope
        assert slope is not None
        assert slope.value == pytest.approx(1.0, abs=0.03)


def test_the_slope_of_a_noisy_eager_phase_is_1(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(monkeypatch, seed=7, spread=0.005):
        assert experiment(runs, "delay", steps=112) == 0
    slope = outcome(newest(runs), "delay").slope
    assert slope is not None
    interval = slope.interval()
    assert interval.low is not None
    assert interval.high is not None
    assert interval.low <= 1.0 <= interval.high
    assert interval.high - interval.low < 0.3


def test_fresh_processes_are_paired_by_round(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(monkeypatch):
        assert experiment(runs, "fresh_process") == 0
    found = outcome(newest(runs), "fresh_process")
    assert found.effect is not None
    assert found.effect.pairs == 3
    assert found.effect.changed.value == pytest.approx(-per_epoch(2), rel=0.03)
    assert found.judgement is not None
    assert found.judgement.verdict is Verdict.REFUTED


def test_each_number_of_threads_is_a_test_of_its_own(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(monkeypatch):
        experiment(runs, "threads", "threads=2", "threads=1", steps=16)
    forecasts = [forecast for forecast in newest(runs).session.forecasts if not forecast.is_control]
    assert [(f.name, f.switches) for f in forecasts] == [("threads", ("threads",)), ("threads=2", ("threads=2",))]


def test_the_path_of_a_run_in_a_report_is_one_that_show_takes(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with scripted(monkeypatch):
        experiment(runs, "faster_operators", "fresh_process", costs=f"{COSTS},evaluate=5", steps=16)
        experiment(runs, "delay", steps=24)
    capsys.readouterr()
    shown: dict[str, dict[str, list[str]]] = {}
    for assessment in load_assessments(runs, print):
        for row in (describe_row(assessment, found) for found in assessment.outcomes):
            assert main(["show", row.paths[-1], "--runs-dir", str(runs)]) == 0
            lines = capsys.readouterr().out.splitlines()
            shown[row.name] = {line.split("  ")[0]: line.split() for line in lines}
    assert shown["faster_operators"]["seconds per step"][3:] == ["off", "faster_operators", "difference"]
    off, on = shown["faster_operators"]["forward"][1:5:2]
    assert (float(off), float(on)) == (pytest.approx(0.010), pytest.approx(4, rel=0.02)), "s and ms"
    off, on = shown["faster_operators"]["per test batch: evaluate"][4:8:2]
    assert (float(off), float(on)) == (pytest.approx(5, rel=0.02), pytest.approx(2, rel=0.02)), "ms"
    assert len(shown["delay"]["whole step"]) == 2 + 2 * 4, "a time and its unit for each of four delays"
    assert "seconds per epoch" in shown["fresh_process"]


def test_an_edited_prediction_is_told(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(monkeypatch):
        experiment(runs, "half_forward", "longer_step")
    (folder,) = (runs / EXPERIMENTS).iterdir()
    stored = json.loads((folder / FILE).read_text())
    stored["forecasts"][-1]["whole"]["value"] = 10.0
    (folder / FILE).write_text(json.dumps(stored))
    assessment = newest(runs)
    edited = {o.forecast.name: o.is_edited for o in assessment.outcomes}
    assert edited == {"half_forward": False, "longer_step": True}
    told = outcome(assessment, "longer_step")
    assert describe_prediction(told).startswith("EDITED AFTERWARDS")
    assert "changed after it was sealed" in describe_judgement(told)
    assert "EDITED AFTERWARDS" in experiment_table(assessment)


def test_predictions_that_were_sealed_again_do_not_fit_the_runs(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from epoch_gap.profiler.experiments.session import edited_forecasts, seal_forecasts

    with scripted(monkeypatch):
        experiment(runs, "half_forward")
    (folder,) = (runs / EXPERIMENTS).iterdir()
    session = load_session(folder)
    known = [session.seal]
    assert edited_forecasts(session, known) == set()
    from dataclasses import replace

    forged = seal_forecasts(replace(session, epoch={**session.epoch, "value": 1.0}))
    assert forged.seal != session.seal
    assert edited_forecasts(forged, known) == {f.name for f in session.forecasts}


def test_a_killed_session_keeps_its_predictions_and_results(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(monkeypatch) as patch:
        patch.setattr(experiment_command, "FreshProcesses", lambda allow_busy, show: InProcess("half_forward"))
        with pytest.raises(RuntimeError, match="killed"):
            experiment(runs, "half_forward", "longer_step")
    assessment = newest(runs)
    assert [result.name for result in assessment.session.results] == ["noop", "planted"]
    predicted = [forecast.name for forecast in assessment.session.forecasts if forecast.whole]
    assert predicted == ["noop", "planted", "half_forward", "longer_step"]
    assert not any(o.is_edited for o in assessment.outcomes)
    assert {o.problem for o in assessment.outcomes} == {"not measured"}
    assert "half_forward" in experiment_table(assessment)


def test_a_planted_wait_is_measured_with_memory_kept(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[list[str]] = []

    class Recording(InProcess):
        def run(self, words: Sequence[str]) -> tuple[int, Path | None]:
            taken.append(list(words))
            return super().run(["default" if word == "keep" else word for word in words])

    with scripted(monkeypatch) as patch:
        patch.setattr(experiment_command, "FreshProcesses", lambda allow_busy, show: Recording())
        patch.setattr(registry, "is_scripted", lambda framework: False)
        patch.setattr(experiment_session, "can_keep", lambda: True)
        experiment(runs, "half_forward", steps=16)
    keeping = [" ".join(words) for words in taken if "keep" in words]
    assert keeping
    assert all("planted:" in words for words in keeping)
    planted = outcome(newest(runs), "planted")
    assert planted.judgement is not None
    assert planted.judgement.verdict is Verdict.CONFIRMED
    assert planted.carried_over is None


def test_nothing_is_reported_if_a_control_is_not_found_right(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(monkeypatch, seed=3, spread=0.5):
        experiment(runs, "half_forward", steps=16)
    assessment = newest(runs)
    assert assessment.withheld is not None
    assert assessment.outcomes == ()
    assert assessment.withheld.split(" was ")[0] in ("the control noop", "the control planted")
    table = experiment_table(assessment)
    assert "nothing is reported, because the control" in table
    assert "half_forward" not in table


def test_a_prediction_names_the_runs_that_it_comes_from(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(monkeypatch):
        experiment(runs, "half_forward", steps=16)
        experiment(runs, "half_forward", steps=16)
    (stored,) = find_runs(runs)
    sessions = [load_session(folder) for folder in sorted((runs / EXPERIMENTS).iterdir())]
    assert [session.baseline for session in sessions] == [(stored.name,), (stored.name,)]
    assert all(session.forecasts[0].name == NO_OP for session in sessions)


def test_operators_are_substituted_from_the_drilldowns(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake substitutes its own operators: nothing changes, from shares that were timed for it."""
    with scripted(monkeypatch):
        experiment(runs, "own_operators", steps=16)
    found = outcome(newest(runs), "own_operators")
    change = found.forecast.change
    assert change is not None
    assert change.whole.value == pytest.approx(0)
    assert set(change.phases) == {Phase.FORWARD, Phase.BACKWARD}
    (path,) = find_artifacts(runs, OPERATORS)
    session = newest(runs).session
    assert session.drilldowns == (path.parent.name,)
    table = experiment_table(newest(runs))
    assert f"predicted from run {session.baseline[0]} and drill-down {path.parent.name}\n" in table


def test_the_evaluation_changes_as_forward_does(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 1000 test batches of 5 ms, each takes 0.4 of the time with the layers of the faster framework."""
    with scripted(monkeypatch):
        assert experiment(runs, "faster_operators", costs=f"{COSTS},evaluate=5") == 0
    found = outcome(newest(runs), "faster_operators")
    change = found.forecast.change
    assert change is not None
    expected = {Phase.FORWARD: -per_epoch(6), Phase.BACKWARD: -per_epoch(5), Phase.EVALUATE: -3.0}
    assert {phase: part.value for phase, part in change.phases.items()} == pytest.approx(expected, rel=0.03)
    assert found.effect is not None
    assert {phase: found.effect.together([phase]).value for phase in expected} == pytest.approx(expected, rel=0.03)
    assert found.effect.epoch.value == pytest.approx(change.whole.value, rel=0.03)
    assert found.effect.unchanged.value == pytest.approx(0, abs=per_epoch(0.02))
    assert found.judgement is not None
    assert found.judgement.verdict is Verdict.CONFIRMED
    assert len(newest(runs).session.drilldowns) == 2


def test_the_evaluation_is_measured_between_fresh_processes_too(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(monkeypatch):
        experiment(runs, "faster_operators", "fresh_process", "--together", costs=f"{COSTS},evaluate=5", steps=16)
    found = outcome(newest(runs), "faster_operators + fresh_process")
    assert not found.forecast.alternates
    assert found.effect is not None
    assert found.effect.together([Phase.EVALUATE]).value == pytest.approx(-3.0, rel=0.03)


def test_only_interventions_that_change_an_evaluation_alternate_in_it(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = ["--data", "synthetic", "--batch-size", "10", "--train-limit", "100", "--test-limit", "80", "--steps", "8"]
    costs = ["--fake-costs", "forward=10,evaluate=5", "--fence", "none", "--quiet", "--runs-dir", str(runs)]
    switches = ["--alternate", "torch_convolution,planted:forward=0.05", "--alternate-evaluation"]
    with scripted(monkeypatch):
        assert main(["run", "--framework", "fake", *size, *costs, *switches]) == 0
    (run,) = map(read_run, find_runs(runs))
    milliseconds = np.round(run.evaluate.wall_ns / 1e6).tolist()
    assert milliseconds == [5, 5, 2, 2, 2, 2, 5, 5]
    assert np.round(run.train.phase_ns[Phase.FORWARD] / 1e6).tolist() == [10, 10, 54, 54, 54, 54, 10, 10]


def test_a_prediction_without_operators_names_no_drilldown(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(monkeypatch):
        experiment(runs, "own_operators", steps=16)
        experiment(runs, "half_forward", steps=16)
    session = newest(runs).session
    assert session.drilldowns == ()
    assert f"predicted from run {session.baseline[0]}\n" in experiment_table(newest(runs))


def test_the_scripted_fake_is_never_compared_with_a_real_framework(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = InProcess()
    with scripted(monkeypatch) as patch:
        patch.setattr(experiment_command, "FreshProcesses", lambda allow_busy, show: processes)
        assert experiment(runs, "all", steps=16) == 0
    assert processes.frameworks == {"fake", Faster.name}
    by_torch, by_itself = (outcome(newest(runs), name).forecast for name in ("torch_convolution", "own_operators"))
    assert (by_torch.whole, by_torch.missing) == (None, "the operators of torch were not timed")
    assert by_itself.change is not None


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["nonsense"], "no experiment 'nonsense'; choose all, or from: checkpoint_per_epoch, "),
        (["half_forward", "--framework", "torch"], "half_forward cannot be tested on torch; it is for fake"),
        (["threads=1.5"], "threads=1.5: a dose must be a whole number from 1 to 1024"),
        (["planted=1"], "planted=1: planted chooses its dose by itself"),
        (["threads", "threads=2", "--together"], "--together: threads is named with 2 doses; choose one"),
    ],
)
def test_a_bad_name_is_one_line_and_no_file(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], problem: str
) -> None:
    with scripted(monkeypatch):
        assert main(["experiment", *words, "--runs-dir", str(runs), "--out", str(runs / "report")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {problem}")
    assert error.count("\n") == 1
    assert not runs.exists()


def test_an_alternating_run_is_no_subject_of_a_report(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    alternating = ["--steps", "8", "--fence", "none", "--alternate", "noop", "--quiet"]
    size = ["--data", "synthetic", "--batch-size", "10", "--train-limit", "100", "--test-limit", "20"]
    with scripted(monkeypatch):
        assert main(["run", "--framework", "fake", *size, *alternating, "--runs-dir", str(runs)]) == 0
        (path,) = find_runs(runs)
        assert main(["report", str(path), "--runs-dir", str(runs), "--out", str(runs / "report")]) == 2
        assert "alternated" in capsys.readouterr().err
        assert main(["report", "--runs-dir", str(runs), "--out", str(runs / "report")]) == 2
        for words, problem in (
            (["--epochs", "2"], "one epoch only"),
            (["--fence", "alternate"], "the timing mode must not alternate"),
            (["--alternate", "nonsense"], "no such experiment"),
            (["--alternate-evaluation"], "none of these interventions changes an evaluation"),
        ):
            assert main(["run", "--framework", "fake", *size, *alternating, *words, "--runs-dir", str(runs)]) == 2
            assert problem in capsys.readouterr().err
        assert main(["run", "--framework", "fake", *size, "--alternate-evaluation", "--runs-dir", str(runs)]) == 2
        assert "--alternate-evaluation needs --alternate" in capsys.readouterr().err


def test_seeds_of_noise_differ() -> None:
    """The 20 noisy sessions are 20 different ones."""
    assert len({float(np.random.default_rng(20261128 + seed).normal()) for seed in range(20)}) == 20


def test_an_unreadable_session_is_skipped(runs: Path) -> None:
    (runs / EXPERIMENTS / "damaged").mkdir(parents=True)
    (runs / EXPERIMENTS / "damaged" / FILE).write_text("{")
    warnings: list[str] = []
    assert load_assessments(runs, warnings.append) == []
    assert len(warnings) == 1
    with pytest.raises(UserError):
        load_session(runs / EXPERIMENTS / "damaged")
