"""The page, the picture and the tables of a matrix, on runs with known times."""

import csv
import html
from dataclasses import replace
from pathlib import Path

import pytest

from epoch_gap.profiler.matrix.cell_state import CellState, CellStatus
from epoch_gap.profiler.matrix.matrix import Matrix, read_matrix
from epoch_gap.profiler.matrix.result import MatrixResult
from epoch_gap.profiler.matrix.version_series import build_series
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports.charts.matrix import matrix_figure
from epoch_gap.reports.page.matrix_page import (
    FILES,
    cell_rows,
    change_rows,
    condition_rows,
    phase_rows,
    render_matrix,
)
from epoch_gap.reports.terminal.matrix import matrix_tables
from tests.helpers.drilldowns import CONDITIONS, drilldown
from tests.helpers.fake_training import scripted_run
from tests.helpers.matrix import write_matrix
from tests.helpers.runs import MakeRun
from tests.helpers.version_runs import REPEATS, STEADY, runs_of_versions, with_longer

REASON = "out of memory <killed>"


@pytest.fixture
def runs(make_run: MakeRun) -> list[Run]:
    """Three versions: backward takes 1.2 times as long in the third."""
    found = runs_of_versions(make_run, {"1": 1.0, "2": 1.0, "3": 1.0})
    return [with_longer(run, Phase.BACKWARD, 1.2) if run.framework.version == "3" else run for run in found]


@pytest.fixture
def matrix(tmp_path: Path) -> Matrix:
    return read_matrix(write_matrix(tmp_path, repeats=len(REPEATS)))


@pytest.fixture
def result(runs: list[Run], matrix: Matrix) -> MatrixResult:
    """All cells complete but the last repeat of version 2, which failed."""
    found = iter(runs)
    states = [CellState(cell, CellStatus.COMPLETE, next(found).path) for cell in matrix.cells]
    failed = next(i for i, state in enumerate(states) if state.cell.title == "fake 2, cpu, batch 10, repeat 3")
    states[failed] = CellState(states[failed].cell, CellStatus.FAILED, reason=REASON)
    conditions = [
        replace(CONDITIONS, batch_size=10, framework=replace(CONDITIONS.framework, version=v)) for v in "23"
    ]
    layers = [
        drilldown({"stem.conv": 1.0}, {"stem.conv": 1.5, "fc": 0.5}, conditions[0]),
        drilldown({"stem.conv": 2.0}, {"stem.conv": 1.7, "fc": 0.5}, conditions[1]),
    ]
    return MatrixResult(matrix, tuple(states), tuple(runs), tuple(build_series(runs, layers, {}, {})))


def test_a_phase_is_marked_in_the_version_in_which_it_changed(result: MatrixResult) -> None:
    rows = dict(phase_rows(result.series[0]))
    assert [bool(cell.change) for cell in rows["backward"]] == [False, False, True]
    assert rows["backward"][2].change.startswith("+1.5")
    assert not any(cell.change for cell in rows["forward"])
    assert rows["epoch"][2].change == "14.3 % slower"
    assert all(cell.range for cell in rows["epoch"])


def lazy_run(folder: Path, version: str, backward: float) -> Run:
    run = scripted_run(folder, lazy=True, costs=f"forward=30,backward={backward},step=5")
    framework = replace(run.manifest.framework, version=version)
    return replace(run, manifest=replace(run.manifest, framework=framework))


def test_a_lazy_versions_change_is_named_where_it_works_and_marked_where_it_is_charged(tmp_path: Path) -> None:
    costs = {"1": (80, 81, 82), "2": (120, 121, 122)}
    runs = [
        lazy_run(tmp_path / f"{version}-{cost}", version, cost)
        for version, all_of in costs.items()
        for cost in all_of
    ]
    (series,) = build_series(runs, [], {}, {})
    (change,) = series.changes
    assert [phase for phase, _ in change.phases] == [Phase.BACKWARD]
    rows = dict(phase_rows(series))
    assert rows["step"][1].change.startswith("+"), "the as-run step waits for the backward pass"
    assert rows["backward"][1].change == "", "as run, the backward pass took no longer"
    assert rows["epoch"][1].change.endswith("slower")


