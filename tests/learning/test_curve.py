"""`curve`: what makes the accuracies differ, on trainings whose accuracies and losses are known."""

import json
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import msgspec
import numpy as np
import pytest

from epoch_gap.profiler.commands import curve
from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.comparison.subject import group_runs
from epoch_gap.profiler.experiments.verdict import Verdict
from epoch_gap.profiler.learning.assessment import CrossAssessment, load_cross_assessments
from epoch_gap.profiler.learning.cross import SCHEDULE
from epoch_gap.profiler.learning.outcomes import Outcome
from epoch_gap.profiler.learning.session import CURVES, FILE, cross_from_json
from epoch_gap.profiler.storage.manifest import Network
from epoch_gap.profiler.storage.reader import find_runs, read_run
from epoch_gap.reports.charts import curves
from epoch_gap.reports.cross import view_cross
from epoch_gap.reports.view import view_subjects
from tests.helpers.curves import BATCH, EPOCHS, STEPS, Trainings, Truth, value_of
from tests.helpers.live import check_by_plotly
from tests.helpers.summary_schema import problems

SIZE = f"--batch-size {BATCH} --epochs {EPOCHS} --train-limit {STEPS * BATCH} --test-limit 100".split()


def accuracies(
    schedule: float = 0.0, weights: float = 0.0, framework: float = 0.0, spread: float = 0.002, seed: int = 0
) -> Truth:
    """PyTorch reaches 0.5; Lucid's schedule, weights and the framework itself each cost a part of it."""
    random = np.random.default_rng(seed)

    def truth(name: str, has_other_schedule: bool, has_other_weights: bool, seed: int) -> tuple[float, float]:
        is_lucid = name == "lucid"
        lost = framework * is_lucid
        lost += schedule * (has_other_schedule != is_lucid) + weights * (has_other_weights != is_lucid)
        first = 6.0 if has_other_weights != is_lucid else 2.4
        return 0.5 - lost + random.normal(0, spread), first + 0.001 * (seed % 3)

    return truth


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(curve, "resolve_source", lambda data: (data, None))
    return tmp_path / "runs"


def train(runs: Path, monkeypatch: pytest.MonkeyPatch, trainings: Trainings, *words: str) -> int:
    monkeypatch.setattr(curve, "run_process", trainings)
    return main(["curve", *SIZE, "--runs-dir", str(runs), "--out", str(runs.parent / "out"), *words])


def newest(runs: Path) -> CrossAssessment:
    warnings: list[str] = []
    found = load_cross_assessments(runs, warnings.append)
    assert warnings == []
    return found[0]


def verdicts(assessment: CrossAssessment) -> dict[tuple[str, str], Verdict | None]:
    return {(a.rival.cause, str(a.rival.outcome)): a.verdict for a in assessment.answers}


