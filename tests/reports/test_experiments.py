"""Experiments in reports: the rows of the page, the article's guesses, the picture and the headline."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from matplotlib.figure import Figure

from epoch_gap.profiler.analysis.stats import Estimate
from epoch_gap.profiler.comparison.subject import group_runs
from epoch_gap.profiler.experiments.assessment import Assessment, assess_session
from epoch_gap.profiler.experiments.session import Forecast, Result, Session, seal_forecasts, store_estimate
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports.article import GUESSES
from epoch_gap.reports.charts import experiments as chart
from epoch_gap.reports.charts.registry import CHARTS
from epoch_gap.reports.experiments import measure_diagnosis
from epoch_gap.reports.export.json_text import strict_json
from epoch_gap.reports.page.page import render_page
from epoch_gap.reports.terminal.experiments import experiment_table
from epoch_gap.reports.view import View, view_subjects
from tests.helpers.live import check_by_plotly
from tests.helpers.runs import MakeRun
from tests.helpers.summary_schema import problems

EPOCH_STEPS = 10.4


def forecast(name: str, change: float | None, **more: object) -> Forecast:
    whole = None if change is None else store_estimate(Estimate(change))
    phases = {} if not change else {"forward": store_estimate(Estimate(change))}
    plain = Forecast(
        name=name,
        experiments=tuple(name.split(" + ")),
        switches=(name,),
        claim=f"{name} <b>matters</b>.",
        may_change=("forward", "backward"),
        keeps=0.0,
        phases=phases,
        whole=whole,
        missing="" if whole else "nothing was timed",
    )
    return replace(plain, **more)  # type: ignore[arg-type]


def assessed(
    make_run: MakeRun,
    changes: dict[str, float],
    session_of: Run,
    noise: float = 0.0,
    more: Sequence[Forecast] = (),
) -> Assessment:
    """A session in which a step takes these seconds longer with each experiment on; 2 s without."""
    forecasts = [
        forecast("noop", 0.0, is_control=True),
        forecast("planted", 0.4 * EPOCH_STEPS, is_control=True),
        forecast("torch_convolution", -1.0 * EPOCH_STEPS, guess=1),
        forecast("no_progress_bar", -0.2 * EPOCH_STEPS, guess=3),
        forecast("unpredicted", None),
        *more,
    ]
    session = seal_forecasts(
        Session(
            id="a session",
            created="2026-11-28T00:00:00+00:00",
            framework="fake",
            title="Fake 1 (cpu)",
            device="cpu",
            batch_size=10,
            epoch_steps=EPOCH_STEPS,
            epoch=store_estimate(Estimate(2.0 * EPOCH_STEPS)),
            baseline=(session_of.id,),
            forecasts=tuple(forecasts),
        )
    )
    runs: dict[str, Run] = {}
    for name, change in {"noop": 0.0, "planted": 0.4, **changes}.items():
        steps = [2.0 + (change if i // 2 % 4 in (1, 2) else 0.0) + noise * (i * 7 % 5 - 2) for i in range(24)]
        alternate = {"levels": [[], [name]], "block": 2}
        run = make_run(steps, config={"alternate": alternate}, session=session.seal)
        runs[run.id] = run
        session = replace(session, results=(*session.results, Result(name=name, runs=(run.id,))))
    return assess_session(session, runs.__getitem__)


@pytest.fixture
def view(make_run: MakeRun) -> View:
    slow = make_run([2.0] * 6, config={"label": "slow"})
    fast = make_run([1.0] * 6, config={"label": "fast"})
    changes = {"torch_convolution": -1.0, "no_progress_bar": 0.3, "unpredicted": 0.1}
    return view_subjects(group_runs([slow, fast]), assessments=[assessed(make_run, changes, slow)])


def html_of(view: View) -> str:
    return render_page(view, {name: Figure(figsize=(1, 1)) for name, chart in CHARTS.items() if chart.shown(view)})


def test_every_test_is_a_row_with_prediction_measurement_and_verdict(view: View) -> None:
    rows = {row.name: row for row in view.experiments.rows}
    assert rows.keys() == {"torch_convolution", "no_progress_bar", "unpredicted"}
    assert rows["torch_convolution"].verdict == "confirmed"
    assert rows["torch_convolution"].measured.startswith("\N{MINUS SIGN}10.4 s")
    assert rows["no_progress_bar"].verdict.startswith("refuted")
    assert rows["unpredicted"].predicted == "none: nothing was timed"
    assert rows["unpredicted"].verdict == "not judged"
    assert [row.verdict for row in view.experiments.controls] == ["confirmed", "confirmed"]
    html = html_of(view)
    assert "torch_convolution &lt;b&gt;matters&lt;/b&gt;." in html
    paths = [path for row in rows.values() for path in row.paths]
    assert paths[0] == f"experiments/a session/{rows['torch_convolution'].runs[0]}"
    assert all(f"<code>{path}</code>" in html for path in paths)
    assert "python -m profiler show PATH" in html


def test_the_articles_guesses_are_answered_by_number(view: View) -> None:
    answers = {guess.number: [row.name for row in guess.tests] for guess in view.experiments.guesses}
    assert answers == {1: ["torch_convolution"], 2: [], 3: ["no_progress_bar"], 4: [], 5: [], 6: []}
    html = html_of(view)
    assert html.count("not tested yet") == 4
    assert f"(1) {GUESSES[1]}" in html


def test_the_headline_ends_the_diagnosis(view: View) -> None:
    product, shortest = view.experiments.diagnosis
    assert "by cause: torch convolution (tested)" in product
    assert shortest == "The shortest way to within 1.5x: torch convolution (tested)."
    assert product in html_of(view)


@pytest.mark.parametrize(
    ("changes", "how", "factor"),
    [({"kept": -0.1}, "tested on both sides", 0.95 / 0.8), ({}, "tested, on the faster side predicted", 0.9 / 0.8)],
)
def test_a_change_of_both_sides_is_worth_what_it_changes_of_their_ratio(
    make_run: MakeRun, changes: dict[str, float], how: str, factor: float
) -> None:
    """A fifth of the slow epoch; of the fast one, a twentieth was measured, or a tenth is predicted."""
    slow = make_run([2.0] * 6)
    fast = make_run([1.0] * 6, config={"framework": "torch"}, framework={"name": "torch", "title": "Torch"})
    kept = [forecast("kept", -0.2 * EPOCH_STEPS)]
    on_slow, on_fast = (
        assessed(make_run, {"kept": -0.4}, slow, more=kept),
        assessed(make_run, changes, fast, more=kept),
    )
    on_fast = replace(on_fast, session=replace(on_fast.session, framework="torch", title="Torch 1 (cpu)"))
    view = view_subjects(group_runs([slow, fast]), assessments=[on_slow, on_fast])
    (gap,) = view.gaps
    outcomes = [(a, o) for a in (on_slow, on_fast) for o in a.outcomes if o.forecast.name == "kept"]
    found = measure_diagnosis(gap, outcomes, [on_slow, on_fast])
    assert found is not None
    assert [part.factor for part in found.factors] == pytest.approx([factor], rel=1e-3)
    assert found.ratio == pytest.approx(factor * found.rest)
    assert f"kept ({how})" in view.experiments.diagnosis[0]


def test_the_picture_has_a_point_per_judged_prediction(view: View) -> None:
    assert chart.shown(view)
    assert {point.name for point in view.experiments.points} == {"torch_convolution", "no_progress_bar"}
    assert chart.finding(view).startswith("2 predictions: mean error ")
    (axes,) = chart.static(view).axes
    assert [text.get_text() for text in axes.texts] == ["torch_convolution", "no_progress_bar"]
    check_by_plotly(chart.live(view))
    (spec,) = chart.live(view).variants.values()
    assert spec["data"][1]["x"] == pytest.approx([-10.4, -2.08])
    assert spec["data"][1]["y"] == pytest.approx([-10.4, 3.12], rel=1e-3)


TEST = {
    *(
        "name",
        "side",
        "claim",
        "guess",
        "predicted",
        "measured",
        "is_evaluated",
        "slope",
        "verdict",
        "reason",
        "bound",
    ),
    *("more_steps", "runs", "session", "times", "is_control"),
}
INTERVAL = {"value", "low", "high"}


def summary_of(view: View) -> dict[str, Any]:
    """The experiments as a program reads them: through strict JSON."""
    summary: dict[str, Any] = json.loads(strict_json(view.summary))
    assert problems(summary) == []
    experiments: dict[str, Any] = summary["experiments"]
    return experiments


def test_summary_json_has_every_test_that_the_report_shows(view: View) -> None:
    summary = summary_of(view)
    assert set(summary) == {"tests", "withheld", "score", "interactions", "diagnosis"}
    tests = {test["name"]: test for test in summary["tests"]}
    assert list(tests) == ["torch_convolution", "no_progress_bar", "unpredicted", "noop", "planted"]
    assert all(set(test) == TEST for test in tests.values())
    assert [name for name, test in tests.items() if test["is_control"]] == ["noop", "planted"]
    convolution = tests["torch_convolution"]
    assert (convolution["verdict"], convolution["reason"]) == ("confirmed", "measured as predicted")
    assert (convolution["guess"], convolution["side"], convolution["times"]) == (1, "Fake 1 (cpu)", 1)
    expected = {"value": -10.4, "low": -10.4, "high": -10.4, "is_bound": False}
    assert convolution["predicted"] == pytest.approx(expected)
    assert convolution["measured"]["value"] == pytest.approx(-10.4)
    assert set(convolution["measured"]) == INTERVAL
    assert [f"experiments/{convolution['session']}/{run}" for run in convolution["runs"]] == [
        path for row in view.experiments.rows for path in row.paths if row.name == "torch_convolution"
    ]
    assert tests["no_progress_bar"]["verdict"] == "refuted"
    unpredicted = tests["unpredicted"]
    assert (unpredicted["predicted"], unpredicted["verdict"], unpredicted["reason"]) == (
        None,
        None,
        "nothing was timed",
    )
    assert unpredicted["measured"]["value"] == pytest.approx(1.04)
    score = view.experiments.score
    assert score is not None
    assert summary["score"] == {
        **vars(score),
        "slope": pytest.approx(score.slope),
        "error": pytest.approx(score.error),
    }
    assert (summary["withheld"], summary["interactions"]) == ([], [])


def test_summary_json_has_the_factors_of_the_diagnosis(view: View) -> None:
    diagnosis = summary_of(view)["diagnosis"]
    assert set(diagnosis) == {"ratio", "factors", "together", "rest", "shortest"}
    (factor,) = diagnosis["factors"]
    assert set(factor) == {"name", "factor", "slow", "fast"}
    assert (factor["name"], factor["slow"]["kind"], factor["fast"]) == ("torch_convolution", "tested", None)
    assert diagnosis["ratio"] == pytest.approx(factor["factor"] * diagnosis["together"] * diagnosis["rest"])
    assert diagnosis["ratio"] == pytest.approx(view.summary["gaps"][0]["ratio"]["value"])
    assert diagnosis["shortest"] == ["torch_convolution"]


def test_summary_json_tells_bounds_interactions_and_edited_predictions(make_run: MakeRun) -> None:
    run = make_run([2.0] * 6)
    bound = forecast("bounded", -2.0 * EPOCH_STEPS, is_bound=True)
    both = forecast("torch_convolution + no_progress_bar", -1.2 * EPOCH_STEPS)
    changes = {"torch_convolution": -1.0, "no_progress_bar": -0.2, "bounded": -1.0, both.name: -1.1}
    assessment = assessed(make_run, changes, run, more=[bound, both])
    outcomes = tuple(
        replace(o, is_edited=True) if o.forecast.name == "no_progress_bar" else o for o in assessment.outcomes
    )
    summary = summary_of(view_subjects(group_runs([run]), assessments=[replace(assessment, outcomes=outcomes)]))
    tests = {test["name"]: test for test in summary["tests"]}
    expected = {"value": -20.8, "low": -20.8, "high": 0.0, "is_bound": True}
    assert tests["bounded"]["predicted"] == pytest.approx(expected)
    edited = tests["no_progress_bar"]
    assert (edited["verdict"], edited["reason"]) == (None, "the prediction was changed after it was sealed")
    (interaction,) = summary["interactions"]
    assert [part["name"] for part in interaction["parts"]] == ["torch_convolution", "no_progress_bar"]
    assert interaction["together"]["value"] == pytest.approx(-11.44)
    assert interaction["residual"]["value"] == pytest.approx(1.04)
    assert summary["diagnosis"] is None, "one side only"


def test_summary_json_has_the_controls_alone_if_they_were_not_found_right(make_run: MakeRun) -> None:
    run = make_run([2.0] * 6)
    noisy = assessed(make_run, {"torch_convolution": -1.0}, run, noise=0.4)
    summary = summary_of(view_subjects(group_runs([run]), assessments=[noisy]))
    assert [test["name"] for test in summary["tests"]] == ["noop", "planted"]
    (withheld,) = summary["withheld"]
    assert withheld == {"session": "a session", "side": "Fake 1 (cpu)", "reason": noisy.withheld}
    assert summary["score"] is None


def test_a_report_without_sessions_has_no_section(make_run: MakeRun) -> None:
    view = view_subjects(group_runs([make_run([1.0] * 6)]))
    assert not view.experiments
    assert view.summary["experiments"] is None
    assert not chart.shown(view)
    assert 'id="tested"' not in html_of(view)


def test_a_session_of_another_side_is_not_shown(make_run: MakeRun) -> None:
    run = make_run([2.0] * 6)
    other = assessed(make_run, {}, run)
    other = replace(other, session=replace(other.session, framework="torch"))
    assert not view_subjects(group_runs([run]), assessments=[other]).experiments


def test_only_the_reason_is_shown_if_a_control_was_not_found_right(make_run: MakeRun) -> None:
    run = make_run([2.0] * 6)
    noisy = assessed(make_run, {"torch_convolution": -1.0}, run, noise=0.4)
    assert noisy.withheld is not None
    view = view_subjects(group_runs([run]), assessments=[noisy])
    assert view.experiments.rows == ()
    (line,) = view.experiments.withheld
    assert "nothing is reported, because the control" in line
    assert line.split(",")[0] in html_of(view)
    assert "torch_convolution" not in experiment_table(noisy)


def test_an_evaluation_that_was_not_measured_is_on_neither_side(make_run: MakeRun) -> None:
    """A quarter of the predicted change is in the evaluation, which this run's test batches are too few for."""
    run = make_run([2.0] * 6)
    parts = {"forward": -1.0 * EPOCH_STEPS, "evaluate": -0.25 * EPOCH_STEPS}
    stored = {phase: store_estimate(Estimate(seconds)) for phase, seconds in parts.items()}
    changing = ("forward", "backward", "evaluate")
    partial = forecast("partial", sum(parts.values()), phases=stored, may_change=changing)
    assessment = assessed(make_run, {"partial": -1.0}, run, more=[partial])
    (row,) = view_subjects(group_runs([run]), assessments=[assessment]).experiments.rows
    assert row.verdict == "confirmed"
    assert row.measured.startswith("\N{MINUS SIGN}10.4 s")
    assert row.measured.endswith(", without the evaluation")
    claim = next(o.claim for o in assessment.outcomes if o.claim is not None)
    assert claim.predicted.whole.value == pytest.approx(-10.4)


def test_a_repeated_test_says_how_often_it_was_tested(make_run: MakeRun) -> None:
    run = make_run([2.0] * 6)
    sessions = [assessed(make_run, {"torch_convolution": change}, run) for change in (-1.0, -0.1)]
    view = view_subjects(group_runs([run]), assessments=sessions)
    (row,) = view.experiments.rows
    assert row.times == 2
    assert row.verdict == "confirmed"
    assert "tested in 2 sessions" in html_of(view)
