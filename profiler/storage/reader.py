"""Find stored runs, and read them with or without their steps."""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.command_name import command_name
from epoch_gap.profiler.errors import UserError, one_line
from epoch_gap.profiler.phases import RESERVED, Phase, in_order
from epoch_gap.profiler.recording.records import USAGE_FIELDS, Epoch, Reading
from epoch_gap.profiler.storage.database import CHUNK, is_being_written, open_database, stored_id
from epoch_gap.profiler.storage.manifest import Manifest, RunStatus, manifest_from_json
from epoch_gap.profiler.storage.run import UNKNOWN, CollectiveTable, Run, StepTable, UsageTable
from epoch_gap.profiler.storage.schema import (
    COLLECTIVES,
    DATABASE,
    DIGEST,
    EPOCH_COLUMNS,
    FIRST_SEALED,
    READING_COLUMNS,
)
from epoch_gap.profiler.storage.seals import digest_of_manifest, verify_seals
from epoch_gap.profiler.storage.write_ahead_log import describe_lost_log, was_logged


@dataclass(frozen=True)
class RunHeader:
    """A stored run without its steps."""

    id: str
    status: RunStatus
    manifest: Manifest
    training_steps: int


def find_runs(runs_dir: Path) -> list[Path]:
    """The run directories in `runs_dir`, oldest first; each run once, whatever links and copies of it there are."""
    ids = {file.parent: _stored_id(file.parent) for file in sorted(runs_dir.glob(f"*/{DATABASE}"))}
    by_id: dict[str, Path] = {}
    for path in sorted(ids, key=lambda path: (path.is_symlink(), path.name != ids[path])):  # the original first
        by_id.setdefault(ids[path] or path.resolve().name, path)
    return sorted(by_id.values())


def locate_run(name: str, runs_dir: Path) -> Path:
    """The run directory that `name` identifies: a path, a run id, or a unique part of one. Raises UserError.

    A path may be relative to `runs_dir`, as those of a session of experiments are in a report.
    """
    for path in (Path(name), runs_dir / name):
        if os.path.lexists(path / DATABASE):
            return path
    matches = [path for path in find_runs(runs_dir) if name in path.name]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UserError(f"{name!r} matches {len(matches)} runs in {runs_dir}; give more of the id")
    raise UserError(f"no run {name!r} in {runs_dir}; `{command_name()} list` lists the stored runs")


def read_run(path: Path) -> Run:
    """Read a run, finished or not, after its seals have been checked.

    Raises UserError for a file that is not a run of a known version, or whose content was damaged.
    """
    with _open_run(path) as (db, manifest, status):
        was_killed = manifest.status is RunStatus.RUNNING and status is RunStatus.INTERRUPTED
        lost = _describe_loss(path / DATABASE, db) if was_killed else ""
        if lost and not _count(db, "train"):
            raise UserError(f"{path} has no steps: {lost}")
        if is_sealed(db):
            verification = verify_seals(db, manifest.seals)
            if verification.damage is not None:
                raise UserError(
                    f"{path} is damaged: {verification.damage}; "
                    f"`{command_name()} recover {path}` saves what was stored before it"
                )
        run = Run(
            id=manifest.id or path.resolve().name,
            path=path,
            status=status,
            manifest=manifest,
            train=_read_steps(db, "train"),
            evaluate=_read_steps(db, "evaluate"),
            epochs=_read_epochs(db),
            events=(
                *db.execute("SELECT kind, text FROM events ORDER BY rowid").fetchall(),
                *([("log", lost)] if lost else []),
            ),
            readings=_read_readings(db),
            collectives=_read_collectives(db),
        )
        check_sums(run)
        return run


def read_header(path: Path) -> RunHeader:
    """Read a run without its steps. Raises UserError for a file that is not a run of a known version."""
    with _open_run(path) as (db, manifest, status):
        return RunHeader(manifest.id or path.resolve().name, status, manifest, _count(db, "train"))


def check_sums(run: Run) -> None:
    """Raise UserError if a time is negative, or a step's phases do not sum to its time."""
    for stage, table in (("train", run.train), ("evaluate", run.evaluate)):
        times = [table.wall_ns, *table.phase_ns.values()]
        if any((ns < 0).any() for ns in times):
            raise UserError(f"{run.path} is damaged: a {stage} step has a negative time")
        sums = sum(table.phase_ns.values(), np.zeros(len(table), np.int64))
        if (sums != table.wall_ns).any():
            raise UserError(f"{run.path} is damaged: the phases of a {stage} step do not sum to its time")
    if any(ns < 0 for epoch in run.epochs for ns in (epoch.wall_ns, epoch.paused_ns, *epoch.durations.values())):
        raise UserError(f"{run.path} is damaged: an epoch has a negative time")


