import csv
import re
from pathlib import Path
from typing import Any

import pytest

from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.comparison.history import build_histories
from epoch_gap.profiler.comparison.identity import machine_key
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.noise_floor_store import NoiseFloor
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports.charts import history
from epoch_gap.reports.charts.canvas import png
from epoch_gap.reports.export.report_csv import history_csv
from epoch_gap.reports.sentences.history import describe_change, describe_series
from epoch_gap.reports.terminal.history import history_tables
from tests.helpers.runs import MakeRun

STEADY = [1.0, 1.01, 0.99, 1.0, 1.01, 0.99, 1.0, 1.01, 0.99, 1.0]


def of_version(make_run: MakeRun, version: str, factor: float = 1.0) -> Run:
    return make_run([factor * s for s in STEADY], framework={"version": version})


def test_build_tags_are_shown_only_where_they_distinguish_two_versions(make_run: MakeRun) -> None:
    def shown(*versions: str) -> tuple[str, str]:
        runs = [make_run(STEADY, framework={"version": version}) for version in versions]
        (series,) = build_histories(runs, {})
        return history_tables([series]), describe_change(series)

    table, change = shown("2.0+cu130", "2.1+cu130")
    assert "cu130" not in table
    assert "(2.0 to 2.1)" in change
    table, change = shown("2.0+cpu", "2.0+cu130")
    assert "2.0+cu130" in table
    assert "(2.0+cpu to 2.0+cu130)" in change


def test_versions_follow_each_other_in_one_series_with_the_change_from_first_to_last(make_run: MakeRun) -> None:
    runs = [of_version(make_run, version, factor) for version, factor in (("1", 1.0), ("2", 1.5), ("3", 2.0))]
    (series,) = build_histories(runs, {})
    assert [(e.run, e.version) for e in series.entries] == [(run.id, v) for run, v in zip(runs, "123", strict=True)]
    assert series.change is not None
    assert series.change.seconds.value == pytest.approx(10.4)
    assert series.change.is_clear
    assert "(1 to 3): 95.4 % slower, ratio 1.95" in describe_change(series)
    (back,) = build_histories(runs[::-1], {})
    assert "faster, ratio 0.512" in describe_change(back)


def test_runs_that_are_not_comparable_are_never_in_one_series(make_run: MakeRun) -> None:
    machine = {"cpu": "other CPU", "cores_usable": 2, "system": "Test 1"}
    runs = [
        make_run(STEADY),
        make_run(STEADY, images=[5] * 10, config={"batch_size": 5}),
        make_run(STEADY, data={"sha256": "1" * 64}),
        make_run(STEADY, environment={"machine": machine}),
        make_run(STEADY, config={"label": "another"}),
        make_run(STEADY, framework={"device": "gpu"}),
        make_run(STEADY, config={"compile": True}),
        make_run(STEADY, full_epoch={"train_images": 208}),
    ]
    found = build_histories(runs, {})
    assert [[e.run for e in series.entries] for series in found] == [[run.id] for run in runs]
    assert all(series.change is None for series in found)


def test_data_sets_of_custom_loops_are_distinguished_by_name(make_run: MakeRun) -> None:
    names = ("digits", "letters", "digits")
    runs = [make_run(STEADY, data={"kind": "own", "source": name, "sha256": None}) for name in names]
    digits, letters = build_histories(runs, {})
    assert [e.run for e in digits.entries] == [runs[0].id, runs[2].id]
    assert [e.run for e in letters.entries] == [runs[1].id]
    assert describe_series(digits).startswith("Fake (cpu) | digits, batch 10")
    rows = list(csv.DictReader(history_csv([digits, letters]).splitlines()))
    assert [row["data"] for row in rows] == ["digits", "digits", "letters"]


def test_a_change_below_the_noise_floor_is_undecided(make_run: MakeRun) -> None:
    runs = [of_version(make_run, "1"), of_version(make_run, "2", 1.5)]
    floor = NoiseFloor("fake", "cpu", 10, "cifar10", 0.6, 1.0, "equal", 4, "2026-11-24")
    (series,) = build_histories(runs, {}, {machine_key(runs[0].manifest): {"fake-cpu-batch-10-cifar10": floor}})
    assert "undecided" in describe_change(series)


def test_a_run_without_a_full_step_is_left_out_with_the_reason(make_run: MakeRun) -> None:
    left_out: dict[str, str] = {}
    good, short = make_run(STEADY), make_run([1.0], images=[4])
    (series,) = build_histories([good, short], left_out)
    assert [e.run for e in series.entries] == [good.id]
    assert list(left_out) == [short.id]
    assert "no full training step" in left_out[short.id]