def test_a_change_names_its_phases_and_layers_and_an_undecided_one_does_not(result: MatrixResult) -> None:
    _, first, second = change_rows(result.series[0])
    assert (first[0], first[1], first[3:]) == ("1 to 2", "equal within 2 %", ["", ""])
    assert (second[0], second[1]) == ("2 to 3", "14.3 % slower")
    assert second[3].startswith("backward +1.5")
    assert second[4] == "stem.conv (backward) +2.08 s", "forward did not change, whatever its layers did"


def test_the_page_has_all_of_it_and_is_escaped(result: MatrixResult) -> None:
    files = render_matrix(result, {})
    assert files.keys() == set(FILES)
    page = files["index.html"].decode()
    assert REASON not in page
    text = html.unescape(page)
    assert "Fake (cpu), batch 10, 1 to 3: 14.3 % slower in 3." in text
    assert f"fake 2, cpu, batch 10: {REASON}" in text
    assert "9 cells: 8 complete, 1 failed" in text
    assert "Layers, 2 to 3: the largest changes per step" in text
    assert "default-src 'none'" in text
    assert "<script" not in page
    assert len(list(csv.DictReader(files["history.csv"].decode().splitlines()))) == 9


def test_a_cells_row_has_the_state_of_each_repeat(result: MatrixResult, runs: list[Run]) -> None:
    head, *rows = cell_rows(result)
    assert head == ["configuration", "repeat 1", "repeat 2", "repeat 3"]
    assert [row[0] for row in rows] == [f"fake {version}, cpu, batch 10" for version in "123"]
    assert rows[0][1] == f"complete, run {runs[0].short_id}"
    assert rows[1][3] == f"failed: {REASON}"


def test_conditions_that_differ_between_versions_are_listed(make_run: MakeRun) -> None:
    runs = [
        make_run(STEADY, framework={"version": version}, environment={"python": python})
        for version, python in (("1", "CPython 3.13"), ("2", "CPython 3.14"))
    ]
    (series,) = build_series(runs, [], {}, {})
    head, *rows = condition_rows(series)
    assert head == ["condition", "1", "2", "can affect"]
    assert [row[1:3] for row in rows] == [["CPython 3.13", "CPython 3.14"]]
    (same,) = build_series([make_run(STEADY, framework={"version": version}) for version in "12"], [], {}, {})
    assert condition_rows(same) == []


def test_the_picture_marks_a_change_between_the_bars_of_its_versions(result: MatrixResult) -> None:
    figure = matrix_figure(result.series, "mine")
    (panel,) = figure.get_axes()
    marks = {text.get_text(): text.xy[0] for text in panel.texts if text.get_text().endswith("%")}
    assert marks == {"+14.3 %": 1.5}
    heights: dict[int, float] = {}
    for bar in panel.patches:
        heights[round(bar.get_center()[0])] = heights.get(round(bar.get_center()[0]), 0.0) + bar.get_height()
    assert heights == pytest.approx({0: 10.9, 1: 10.9, 2: 12.46}, rel=0.001)
    assert figure.get_supxlabel().endswith("9 runs of the matrix mine, all in history.csv")


def test_the_terminal_has_a_row_per_version_and_a_line_per_failure(result: MatrixResult) -> None:
    lines = matrix_tables(result).splitlines()
    assert lines[0].startswith("Fake (cpu), batch 10 | CIFAR-10 | test CPU")
    assert [line.split()[:2] for line in lines[2:5]] == [["1", "3"], ["2", "3"], ["3", "3"]]
    assert "14.3 % slower" in lines[4]
    assert lines[5] == "Fake (cpu), batch 10, 1 to 3: 14.3 % slower in 3."
    assert lines[-1] == f"failed: fake 2, cpu, batch 10: {REASON}"


def test_a_matrix_without_runs_has_no_table_and_all_reasons(matrix: Matrix) -> None:
    states = tuple(CellState(cell, CellStatus.FAILED, reason=REASON) for cell in matrix.cells)
    lines = matrix_tables(MatrixResult(matrix, states, (), (), {"fake 1": REASON})).splitlines()
    assert lines[0] == "9 cells: 9 failed"
    assert lines[-1] == f"failed: layers of fake 1: {REASON}"
