"""Write a run: one directory per run, with one SQLite file.

A run's directory is created exclusively, and its process holds a lock on it until it exits. The lock distinguishes a
running process from a killed one.
"""

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.records import USAGE_FIELDS, Durations, Epoch, Reading, ResourceUsage, Step
from epoch_gap.profiler.storage.atomic import write_atomically
from epoch_gap.profiler.storage.directories import create_directory, safe_name
from epoch_gap.profiler.storage.manifest import Manifest, RunStatus, manifest_to_json
from epoch_gap.profiler.storage.run import finite_or_none
from epoch_gap.profiler.storage.schema import (
    DATABASE,
    EPOCH_COLUMNS,
    HISTORY_JSON,
    PHASE_NS_COLUMNS,
    PHASE_USAGE_COLUMNS,
    READING_COLUMNS,
    STATEMENTS,
    STEP_COLUMNS,
)


class RunWriter:
    """The open run of this process, and the recorder's `Sink`. Every call is one committed transaction."""

    def __init__(self, path: Path, manifest: Mapping[str, Any]) -> None:
        self.path = path
        self._lock = os.open(path, os.O_RDONLY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._db = sqlite3.connect(path / DATABASE, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")  # readers never block the run
        self._db.execute("PRAGMA synchronous = NORMAL")
        with self._transaction():
            for statement in STATEMENTS:
                self._db.execute(statement)
            self._put(manifest)

    def steps(self, steps: list[Step]) -> None:
        """Append finished steps."""
        rows = [
            (
                *(s.stage, s.epoch, s.index, s.mode, s.images, s.loss, s.correct, s.start_ns, s.wall_ns),
                s.rss_bytes or None,
                *_usage_values(s.usage),
                *_phase_values(s.durations),
            )
            for s in steps
        ]
        usages = [
            (s.stage, s.epoch, s.index, phase, *_usage_values(usage))
            for s in steps
            for phase, usage in s.phase_usage.items()
        ]
        with self._transaction():
            self._insert("steps", [*STEP_COLUMNS, *USAGE_FIELDS, *PHASE_NS_COLUMNS], rows)
            self._insert("phase_usage", PHASE_USAGE_COLUMNS, usages)

    def epoch(self, epoch: Epoch) -> None:
        """Append a finished epoch and update history.json."""
        row = [getattr(epoch, name) for name in EPOCH_COLUMNS]
        with self._transaction():
            self._insert("epochs", [*EPOCH_COLUMNS, *PHASE_NS_COLUMNS], [(*row, *_phase_values(epoch.durations))])
        self._write_history()

    def reading(self, epoch: int, step: int, reading: Reading) -> None:
        """Append a reading of the machine, taken before training step `step`."""
        with self._transaction():
            self._insert("readings", ["epoch", "step", *READING_COLUMNS], [(epoch, step, *astuple(reading))])

    def event(self, kind: str, text: str) -> None:
        """Append a note about the run."""
        with self._transaction():
            self._db.execute("INSERT INTO events VALUES (?, ?, ?)", (_now(), kind, text))

    def update(self, values: Mapping[str, Any]) -> None:
        """Add or replace manifest entries, JSON values by key."""
        with self._transaction():
            self._put(values)

    def finish(self, status: RunStatus) -> None:
        """Write the final status and history.json, then close the file and release the lock."""
        self.update({"status": status, "finished": _now()})
        self._write_history()
        self._db.close()
        os.close(self._lock)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _put(self, values: Mapping[str, Any]) -> None:
        rows = [(key, json.dumps(value)) for key, value in values.items()]
        self._db.executemany("INSERT OR REPLACE INTO manifest VALUES (?, ?)", rows)

    def _insert(self, table: str, columns: list[str], rows: list[tuple[Any, ...]]) -> None:
        """Insert rows; call it within a transaction."""
        slots = ", ".join("?" * len(columns))
        self._db.executemany(f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({slots})", rows)

    def _write_history(self) -> None:
        text = json.dumps(_history(self._db), indent=1)
        write_atomically(self.path / HISTORY_JSON, text + "\n")


def create_run(runs_dir: Path, manifest: Manifest) -> RunWriter:
    """Create the directory `<utc>-<framework>-<device>-<random>` of a new run and open the run for writing.

    Raises UserError if `runs_dir` is not writable or a condition in the manifest is not JSON.
    """
    values = manifest_to_json(replace(manifest, created=_now(), status=RunStatus.RUNNING))
    name = f"{manifest.framework.name}-{manifest.framework.device}"
    path = create_directory(runs_dir, safe_name(name))
    try:
        return RunWriter(path, values)
    except (OSError, sqlite3.OperationalError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot write runs to {runs_dir}: {reason}; choose another --runs-dir") from None


def _phase_values(durations: Durations) -> list[int | None]:
    return [durations.get(phase) for phase in Phase]


def _usage_values(usage: ResourceUsage | None) -> list[int | None]:
    return [None if usage is None else getattr(usage, name) for name in USAGE_FIELDS]


def _history(db: sqlite3.Connection) -> dict[str, list[float | None]]:
    """The article's history: one value per epoch, and the loss of every training batch."""
    columns = ["train_loss", "train_acc", "test_loss", "test_acc", "lr", "wall_ns"]
    rows = db.execute(f"SELECT {', '.join(columns)} FROM epochs ORDER BY epoch").fetchall()
    history = {name: [finite_or_none(row[i]) for row in rows] for i, name in enumerate(columns)}
    history["epoch_time"] = [ns / 1e9 for ns in cast(list[int], history.pop("wall_ns"))]
    losses = db.execute("SELECT loss FROM steps WHERE stage = 'train' ORDER BY epoch, step")
    return {**history, "batch_losses": [finite_or_none(row[0]) for row in losses]}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