def test_the_table_has_version_interval_flags_and_commit(make_run: MakeRun) -> None:
    environment = {
        "git": {"commit": "0123456789abcdef", "dirty": True},
        "variables": {"OPENBLAS_CORETYPE": "Haswell"},
    }
    lines = history_tables(build_histories([make_run(STEADY, environment=environment)], {})).splitlines()
    assert lines[0] == "Fake (cpu) | CIFAR-10, batch 10 | test CPU, 2 cores, Test"
    assert "backward 7.80 s, forward 2.60 s, epoch_start 0.500 s" in lines[2]
    assert "kernels forced" in lines[2]
    assert lines[2].rstrip().endswith("0123456+")
    assert "no evaluate" in lines[2]
    assert lines[3].startswith("one run")


def test_the_csv_has_a_row_per_run_whose_phases_sum_to_the_epoch(make_run: MakeRun) -> None:
    found = build_histories([of_version(make_run, "1"), of_version(make_run, "2", 2.0)], {})
    rows = list(csv.DictReader(history_csv(found).splitlines()))
    assert [row["version"] for row in rows] == ["1", "2"]
    for row in rows:
        parts = [row[f"{phase}_s"] for phase in Phase]
        assert "" in parts, "a phase that was not there is empty"
        assert sum(float(part) for part in parts if part) == pytest.approx(float(row["epoch_s"]))
        assert float(row["low_s"]) < float(row["epoch_s"]) < float(row["high_s"])


def test_the_picture_has_a_panel_per_series_with_its_finding(make_run: MakeRun) -> None:
    runs = [of_version(make_run, "1"), of_version(make_run, "2", 2.0), make_run(STEADY, config={"label": "lone"})]
    figure = history.history(build_histories(runs, {}))
    panels = figure.get_axes()
    assert [panel.get_title(loc="left").splitlines()[0] for panel in panels] == ["Fake (cpu)", "lone (cpu)"]
    assert "95.4 % slower" in panels[0].get_title(loc="left")
    assert [label.get_text().splitlines()[0] for label in panels[0].get_xticklabels()] == ["1", "2"]
    heights: dict[int, float] = {}
    for bar in panels[0].patches:
        heights[round(bar.get_center()[0])] = heights.get(round(bar.get_center()[0]), 0.0) + bar.get_height()
    assert heights == pytest.approx({0: 10.9, 1: 21.3})
    source = figure.get_supxlabel()
    assert all(run.id[-6:] in source for run in runs)
    assert png(figure).startswith(b"\x89PNG")


def test_only_some_of_many_runs_are_named_below_their_bars(make_run: MakeRun) -> None:
    run = make_run(STEADY)
    (panel,) = history.history(build_histories([run] * 40, {})).get_axes()
    assert 1 < len(panel.get_xticks()) <= history.MOST_LABELS


def test_only_a_bar_without_evaluate_is_labelled_so(make_run: MakeRun) -> None:
    whole, short = make_run(STEADY, evaluation=[5.0]), make_run(STEADY)
    (panel,) = history.history(build_histories([whole, short], {})).get_axes()
    assert ["no evaluate" in label.get_text() for label in panel.get_xticklabels()] == [False, True]
    assert panel.get_ylabel() == "seconds per epoch"
    runs = [whole if x % 4 == 0 else short for x in range(40)]
    (panel,) = history.history(build_histories(runs, {})).get_axes()
    named = [label.get_text() for label in panel.get_xticklabels()]
    assert ["no evaluate" in label for label in named] == [x % 4 > 0 for x in map(round, panel.get_xticks())]
    others = set(range(40)) - set(map(round, panel.get_xticks()))
    assert [round(x) for x in panel.get_xticks(minor=True)] == sorted(x for x in others if x % 4)
    assert {label.get_text() for label in panel.get_xticklabels(minor=True)} == {"*"}
    assert "*: no evaluate" in panel.get_ylabel()


def words(run: Run, out: Path, *more: str) -> list[str]:
    return ["history", "--runs-dir", str(run.path.parent), "--out", str(out), *more]


