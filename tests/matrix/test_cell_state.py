"""The rule of which cells of a matrix still have to run."""

from pathlib import Path

from epoch_gap.profiler.matrix.cell_state import INTERRUPTED, CellStatus, find_states
from epoch_gap.profiler.matrix.matrix import Cell, read_matrix
from tests.helpers.matrix import write_matrix
from tests.helpers.runs import MakeRun

STEPS = [1.0, 1.1, 0.9]


def no_failure(cell: Cell) -> str:
    return ""


def test_a_cell_is_complete_only_with_a_complete_run_of_its_id(make_run: MakeRun, tmp_path: Path) -> None:
    complete, interrupted, failed, open_one, *_ = cells = read_matrix(write_matrix(tmp_path)).cells
    runs = {
        cell.id: make_run(STEPS, status=status, cell=cell.id)
        for cell, status in ((complete, "complete"), (interrupted, "interrupted"), (failed, "failed"))
    }
    make_run(STEPS)
    store = runs[complete.id].path.parent
    reasons = {failed.id: "out of memory"}
    states = find_states(cells, store, lambda cell: reasons.get(cell.id, ""), {})
    assert [state.cell for state in states] == list(cells)
    assert (states[0].status, states[0].run) == (CellStatus.COMPLETE, runs[complete.id].path)
    assert (states[1].status, states[1].reason) == (CellStatus.OPEN, INTERRUPTED)
    assert (states[2].status, states[2].reason) == (CellStatus.FAILED, "out of memory")
    assert {(state.status, state.reason) for state in states[3:]} == {(CellStatus.OPEN, "")}
    assert open_one is states[3].cell


def test_a_complete_run_counts_whatever_failed_before_it_and_the_newest_is_taken(
    make_run: MakeRun, tmp_path: Path
) -> None:
    cell = read_matrix(write_matrix(tmp_path)).cells[0]
    make_run(STEPS, status="interrupted", cell=cell.id)
    make_run(STEPS, cell=cell.id)
    newest = make_run(STEPS, cell=cell.id)
    (state,) = find_states([cell], newest.path.parent, lambda cell: "the first attempt", {})
    assert (state.status, state.run) == (CellStatus.COMPLETE, newest.path)


def test_a_run_that_cannot_be_read_is_named_and_does_not_count(make_run: MakeRun, tmp_path: Path) -> None:
    cell = read_matrix(write_matrix(tmp_path)).cells[0]
    run = make_run(STEPS, cell=cell.id)
    (run.path / "run.sqlite").write_bytes(b"no database")
    skipped: dict[str, str] = {}
    (state,) = find_states([cell], run.path.parent, no_failure, skipped)
    assert state.status is CellStatus.OPEN
    assert list(skipped) == [run.path.name]


def test_a_store_that_is_not_there_yet_has_no_runs(tmp_path: Path) -> None:
    cells = read_matrix(write_matrix(tmp_path)).cells
    assert {state.status for state in find_states(cells, tmp_path / "nowhere", no_failure, {})} == {CellStatus.OPEN}
