from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from epoch_gap.profiler.comparison.history import build_histories
from epoch_gap.profiler.drilldown.conditions import DrilldownConditions, DrilldownData, DrilldownFramework
from epoch_gap.profiler.drilldown.lines import Function, Line, LineTimes
from epoch_gap.profiler.drilldown.matching import Drilldowns
from epoch_gap.profiler.drilldown.stacks import Stacks
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.manifest import DataKind
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports.charts import gap, layers
from epoch_gap.reports.sentences.history import describe_series
from tests.helpers.drilldowns import drilldown
from tests.helpers.fake_training import scripted_run
from tests.helpers.runs import MakeRun
from tests.helpers.views import build_view

SLOW, FAST = {"label": "Slow"}, {"label": "Fast"}
SYNTHETIC = {"kind": "synthetic"}
CONV = Function("conv.py", "conv", [Line(7, hits=2, seconds=3.0, source="  a @ b")])
LINES = LineTimes([CONV], steps=2, slowdown=1.0)


def noisy(mean: float, seed: int, n: int = 20) -> list[float]:
    return list(np.random.default_rng(seed).normal(mean, 0.02 * mean, n))


def pair(make_run: MakeRun, slow: float = 3.0, fast: float = 1.0) -> list[Run]:
    """Two runs of an epoch of 100 equal steps, half a second before them, and a short evaluation."""
    whole, evaluation = {"train_images": 1000}, [0.1, 0.1]
    return [
        make_run(noisy(fast, 1), config=FAST, full_epoch=whole, evaluation=evaluation),
        make_run(noisy(slow, 2), config=SLOW, full_epoch=whole, evaluation=evaluation),
    ]


def test_the_verdict_has_both_epochs_the_ratio_and_its_interval_in_words(make_run: MakeRun) -> None:
    view = build_view(pair(make_run))
    gap = view.gaps[0]
    assert [subject.title for subject in view.subjects] == ["Slow 1 (cpu)", "Fast 1 (cpu)"]
    assert view.verdict.startswith("Slow 1 (cpu) takes 30")
    assert "s per epoch, Fast 1 (cpu) 10" in view.verdict
    assert f"{gap.ratio.value:#.3g} times as long (spread between processes: not known; run again;" in view.verdict
    assert view.verdict.endswith("from 19 and 19 steps of 10 images).")
    assert 2.9 < gap.ratio.value < 3.1


def test_equal_and_undecided_are_written_out(make_run: MakeRun) -> None:
    assert "equal within 2 %" in build_view(pair(make_run, 1.0, 1.0)).verdict
    runs = [make_run([1.0, 2.0, 1.0, 3.0, 1.2, 0.7], config=config) for config in (SLOW, FAST)]
    assert "undecided" in build_view(runs).verdict


def test_repeats_are_compared_between_processes(make_run: MakeRun) -> None:
    view = build_view([*pair(make_run), *pair(make_run)])
    assert "(between 2 rounds; from 38 and 38 steps of 10 images)" in view.verdict
    assert not any("Not repeated on both sides" in caution for caution in view.cautions)


def test_a_single_subject_has_no_gap_and_its_epoch_is_marked_measured_or_estimated(make_run: MakeRun) -> None:
    sampled = build_view(pair(make_run)[:1])
    assert (sampled.gaps, sampled.why) == ((), ())
    assert sampled.verdict.endswith("per epoch, estimated.")
    whole = build_view([make_run([1.0] * 10 + [0.4], images=[10] * 10 + [4], evaluation=[0.2, 0.2])])
    assert whole.verdict == "Fake 1 (cpu) takes 11.3 s (11.3 s to 11.3 s) per epoch, measured."


def test_synthetic_data_is_named_in_the_verdict_the_source_and_the_cautions(make_run: MakeRun) -> None:
    runs = [make_run([s] * 6, config={"label": f"{s}"}, data=SYNTHETIC) for s in (1.0, 2.0)]
    for view in (build_view(runs), build_view(runs[:1])):
        assert view.is_synthetic
        assert "on synthetic data" in view.verdict
        assert view.source.startswith("SYNTHETIC DATA")
        assert any("synthetic" in caution for caution in view.cautions)
        assert {subject["data"] for subject in view.summary["subjects"]} == {"synthetic"}
    real = build_view([make_run([1.0] * 6)])
    assert "synthetic" not in (real.verdict + real.source + "".join(real.cautions)).lower()


def test_the_largest_terms_explain_the_gap(make_run: MakeRun) -> None:
    why = build_view(pair(make_run)).why
    assert [line.partition(":")[0] for line in why[:2]] == ["backward", "forward"]
    assert why[0].endswith("75.0 % of the gap")


