"""The state of a matrix's cells in the run store: the rule of which of them still have to run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.matrix.matrix import Cell
from epoch_gap.profiler.storage.manifest import RunStatus
from epoch_gap.profiler.storage.reader import RunHeader, find_runs, read_header

RUNNING, INTERRUPTED = "running", "interrupted; the next call runs it again"


class CellStatus(StrEnum):
    """The state of a cell; the values are shown."""

    COMPLETE = "complete"
    FAILED = "failed"
    OPEN = "not run"


@dataclass(frozen=True)
class CellState:
    """A cell with its run, or with the reason why it has none."""

    cell: Cell
    status: CellStatus
    run: Path | None = None
    """the directory of its complete run"""
    reason: str = ""


def find_states(
    cells: Sequence[Cell], store: Path, failure_of: Callable[[Cell], str], skipped: dict[str, str]
) -> list[CellState]:
    """The state of each cell. A cell is complete if the store has a complete run with its id.

    `failure_of` is the reason why a cell's last attempt failed, empty if it did not. A run that cannot be read is
    added to `skipped` with the reason, and does not count.
    """
    runs: dict[str, list[tuple[Path, RunHeader]]] = {}
    for path in find_runs(store):
        try:
            header = read_header(path)
        except UserError as error:
            skipped[path.name] = str(error)
            continue
        runs.setdefault(header.manifest.cell or "", []).append((path, header))
    return [_state(cell, runs.get(cell.id, []), failure_of(cell)) for cell in cells]


def _state(cell: Cell, runs: Sequence[tuple[Path, RunHeader]], failure: str) -> CellState:
    complete = [path for path, header in runs if header.status is RunStatus.COMPLETE]
    if complete:
        return CellState(cell, CellStatus.COMPLETE, complete[-1])
    if failure:
        return CellState(cell, CellStatus.FAILED, reason=failure)
    if any(header.status is RunStatus.RUNNING for _, header in runs):
        return CellState(cell, CellStatus.OPEN, reason=RUNNING)
    return CellState(cell, CellStatus.OPEN, reason=INTERRUPTED if runs else "")
