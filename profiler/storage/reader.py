"""Find stored runs, and read them with or without their steps."""

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.records import USAGE_FIELDS, Epoch, Reading
from epoch_gap.profiler.storage.manifest import Manifest, RunStatus, manifest_from_json
from epoch_gap.profiler.storage.run import Run, StepTable, UsageTable
from epoch_gap.profiler.storage.schema import DATABASE, EPOCH_COLUMNS, READING_COLUMNS, SCHEMA_VERSION

CHUNK = 10_000
"""rows fetched at a time"""


@dataclass(frozen=True)
class RunHeader:
    """A stored run without its steps."""

    id: str
    status: RunStatus
    manifest: Manifest
    training_steps: int


def find_runs(runs_dir: Path) -> list[Path]:
    """The run directories in `runs_dir`, oldest first."""
    return sorted(path.parent for path in runs_dir.glob(f"*/{DATABASE}"))


def locate_run(name: str, runs_dir: Path) -> Path:
    """The run directory that `name` identifies: a path, a run id, or a unique part of one. Raises UserError."""
    if (Path(name) / DATABASE).is_file():
        return Path(name)
    matches = [path for path in find_runs(runs_dir) if name in path.name]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UserError(f"{name!r} matches {len(matches)} runs in {runs_dir}; give more of the id")
    raise UserError(f"no run {name!r} in {runs_dir}; `python -m profiler list` lists the stored runs")


def read_run(path: Path) -> Run:
    """Read a run, finished or not. Raises UserError for a file that is not a run of a known version."""
    with _open_run(path) as (db, manifest, status):
        return Run(
            id=path.resolve().name,
            path=path,
            status=status,
            manifest=manifest,
            train=_read_steps(db, "train"),
            evaluate=_read_steps(db, "evaluate"),
            epochs=_read_epochs(db),
            events=tuple(db.execute("SELECT kind, text FROM events ORDER BY rowid").fetchall()),
            readings=_read_readings(db),
        )


def read_header(path: Path) -> RunHeader:
    """Read a run without its steps. Raises UserError as `read_run` does."""
    with _open_run(path) as (db, manifest, status):
        return RunHeader(path.resolve().name, status, manifest, _count(db, "train"))


@contextmanager
def _open_run(path: Path) -> Iterator[tuple[sqlite3.Connection, Manifest, RunStatus]]:
    """A run's database in one transaction, its manifest, and its status now."""
    file = path / DATABASE
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", uri=True)) as db:
            is_alive = _is_locked(path)  # before the status, which a run stores before it unlocks
            db.execute("BEGIN")
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if not 1 <= version <= SCHEMA_VERSION:
                raise UserError(f"{file} has schema version {version}; this program reads 1 to {SCHEMA_VERSION}")
            manifest = _read_manifest(db, file)
            was_killed = manifest.status is RunStatus.RUNNING and not is_alive
            yield db, manifest, RunStatus.INTERRUPTED if was_killed else manifest.status
    except sqlite3.DatabaseError as error:
        raise UserError(f"{file} cannot be read as a run: {error}") from None


def _read_manifest(db: sqlite3.Connection, file: Path) -> Manifest:
    try:
        values = {key: json.loads(value) for key, value in db.execute("SELECT key, value FROM manifest")}
        return manifest_from_json(values)
    except (UserError, ValueError) as error:
        raise UserError(f"{file} cannot be read as a run: {error}") from None


def _read_steps(db: sqlite3.Connection, stage: str) -> StepTable:
    present = _present_phases(db, stage)
    memory = "COALESCE(rss_bytes, 0)" if "rss_bytes" in _columns(db, "steps") else "0"
    columns = ["epoch", "step", "ledger = 'fenced'", "images", "correct", "start_ns", "wall_ns", memory]
    integers = _fetch(db, stage, [*columns, *(f"{phase}_ns" for phase in present)], np.int64)
    epoch, index, fenced, images, correct, start, wall, rss, *phases = integers
    (loss,) = _fetch(db, stage, ["loss"], np.float64)
    by_phase = dict(zip(present, phases, strict=True))
    usage, phase_usage = _read_usage(db, stage), _read_phase_usage(db, stage, epoch, index)
    return StepTable(epoch, index, fenced == 1, images, loss, correct, start, wall, by_phase, rss, usage, phase_usage)