def test_an_epoch_without_evaluation_is_compared_and_labelled_without_it(make_run: MakeRun) -> None:
    slow = make_run([2.0] * 6, config=SLOW, evaluation=[50.0, 50.0])
    fast = make_run([1.0] * 6, config=FAST, status="interrupted")
    view = build_view([slow, fast])
    assert "Slow 1 (cpu) takes 21.3 s per epoch without evaluate, Fast 1 (cpu) 10.9 s" in view.verdict
    assert "evaluate is excluded from the gap: one side did not measure it." in view.cautions
    assert f"Fast 1 (cpu): run {fast.short_id} is interrupted." in view.cautions


def test_conditions_that_can_change_time_are_cautions_and_those_of_accuracy_alone_are_not(make_run: MakeRun) -> None:
    variables = {"variables": {"OPENBLAS_CORETYPE": "Haswell"}}
    runs = [make_run([1.0] * 6, config=SLOW | {"seed": 1}, environment=variables), make_run([1.0] * 6, config=FAST)]
    differing = [caution for caution in build_view(runs).cautions if "can affect the time" in caution]
    assert len(differing) == 1
    assert "BLAS and OpenMP variables" in differing[0]
    assert "seed" not in differing[0]


@pytest.mark.parametrize(("share", "flagged"), [(0.01, False), (0.05, True)])
def test_much_time_in_no_phase_is_flagged(make_run: MakeRun, share: float, flagged: bool) -> None:
    run = make_run([1.0] * 20, full_epoch={"train_images": 100_000})
    other = np.full(20, round(share * 1e9))
    phases = dict(run.train.phase_ns)
    phases |= {Phase.OTHER: other, Phase.BACKWARD: phases[Phase.BACKWARD] - other}
    cautions = build_view([replace(run, train=replace(run.train, phase_ns=phases))]).cautions
    assert any("5.0 % of the time is charged to `other`" in caution for caution in cautions) == flagged
    assert any("charged to `other`" in caution for caution in cautions) == flagged


def test_flags_of_one_kind_are_one_caution_however_many_runs_have_them(make_run: MakeRun) -> None:
    """Six runs on an unsteady machine were a page of cautions."""
    growing = [1.0 + 0.02 * i for i in range(30)]
    runs = [make_run(growing) for _ in range(3)]
    view = build_view(runs)
    kinds = [flag.kind for flag in view.subjects[0].analyses[0].flags]
    assert kinds
    first, *others = (run.short_id for run in runs)
    flagged = [line for line in view.cautions if f"run {first}: " in line]
    assert len(flagged) == len(set(kinds))
    assert all(f"; also runs {', '.join(others)}." in line for line in flagged)


def test_events_of_a_run_are_cautions(make_run: MakeRun) -> None:
    run = replace(make_run([1.0] * 6), events=(("note", "the loader fell back"), ("data", "told elsewhere")))
    cautions = build_view([run]).cautions
    assert "Fake 1 (cpu): the loader fell back" in cautions
    assert not any("told elsewhere" in caution for caution in cautions)


def test_a_subject_knows_whether_it_has_a_whole_epoch(make_run: MakeRun) -> None:
    whole = make_run([1.0] * 10 + [0.4], images=[10] * 10 + [4], evaluation=[0.2, 0.2], config=SLOW)
    part = make_run([1.0] * 6, config=FAST)
    assert all(s.has_whole_epoch for s in build_view([whole]).subjects)
    assert not all(s.has_whole_epoch for s in build_view([whole, part]).subjects)
    whole.train.fenced[5:8] = True
    assert all(s.has_whole_epoch for s in build_view([whole]).subjects), "fences do not change what is learned"


def test_the_next_step_goes_from_drill_downs_to_more_processes_to_more_epochs(make_run: MakeRun) -> None:
    one, other = pair(make_run)
    assert "compare with another framework" in build_view([one]).next_step
    assert "profile --frameworks" in build_view([one, other]).next_step, (
        "one framework twice: a drill-down could not be told apart"
    )
    torch = {"config": FAST | {"framework": "torch"}, "framework": {"name": "torch", "title": "PyTorch"}}
    whole = {"full_epoch": {"train_images": 1000}, "evaluation": [0.1, 0.1]}
    two = [make_run(noisy(1.0, 1), **torch, **whole), other]
    found = Drilldowns(
        layers=[drilldown({"fc": 2.0}, {}, conditions=DrilldownConditions.from_manifest(other.manifest))],
        stacks={"fake-cpu": Stacks({}, 0, 50)},
    )
    assert 'make layers FRAMEWORKS="torch fake" BATCH=10' in build_view(two).next_step
    step = build_view(two, drilldowns=replace(found, stacks={})).next_step
    assert "flame --framework fake --batch-size 10, then the same with lines" in step
    assert "profile --frameworks" in build_view(two, drilldowns=found).next_step
    assert "profile --frameworks" in build_view(pair(make_run, 1.0, 1.0)).next_step, "there is no gap to look into"
    assert "PRESET=epoch" in build_view([one, other, *pair(make_run)]).next_step
    epochs = [
        make_run([s] * 10 + [0.4], images=[10] * 10 + [4], evaluation=[0.2, 0.2], config={"label": f"{s}"})
        for s in (1.0, 2.0, 1.0, 2.0)
    ]
    assert "PRESET=article" in build_view(epochs).next_step