@pytest.mark.parametrize("cause", ["schedule", "weights", "framework"])
def test_the_cause_that_makes_the_whole_difference_is_confirmed_and_the_others_are_refuted(
    runs: Path, monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    assert train(runs, monkeypatch, Trainings(accuracies(**{cause: 0.3}))) == 0
    found = verdicts(newest(runs))
    name = {"weights": "initialisation"}.get(cause, cause)
    expected = {
        other: Verdict.CONFIRMED if other == name else Verdict.REFUTED
        for other in ("schedule", "initialisation", "framework")
    }
    assert {other: found[(other, "test accuracy")] for other in expected} == expected
    assert found[("initialisation", "first loss")] is Verdict.CONFIRMED
    assert found[("initialisation", "largest loss of the first epoch")] is Verdict.CONFIRMED


def test_two_causes_of_half_the_difference_each_are_not_confirmed(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(runs, monkeypatch, Trainings(accuracies(schedule=0.2, weights=0.1))) == 0
    assessment = newest(runs)
    found = verdicts(assessment)
    assert found[("schedule", "test accuracy")] is Verdict.REFUTED
    effects = assessment.effects[Outcome.ACCURACY]
    assert effects.schedule.value == pytest.approx(0.2, abs=0.01)
    assert effects.initialisation.value == pytest.approx(0.1, abs=0.01)


def test_sides_that_hardly_differ_leave_nothing_to_explain(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert train(runs, monkeypatch, Trainings(accuracies())) == 0
    found = verdicts(newest(runs))
    assert {found[(cause, "test accuracy")] for cause in ("schedule", "initialisation", "framework")} <= {
        Verdict.BELOW_FLOOR,
        Verdict.UNDECIDED,
    }


def test_the_cross_is_trained_on_the_side_with_the_shorter_steps_even_if_it_learns_less(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings = Trainings(accuracies(weights=-0.2))
    assert train(runs, monkeypatch, trainings) == 0
    assert [value_of(words, "--framework") for words in trainings.calls].count("lucid") == 2
    found = verdicts(newest(runs))
    assert (found["initialisation", "test accuracy"], found["schedule", "test accuracy"]) == (
        Verdict.CONFIRMED,
        Verdict.REFUTED,
    )


@pytest.mark.bench
def test_noise_alone_seldom_decides_a_claim(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong decisions: the cause of the whole difference is refuted, or one without any part in it is confirmed."""
    wrong = 0
    for seed in range(20):
        folder = runs / str(seed)
        trainings = Trainings(accuracies(schedule=0.25, spread=0.01, seed=seed))
        assert train(folder, monkeypatch, trainings) == 0
        found = verdicts(newest(folder))
        wrong += found[("schedule", "test accuracy")] is Verdict.REFUTED
        wrong += found[("initialisation", "test accuracy")] is Verdict.CONFIRMED
        wrong += found[("framework", "test accuracy")] is Verdict.CONFIRMED
    assert wrong <= 3


def test_predictions_are_sealed_before_the_cross_and_an_edit_is_told(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trainings = Trainings(accuracies(schedule=0.3))
    assert train(runs, monkeypatch, trainings) == 0
    (file,) = (runs / CURVES).glob(f"*/{FILE}")
    stored = json.loads(file.read_text())
    first_of_cross = trainings.calls[2]
    assert value_of(first_of_cross, "--session") == stored["seal"]
    assert all("--session" not in call for call in trainings.calls[:2])
    assert "EDITED" not in capsys.readouterr().out
    stored["rivals"][0]["predicted"] = 0.0
    file.write_text(json.dumps(stored))
    assessment = newest(runs)
    assert assessment.is_edited
    assert {answer.verdict for answer in assessment.answers} == {None}
    assert main(["report", "--runs-dir", str(runs), "--out", str(runs.parent / "out")]) == 0
    assert "EDITED AFTERWARDS" in (runs.parent / "out" / "index.html").read_text()


def test_an_interrupted_cross_continues_and_trains_nothing_twice(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    truth = accuracies(schedule=0.3)
    first = Trainings(truth, fails_at=6)
    assert train(runs, monkeypatch, first) == 130
    assert {answer.verdict for answer in newest(runs).answers} == {None}
    second = Trainings(truth)
    assert train(runs, monkeypatch, second) == 0
    assert len(first.calls) - 1 + len(second.calls) == 15  # both sides, the shared one, and 2 x 2 x 3
    assert len({json.dumps(call) for call in (*first.calls[:-1], *second.calls)}) == 15
    assert len(load_cross_assessments(runs, print)) == 1
    third = Trainings(truth)
    assert train(runs, monkeypatch, third) == 0
    assert len(third.calls) == 13  # a finished one is repeated as a new session, from the same runs of both sides


def test_a_damaged_session_is_skipped_with_a_warning(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(runs, monkeypatch, Trainings(accuracies(schedule=0.3), fails_at=6)) == 130
    (file,) = (runs / CURVES).glob(f"*/{FILE}")
    file.write_text(file.read_text()[:100])
    again = Trainings(accuracies(schedule=0.3))
    assert train(runs, monkeypatch, again) == 0
    assert len(again.calls) == 13
    assert f"{file} is not JSON" in capsys.readouterr().err


def test_a_run_that_was_finished_before_it_was_noted_is_not_trained_again(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = accuracies(schedule=0.3)
    assert train(runs, monkeypatch, Trainings(truth, fails_at=8)) == 130
    (file,) = (runs / CURVES).glob(f"*/{FILE}")
    stored = json.loads(file.read_text())
    stored["trainings"].pop()
    file.write_text(json.dumps(stored))
    rest = Trainings(truth)
    assert train(runs, monkeypatch, rest) == 0
    assert len(rest.calls) == 8


def test_the_report_answers_the_guesses_and_names_the_subset(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(runs, monkeypatch, Trainings(accuracies(schedule=0.3))) == 0
    out = capsys.readouterr().out
    assert "confirmed: measured as predicted" in out
    page = (runs.parent / "out" / "index.html").read_text()
    assert "What makes the accuracies differ" in page
    assert f"{STEPS * BATCH} training and 100 test images" in page
    assert "The learning-rate schedule makes the plateau of the accuracy." in page
    assert (runs.parent / "out" / "curves.png").stat().st_size > 10_000


def test_plotly_accepts_the_curves_and_each_training_has_a_line(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert train(runs, monkeypatch, Trainings(accuracies(schedule=0.3))) == 0
    sides = [read_run(path) for path in find_runs(runs)]
    view = view_subjects(group_runs(sides), crosses=load_cross_assessments(runs, print))
    drawn = curves.live(view)
    check_by_plotly(drawn)
    assert [len(spec["data"]) for spec in drawn.variants.values()] == [15]
    assert {trace["x"][-1] for spec in drawn.variants.values() for trace in spec["data"]} == {EPOCHS}


def test_summary_json_has_the_trainings_and_the_answers(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert train(runs, monkeypatch, Trainings(accuracies(schedule=0.3))) == 0
    summary = json.loads((runs.parent / "out" / "summary.json").read_text())
    assert problems(summary) == []
    cross, assessment = summary["cross"], newest(runs)
    assert (cross["slow"], cross["fast"], cross["is_edited"]) == ("lucid", "torch", False)
    trainings = {
        (t["framework"], *t["switches"], t["seed"]): t["outcomes"]["test accuracy"] for t in cross["trainings"]
    }
    assert len(trainings) == 2 + 1 + 4 * len(cross["seeds"])
    for seed in cross["seeds"]:
        assert trainings["torch", seed] - trainings["torch", SCHEDULE, seed] == pytest.approx(0.3, abs=0.02)
    answers = {(answer["cause"], answer["outcome"]): answer for answer in cross["answers"]}
    schedule = answers["schedule", "test accuracy"]
    assert (schedule["guess"], schedule["verdict"]) == (4, "confirmed")
    assert schedule["predicted"]["value"] == pytest.approx(0.3, abs=0.02)
    low, high = schedule["measured"]["low"], schedule["measured"]["high"]
    assert low < 0.3 < high
    assert {key: answer["verdict"] for key, answer in answers.items()} == verdicts(assessment)


def test_a_cross_is_of_its_network_and_a_report_shows_that_of_its_own(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, small = Trainings(accuracies(schedule=0.3)), Trainings(accuracies(schedule=0.3))
    assert train(runs, monkeypatch, plain) == 0
    assert train(runs, monkeypatch, small, "--model", "lenet5", "--image-size", "40") == 0
    assert len(small.calls) == len(plain.calls), "no training of the other network counts"
    first, second = reversed(load_cross_assessments(runs, print))
    assert (first.session.network, second.session.network) == (Network(), Network("lenet5", 40))
    assert second.session.size.startswith("lenet5, 40x40, batch 32, ")
    assert set(first.session.baseline).isdisjoint(second.session.baseline)
    sides = [read_run(path) for path in find_runs(runs)]
    for network, session in ((Network(), first.session), (Network("lenet5", 40), second.session)):
        shown = group_runs([run for run in sides if run.config.network == network])
        cross = view_cross(load_cross_assessments(runs, print), shown)
        assert cross is not None
        assert {answer.session for answer in cross.answers} == {session.id}


def test_the_seal_of_an_older_cross_still_fits(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older one stores no network: its digest is without it."""
    assert train(runs, monkeypatch, Trainings(accuracies(schedule=0.3))) == 0
    session = newest(runs).session
    older = {k: v for k, v in msgspec.to_builtins(session).items() if k not in ("model", "image_size")}
    content = msgspec.msgpack.encode({**older, "seal": "", "trainings": [], "id": ""}, order="sorted")
    seal = blake2b(content, digest_size=16).hexdigest()
    read = cross_from_json(json.loads(json.dumps({**older, "seal": seal})))
    assert not read.is_edited([seal])
    assert replace(read, model="lenet5").is_edited([seal])


def test_two_different_sides_are_needed(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["curve", "--frameworks", "torch", "--runs-dir", str(runs)]) == 2
    assert capsys.readouterr().err == "error: --frameworks: two sides are compared, not torch\n"


def test_a_claim_about_the_accuracy_is_no_experiment_on_time(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiment", "other_schedule", "--framework", "fake", "--runs-dir", str(runs)]) == 2
    assert "its claim is about the accuracy, which `curve` tests" in capsys.readouterr().err