def _read_usage(db: sqlite3.Connection, stage: str) -> UsageTable | None:
    """None if the steps were stored by a version that did not count it, or by a recorder that does not."""
    query = "SELECT count(*) FROM steps WHERE stage = ? AND user_ns IS NULL"
    if USAGE_FIELDS[0] not in _columns(db, "steps") or db.execute(query, (stage,)).fetchone()[0]:
        return None
    return UsageTable.from_rows(_fetch(db, stage, list(USAGE_FIELDS), np.int64))


def _read_phase_usage(
    db: sqlite3.Connection, stage: str, epoch: NDArray[np.int64], index: NDArray[np.int64]
) -> dict[Phase, UsageTable]:
    """By phase, one value per step; a step without a row has zeros."""
    if not _columns(db, "phase_usage"):
        return {}  # before version 3
    place = {step: i for i, step in enumerate(zip(epoch.tolist(), index.tolist(), strict=True))}
    query = f"SELECT epoch, step, phase, {', '.join(USAGE_FIELDS)} FROM phase_usage WHERE stage = ?"
    tables: dict[Phase, NDArray[np.int64]] = {}
    for at_epoch, at_step, name, *counts in db.execute(query, (stage,)):
        table = tables.setdefault(Phase(name), np.zeros((len(USAGE_FIELDS), len(index)), np.int64))
        table[:, place[at_epoch, at_step]] = counts
    return {phase: UsageTable.from_rows(table) for phase, table in tables.items()}


def _fetch[T: np.generic](db: sqlite3.Connection, stage: str, columns: list[str], kind: type[T]) -> NDArray[T]:
    """Columns of a stage's steps, shape (columns, steps), each contiguous."""
    values = np.empty((len(columns), _count(db, stage)), kind)
    cursor = db.execute(f"SELECT {', '.join(columns)} FROM steps WHERE stage = ? ORDER BY epoch, step", (stage,))
    for start in range(0, values.shape[1], CHUNK):
        rows = cursor.fetchmany(CHUNK)
        values[:, start : start + len(rows)] = np.array(rows, kind).T
    return values


def _count(db: sqlite3.Connection, stage: str) -> int:
    return int(db.execute("SELECT count(*) FROM steps WHERE stage = ?", (stage,)).fetchone()[0])


def _present_phases(db: sqlite3.Connection, stage: str) -> list[Phase]:
    """The phases of a stage. Every step of a stage has the same ones, so the first step decides."""
    known = _known_phases(db, "steps")
    columns = ", ".join(f"{phase}_ns" for phase in known)
    query = f"SELECT {columns} FROM steps WHERE stage = ? ORDER BY epoch, step LIMIT 1"
    first = db.execute(query, (stage,)).fetchone() or ()
    return [phase for phase, ns in zip(known, first, strict=False) if ns is not None]


def _columns(db: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in db.execute(f"PRAGMA table_info({table})")}


def _known_phases(db: sqlite3.Connection, table: str) -> list[Phase]:
    """The phases that the file's schema version has columns for."""
    columns = _columns(db, table)
    return [phase for phase in Phase if f"{phase}_ns" in columns]


def _read_epochs(db: sqlite3.Connection) -> tuple[Epoch, ...]:
    known = _known_phases(db, "epochs")
    query = f"SELECT {', '.join([*EPOCH_COLUMNS, *(f'{phase}_ns' for phase in known)])} FROM epochs ORDER BY epoch"
    return tuple(_epoch_from_row(row, known) for row in db.execute(query))


def _epoch_from_row(row: tuple[Any, ...], known: list[Phase]) -> Epoch:
    values = dict(zip(EPOCH_COLUMNS, row, strict=False))
    phases = zip(known, row[len(EPOCH_COLUMNS) :], strict=True)
    return Epoch(**values, durations={phase: ns for phase, ns in phases if ns is not None})


def _read_readings(db: sqlite3.Connection) -> tuple[Reading, ...]:
    if not _columns(db, "readings"):
        return ()  # version 1
    known = [column for column in READING_COLUMNS if column in _columns(db, "readings")]
    rows = db.execute(f"SELECT {', '.join(known)} FROM readings ORDER BY rowid")
    return tuple(Reading(**dict(zip(known, row, strict=True))) for row in rows)


def _is_locked(path: Path) -> bool:
    """Whether the process that writes this run is still alive."""
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False