def test_two_settings_of_one_framework_have_no_drill_down(make_run: MakeRun) -> None:
    one, other = pair(make_run)
    watched = [drilldown({"fc": 2.0}, {}, conditions=DrilldownConditions.from_manifest(one.manifest))]
    found = Drilldowns(watched, watched, {}, {"fake-cpu": Stacks({}, 0, 50)})
    view = build_view([one, other], drilldowns=found)
    assert (view.drilldowns.layers, view.drilldowns.operators, view.drilldowns.stacks) == ({}, {}, {})
    assert len(build_view([one], drilldowns=found).drilldowns.layers) == 1


def test_work_done_in_another_phase_than_it_is_charged_to_is_reported_at_the_top(tmp_path: Path) -> None:
    slow, fast = (scripted_run(tmp_path / name, lazy=name == "slow") for name in ("slow", "fast"))
    manifest = replace(fast.manifest, config=replace(fast.config, label="fast"))
    quick = replace(
        fast.train, wall_ns=fast.train.wall_ns // 3, phase_ns={p: n // 3 for p, n in fast.train.phase_ns.items()}
    )
    view = build_view([slow, replace(fast, manifest=manifest, train=quick)])
    assert view.gaps[0].fenced is not None
    assert view.why[0].startswith("backward")
    assert view.why[0].endswith(" of the gap (charged to step)")
    assert view.why_heading == "The largest contributions to the gap, by where the work was done (fenced steps):"
    assert gap.finding(view).endswith(" takes is work done in backward (charged to step)")
    live = gap.live(view)
    assert live.controls[0].options == ("where the work was done", "as charged")
    assert "is charged to step" in live.variants["as charged|seconds"]["layout"]["annotations"][0]["text"]
    drawn = [column.get_height() for column in gap.static(view).axes[0].patches]
    assert max(drawn[1:-1]) == pytest.approx(view.gaps[0].fenced.by_phase[Phase.BACKWARD].value)
    assert view.findings == (), "no drill-downs"


def test_a_caveat_with_a_remedy_comes_first(make_run: MakeRun) -> None:
    forced = {"variables": {"OPENBLAS_CORETYPE": "Haswell"}}
    runs = [make_run([s] * 6, config={"label": f"{s}"}, environment=forced) for s in (1.0, 2.0)]
    assert build_view(runs).next_step.startswith("unset the environment variables")


def test_drill_downs_of_both_sides_give_the_largest_contributions(make_run: MakeRun) -> None:
    """Two subjects of one framework share their drill-down here: the slow one's is given, the fast one's is not."""
    fast, slow = pair(make_run)
    torch = {"name": "torch", "title": "PyTorch"}
    fast = make_run(noisy(1.0, 1), framework=torch, full_epoch={"train_images": 1000}, evaluation=[0.1, 0.1])
    conditions = [DrilldownConditions.from_manifest(run.manifest) for run in (slow, fast)]
    seconds = ({"fc": 2.0, "pool": 0.3}, {"fc": 0.5, "pool": 0.25})
    found = [drilldown(s, {}, shared) for s, shared in zip(seconds, conditions, strict=True)]
    view = build_view([fast, slow], drilldowns=Drilldowns(found, found, {"fake-cpu": LINES}))
    assert "Operators: linear forward contributes most, 2300 ms against 750 ms per step" in view.findings[0]
    assert "fc forward (1500 ms more), pool forward (50.0 ms more)" in view.findings[1]
    assert view.findings[2].endswith("conv.py:7, 1500 ms per step: a @ b")
    assert build_view([fast, slow]).findings == ()


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({}, True),
        ({"batch_size": 8}, False),
        ({"data": DrilldownData(kind=DataKind.SYNTHETIC)}, False),
        ({"framework": DrilldownFramework(name="fake", version="2", device="cpu")}, False),
    ],
    ids=["alike", "batch size", "data", "version"],
)
def test_stacks_and_lines_are_shown_only_for_runs_under_the_same_conditions(
    make_run: MakeRun, changed: dict[str, Any], shown: bool
) -> None:
    run = make_run([1.0] * 6)
    conditions = replace(DrilldownConditions.from_manifest(run.manifest), **changed)
    lines, stacks = replace(LINES, conditions=conditions), Stacks({}, 0, 50, 2, conditions)
    view = build_view([run], drilldowns=Drilldowns((), (), {"fake-cpu": lines}, {"fake-cpu": stacks}))
    assert (bool(view.drilldowns.lines), bool(view.drilldowns.stacks)) == (shown, shown)


