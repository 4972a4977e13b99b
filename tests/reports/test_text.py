import csv
import io

import pytest

from epoch_gap.profiler.comparison.subject import group_runs
from epoch_gap.reports import formats
from epoch_gap.reports.export.report_csv import phases_csv
from epoch_gap.reports.terminal.tables import list_conditions, phase_table
from tests.helpers.runs import MakeRun, with_materialize
from tests.helpers.views import build_view


def test_the_csv_has_the_numbers_of_the_summary(make_run: MakeRun) -> None:
    lazy = with_materialize(make_run([2.0, 2.2, 1.9, 2.1, 2.0, 1.8], config={"label": 'odd, "label"\n'}))
    view = build_view([lazy, make_run([1.0] * 6, evaluation=[0.3])])
    rows = list(csv.DictReader(io.StringIO(phases_csv(view.summary))))
    gap = view.summary["gaps"][0]
    assert len(rows) == sum(len(subject["phases"]["asrun"]) for subject in view.summary["subjects"])
    for subject in view.summary["subjects"]:
        for phase, cell in subject["phases"]["asrun"].items():
            row = next(r for r in rows if (r["subject"], r["phase"]) == (subject["id"], phase))
            expected = cell or dict.fromkeys(("seconds", "low", "high", "share"))
            assert number(row["seconds_per_epoch"]) == expected["seconds"]
            assert (number(row["low_s"]), number(row["high_s"])) == (expected["low"], expected["high"])
            assert number(row["share"]) == expected["share"]
            term = gap["by_phase"]["asrun"].get(phase, {}) if subject["id"] == gap["slow"] else {}
            assert number(row["gap_s"]) == term.get("value")
            assert (number(row["gap_low_s"]), number(row["gap_high_s"])) == (term.get("low"), term.get("high"))
    assert sum(float(row["gap_s"] or 0) for row in rows) == pytest.approx(gap["seconds"]["value"])


def number(cell: str) -> float | None:
    return float(cell) if cell else None


def test_one_subjects_csv_has_no_gap(make_run: MakeRun) -> None:
    rows = list(csv.DictReader(io.StringIO(phases_csv(build_view([make_run([1.0] * 6)]).summary))))
    assert {row["gap_s"] for row in rows} == {""}
    assert next(row["seconds_per_epoch"] for row in rows if row["phase"] == "materialize") == ""


def test_the_table_aligns_and_reads_na_for_a_missing_phase(make_run: MakeRun) -> None:
    lazy, eager = with_materialize(make_run([2.0] * 6, config={"label": "lazy"})), make_run([1.0] * 6)
    lines = phase_table(group_runs([lazy, eager])).splitlines()
    table = {line.split()[0]: line for line in lines}
    assert table["materialize"].split() == ["materialize", "5.19", "s", "24.4", "%", "n/a"]
    assert table["forward"].split() == ["forward", "0.010", "s", "<", "0.1", "%", "2.60", "s", "23.9", "%"]
    assert "checkpoint" not in table
    assert len({len(line) for line in lines}) == 1


def test_each_condition_is_one_line(make_run: MakeRun) -> None:
    run = make_run([1.0] * 6, environment={"variables": {"OMP_NUM_THREADS": "2"}})
    lines = list_conditions(run).splitlines()
    assert lines[:3] == [f"run: {run.id}", "status: complete", "training steps: 6"]
    assert "environment.variables.OMP_NUM_THREADS: 2" in lines
    assert "config.batch_size: 10" in lines
    assert sum(line.startswith("status:") for line in lines) == 1


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "n/a"),
        (4438.2, "4438 s"),
        (53.62, "53.6 s"),
        (1.7, "1.70 s"),
        (0.0214, "0.021 s"),
        (0.00691, "6.91 ms"),
        (-2e-6, "−0.002 ms"),
        (0.0, "0.000 s"),
        (-2.7, "−2.70 s"),
    ],
)
def test_seconds_have_about_three_figures(value: float | None, written: str) -> None:
    assert formats.seconds(value) == written


def test_an_unknown_value_is_shown_as_unknown_and_not_as_0() -> None:
    assert formats.within(None, None) == "interval unknown"
    assert formats.within(1.0, 2.5) == "1.00 s to 2.50 s"
    assert formats.percent(None) == "n/a"
    assert formats.percent(0.0004) == "< 0.1 %"
    assert formats.percent(0.0) == "0.0 %"
    assert [formats.times(ratio) for ratio in (6.2345, 0.99821, 12.44)] == ["6.23", "0.998", "12.4"]