@contextmanager
def _open_run(path: Path) -> Iterator[tuple[sqlite3.Connection, Manifest, RunStatus]]:
    """A run's database in one transaction, its manifest, and its status now."""
    file = path / DATABASE
    with read_errors_as_one_line(file):
        is_alive = is_being_written(file)  # before the status, which a run stores before it unlocks
        with open_database(file) as db:
            manifest = read_manifest(db, file)
            was_killed = manifest.status is RunStatus.RUNNING and not is_alive
            yield db, manifest, RunStatus.INTERRUPTED if was_killed else manifest.status


@contextmanager
def read_errors_as_one_line(file: Path) -> Iterator[None]:
    """Turn whatever a damaged file makes SQLite, NumPy or a table of names raise into a UserError."""
    try:
        yield
    except (sqlite3.Error, OSError, ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
        raise UserError(f"{file} cannot be read as a run: {one_line(error)}") from None


def _describe_loss(file: Path, db: sqlite3.Connection) -> str:
    """What is to be said about the log of a killed run; empty if it is whole, or never was."""
    return describe_lost_log(file) if is_sealed(db) and was_logged(file) else ""


def is_sealed(db: sqlite3.Connection) -> bool:
    """Whether a run's rows have seals: by its version, which a flipped bit can lower, or by its tables."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    return version >= FIRST_SEALED or bool(_columns(db, "seals"))


def _stored_id(path: Path) -> str:
    """The id in a run's manifest; empty if it has none or cannot be read."""
    try:
        with open_database(path / DATABASE) as db:
            return str(json.loads(stored_id(db) or '""'))
    except (sqlite3.Error, OSError, ValueError, TypeError, UserError):
        return ""


def read_manifest(db: sqlite3.Connection, file: Path) -> Manifest:
    """The manifest in a run's database. Raises UserError if it was changed or is not one."""
    try:
        entries = dict(db.execute("SELECT key, value FROM manifest"))
        stored = entries.pop(DIGEST, None)
        if is_sealed(db) and stored != json.dumps(digest_of_manifest(entries)):
            raise UserError("its manifest was changed")
        return manifest_from_json({key: json.loads(value) for key, value in entries.items()})
    except (UserError, ValueError) as error:
        raise UserError(f"{file} cannot be read as a run: {error}") from None


def _read_steps(db: sqlite3.Connection, stage: str) -> StepTable:
    present = _present_phases(db, stage)
    memory = "COALESCE(rss_bytes, 0)" if "rss_bytes" in _columns(db, "steps") else "0"
    columns = [
        "epoch",
        "step",
        "ledger = 'fenced'",
        "images",
        f"COALESCE(correct, {UNKNOWN})",
        "start_ns",
        "wall_ns",
        memory,
    ]
    integers = _fetch(db, stage, [*columns, *(f"COALESCE({phase}_ns, 0)" for phase in present)], np.int64)
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
    """The phases that any step of a stage has; the others of its steps spent no time in them."""
    known = _known_phases(db, "steps")
    columns = ", ".join(f"count({phase}_ns)" for phase in known)
    counts = db.execute(f"SELECT {columns} FROM steps WHERE stage = ?", (stage,)).fetchone()
    return [phase for phase, count in zip(known, counts, strict=True) if count]


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in db.execute(f"PRAGMA table_info({table})")]


def _known_phases(db: sqlite3.Connection, table: str) -> list[Phase]:
    """The phases that the file has columns for: those of its schema version, and a custom loop's own."""
    names = (column.removesuffix("_ns") for column in _columns(db, table) if column.endswith("_ns"))
    return in_order(Phase(name) for name in names if name not in RESERVED)


def _read_epochs(db: sqlite3.Connection) -> tuple[Epoch, ...]:
    known = _known_phases(db, "epochs")
    query = f"SELECT {', '.join([*EPOCH_COLUMNS, *(f'{phase}_ns' for phase in known)])} FROM epochs ORDER BY epoch"
    return tuple(_epoch_from_row(row, known) for row in db.execute(query))


def _epoch_from_row(row: tuple[Any, ...], known: list[Phase]) -> Epoch:
    values = dict(zip(EPOCH_COLUMNS, row, strict=False))
    phases = zip(known, row[len(EPOCH_COLUMNS) :], strict=True)
    return Epoch(**values, durations={phase: ns for phase, ns in phases if ns is not None})


def _read_collectives(db: sqlite3.Connection) -> CollectiveTable:
    if not _columns(db, COLLECTIVES):
        return CollectiveTable.from_rows([])  # before version 5
    columns = "epoch, step, phase, kind, bytes, ready_ns, done_ns"
    query = f"SELECT {columns} FROM {COLLECTIVES} WHERE stage = 'train' ORDER BY epoch, step, number"
    return CollectiveTable.from_rows(db.execute(query).fetchall())


def _read_readings(db: sqlite3.Connection) -> tuple[Reading, ...]:
    if not _columns(db, "readings"):
        return ()  # version 1
    known = [column for column in READING_COLUMNS if column in _columns(db, "readings")]
    rows = db.execute(f"SELECT {', '.join(known)} FROM readings ORDER BY rowid")
    return tuple(Reading(**dict(zip(known, row, strict=True))) for row in rows)