def test_the_command_skips_unreadable_runs_and_writes_the_rest(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    run = of_version(make_run, "1")
    out = run.path.parent.parent / "out" / "history"
    broken = run.path.parent / "20200101T000000.000Z-fake-cpu-abcdef"
    broken.mkdir()
    (broken / "run.sqlite").write_text("no database")
    assert main(words(run, out)) == 0
    printed = capsys.readouterr()
    assert printed.err.startswith(f"skipped: {broken.name}: ")
    assert printed.err.count("\n") == 1
    assert run.id[-6:] in printed.out
    assert {path.name for path in out.iterdir()} == {"history.png", "history.csv"}


@pytest.mark.usefixtures("blank_pictures")
def test_a_report_may_be_written_above_a_history(make_run: MakeRun) -> None:
    run = of_version(make_run, "1")
    out = run.path.parent.parent / "out"
    assert main(words(run, out / "history")) == 0
    assert main(["report", "--runs-dir", str(run.path.parent), "--out", str(out)]) == 0


def test_a_framework_without_runs_gives_one_line_and_no_file(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    run = of_version(make_run, "1")
    out = run.path.parent.parent / "out"
    assert main(words(run, out, "--framework", "torch")) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert not out.exists()
    assert main(words(run, out, "--framework", "fake")) == 0


def levels(make_run: MakeRun, *factors: float, **changes: Any) -> list[Run]:
    """Runs whose epochs have these levels, one after the other, with a spread of 0.1 %."""
    return [make_run([f * (1 + 0.001 * (-1) ** i) * s for s in STEADY], **changes) for i, f in enumerate(factors)]


def test_a_change_of_level_is_found_with_the_version_that_made_it(make_run: MakeRun) -> None:
    before = levels(make_run, *[1.0] * 6, framework={"version": "1"})
    after = levels(make_run, *[1.2] * 4, framework={"version": "2"})
    runs = [*before, *after]
    (series,) = build_histories(runs, {})
    (change,) = series.changes
    assert (change.index, change.earliest, change.latest) == (6, 6, 6)
    words = describe_change(series)
    assert words.startswith(f"1 change in 10 runs: from {runs[6].id[-6:]} (")
    assert "on (1 to 2) 19." in words
    assert "% slower, ratio 1.19, 95 % 1.1" in words
    (back,) = build_histories(runs[::-1], {})
    assert "% faster, ratio 0.8" in describe_change(back)


def test_a_level_that_came_and_went_is_not_seen_from_first_to_last(make_run: MakeRun) -> None:
    (series,) = build_histories(levels(make_run, *[1.0] * 5, *[1.2] * 4, *[1.0] * 5), {})
    assert [change.index for change in series.changes] == [5, 9]
    assert series.change is not None
    assert series.change.ratio.value == pytest.approx(1, abs=0.01)
    assert describe_change(series).startswith("2 changes in 14 runs: ")


def test_without_a_change_the_size_that_would_have_been_found_is_given(make_run: MakeRun) -> None:
    (series,) = build_histories(levels(make_run, *[1.0] * 8), {})
    assert series.changes == ()
    assert series.detectable is not None
    assert 0 < series.detectable < 0.01
    assert re.fullmatch(
        r"no change in 8 runs: one of 0\.\d % in their middle would have been found", describe_change(series)
    )


def test_a_change_within_the_noise_floor_is_none(make_run: MakeRun) -> None:
    runs = levels(make_run, *[1.0] * 5, *[1.2] * 5)
    floor = NoiseFloor("fake", "cpu", 10, "cifar10", 0.3, 1.0, "equal", 4, "2026-11-24")
    (series,) = build_histories(runs, {}, {machine_key(runs[0].manifest): {"fake-cpu-batch-10-cifar10": floor}})
    assert series.changes == ()
    assert "one of 30.0 %" in describe_change(series)


def test_a_missing_evaluation_is_no_change(make_run: MakeRun) -> None:
    whole = levels(make_run, *[1.0] * 5, evaluation=[5.0, 5.0])
    (series,) = build_histories([*whole, *levels(make_run, *[1.0] * 5)], {})
    assert series.excluded == (Phase.EVALUATE,)
    assert series.changes == ()
    assert describe_change(series).endswith("; without evaluate")


def test_the_csv_numbers_the_levels_and_the_picture_marks_the_changes(make_run: MakeRun) -> None:
    found = build_histories(levels(make_run, *[1.0] * 4, *[1.2] * 4), {})
    rows = list(csv.DictReader(history_csv(found).splitlines()))
    assert [row["segment"] for row in rows] == list("11112222")
    (panel,) = history.history(found).get_axes()
    (line,) = [line for line in panel.get_lines() if line.get_linestyle() == "--"]
    assert list(line.get_xdata()) == [3.5, 3.5]
    assert any("% slower" in text.get_text() for text in panel.texts)


def test_a_title_describes_the_newest_of_many_changes(make_run: MakeRun) -> None:
    (series,) = build_histories(levels(make_run, *[1.0] * 4, *[1.2] * 4, *[1.0] * 4, *[1.3] * 4), {})
    assert len(series.changes) == 3
    assert describe_change(series).startswith("3 changes in 16 runs: ")
    assert describe_change(series, 2).startswith("3 changes in 16 runs, the newest 2: ")
    (panel,) = history.history([series]).get_axes()
    assert "the newest 2" in panel.get_title(loc="left").replace("\n", " ")
    assert len([line for line in panel.get_lines() if line.get_linestyle() == "--"]) == 3