def test_a_custom_loop_named_after_a_framework_gets_neither_its_drill_downs_nor_its_article(
    make_run: MakeRun,
) -> None:
    names = {"config": {"framework": "torch"}, "framework": {"name": "torch", "title": "torch"}}
    found = Drilldowns((), (), {"torch-cpu": LINES}, {"torch-cpu": Stacks({}, 0, 50)})
    own = {"kind": "own", "source": "digits", "sha256": None}
    for data, known in (({}, True), (own, False)):
        view = build_view([make_run([1.0] * 6, **names, data=data)], drilldowns=found)
        assert [bool(part) for part in (view.drilldowns.lines, view.drilldowns.stacks, view.article)] == [known] * 3


def test_the_next_step_of_custom_loops_suggests_only_what_they_support(make_run: MakeRun) -> None:
    own = {"data": {"kind": "own", "source": "digits", "sha256": None}}
    whole = {"images": [10] * 10 + [4], "evaluation": [0.2, 0.2]}
    sampled = [make_run(noisy(s, 1), config={"label": str(s)}, **own) for s in (1.0, 2.0)]
    again = [make_run(noisy(s, 2), config={"label": str(s)}, **own) for s in (1.0, 2.0)]
    measured = [make_run([s] * 10 + [0.4], config={"label": str(s)}, **own, **whole) for s in (1.0, 2.0, 1.0, 2.0)]
    jumping = [make_run([s] * 10 + [2 * s] * 10, config={"label": str(s)}, **own) for s in (1.0, 2.0)]
    advice = [build_view(runs).next_step for runs in (sampled[:1], sampled, [*sampled, *again], measured, jumping)]
    assert advice[0].startswith("record another loop")
    assert "process-to-process variation" in advice[1]
    assert "whole epochs" in advice[2]
    assert "show RUN" in advice[3]
    assert "more steps of the loop" in advice[4]
    assert not any(word in text for text in advice for word in ("make ", "PRESET=", "REPEATS=", "STEPS="))


def test_data_of_a_custom_loop_have_the_name_that_it_gave(make_run: MakeRun) -> None:
    view = build_view([make_run([1.0] * 5, data={"kind": "own", "source": "digits", "sha256": None})])
    assert view.source.startswith("digits, batch 10")
    assert "CIFAR" not in view.source


def test_findings_omit_layers_watched_on_one_side_or_faster_on_the_slower_side(
    make_run: MakeRun,
) -> None:
    _, slow = pair(make_run)
    torch = {"name": "torch", "title": "PyTorch"}
    fast = make_run(noisy(1.0, 1), framework=torch, full_epoch={"train_images": 1000}, evaluation=[0.1, 0.1])
    sides = (({"fc": 0.5}, {"fc": 1.0}), ({"fc": 2.0}, {}))
    found = [
        drilldown(*side, DrilldownConditions.from_manifest(run.manifest))
        for side, run in zip(sides, (slow, fast), strict=True)
    ]
    view = build_view([fast, slow], drilldowns=Drilldowns(layers=found))
    assert view.findings == ()
    assert layers.finding(view) == "Time of forward and backward by layer"


@pytest.mark.parametrize("name", ["synthetic", "cifar10"])
def test_custom_data_are_shown_under_the_name_that_the_loop_gave(make_run: MakeRun, name: str) -> None:
    run = make_run([1.0] * 5, data={"kind": "own", "source": name, "sha256": None})
    assert build_view([run]).source.startswith(f"{name}, batch 10")
    (series,) = build_histories([run], {})
    assert f"| {name}, batch 10" in describe_series(series)


def test_a_training_on_a_part_of_the_images_names_it_below_every_picture(make_run: MakeRun) -> None:
    part, whole = make_run([1.0] * 5, config={"train_limit": 100}), make_run([1.0] * 5)
    assert "CIFAR-10 (100 training and 20 test images, balanced by class), batch" in build_view([part]).source
    assert build_view([whole]).source.startswith("CIFAR-10, batch 10")
