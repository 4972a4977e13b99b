"""Write a run: one directory per run, with one SQLite file.

A run's directory is created exclusively, and its process holds a lock on it until it exits. The lock distinguishes a
running process from a killed one.
"""

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple, replace
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, cast

from epoch_gap.profiler.errors import UserError, one_line
from epoch_gap.profiler.phases import Phase, all_phases
from epoch_gap.profiler.recording.records import USAGE_FIELDS, Durations, Epoch, Reading, ResourceUsage, Step
from epoch_gap.profiler.storage.atomic import write_atomically
from epoch_gap.profiler.storage.directories import create_directory
from epoch_gap.profiler.storage.manifest import Manifest, RunStatus, manifest_to_json
from epoch_gap.profiler.storage.schema import (
    COLLECTIVES,
    DATABASE,
    DIGEST,
    EPOCH_COLUMNS,
    HISTORY_JSON,
    SEALED_TABLES,
    statements,
)
from epoch_gap.profiler.storage.seals import (
    START,
    Row,
    chained,
    columns_of,
    digest_of_manifest,
    digest_of_rows,
    normalised,
)
from epoch_gap.profiler.storage.typed_json import finite_or_none


class RunWriter:
    """The open run of this process, and the recorder's `Sink`. Every call is one committed transaction.

    Raises UserError if the file cannot be written (a full disk, for one). A run that lost rows is never complete.
    """

    def __init__(self, path: Path, manifest: Mapping[str, Any], own_phases: Sequence[Phase] = ()) -> None:
        self.path = path
        self._phases = all_phases(own_phases)
        self._history_json = path.absolute() / HISTORY_JSON  # the training may change the working directory
        self._lock = os.open(path, os.O_RDONLY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._db = sqlite3.connect(path / DATABASE, isolation_level=None, check_same_thread=False)
        self._seals, self._digest, self._epochs = 0, START, 0
        self._stored: dict[str, tuple[int, int]] = {}
        """the last step of each stage: (epoch, step)"""
        self._has_failed = False
        with self._transaction():
            for statement in statements(own_phases):
                self._db.execute(statement)
            self._put(manifest)
        self._columns = {table: columns_of(self._db, table) for table in SEALED_TABLES}
        self._db.execute("PRAGMA journal_mode = WAL")  # readers never block the run
        self._db.execute("PRAGMA synchronous = NORMAL")
        self.update({})  # the log exists from here on: without it, an unfinished run has lost something

    def steps(self, steps: list[Step]) -> None:
        """Append finished steps; those that were stored before are left out."""
        steps = [s for s in steps if (s.epoch, s.index) > self._stored.get(s.stage, (-1, -1))]
        rows = [
            (
                *(s.stage, s.epoch, s.index, s.mode, s.images, s.loss, s.correct, s.start_ns, s.wall_ns),
                s.rss_bytes or None,
                *_usage_values(s.usage),
                *self._phase_values(s.durations),
            )
            for s in steps
        ]
        usages = [
            (s.stage, s.epoch, s.index, phase, *_usage_values(usage))
            for s in steps
            for phase, usage in s.phase_usage.items()
        ]
        collectives = [
            (s.stage, s.epoch, s.index, number, c.phase, c.kind, c.bytes, c.ready_ns, c.done_ns)
            for s in steps
            for number, c in enumerate(s.collectives)
        ]
        with self._transaction():
            for table, of_table in (("steps", rows), ("phase_usage", usages), (COLLECTIVES, collectives)):
                for _, of_stage in groupby(sorted(of_table, key=_place), key=itemgetter(0)):
                    self._append(table, list(of_stage))
            self._stored |= {s.stage: (s.epoch, s.index) for s in steps}

    def epoch(self, epoch: Epoch) -> None:
        """Append a finished epoch and update history.json."""
        row = [getattr(epoch, name) for name in EPOCH_COLUMNS]
        with self._transaction():
            self._append("epochs", [(*row, *self._phase_values(epoch.durations))])
        self._epochs += 1
        if self._epochs.bit_count() == 1:  # after 1, 2, 4, ...: the cost per epoch does not grow
            self._write_history()

    def reading(self, epoch: int, step: int, reading: Reading) -> None:
        """Append a reading of the machine, taken before training step `step`."""
        with self._transaction():
            self._append("readings", [(epoch, step, *astuple(reading))])

    def event(self, kind: str, text: str) -> None:
        """Append a note about the run."""
        with self._transaction():
            self._append("events", [(_now(), kind, text)])

    def copy(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append rows of another run, values by column; a column that they lack is NULL."""
        with self._transaction():
            self._append(table, [tuple(row.get(name) for name in self._columns[table]) for row in rows])

    def update(self, values: Mapping[str, Any]) -> None:
        """Add or replace manifest entries, JSON values by key."""
        with self._transaction():
            self._put(values)

    def finish(self, status: RunStatus) -> None:
        """Write the final status and history.json, then close the file and release the lock.

        The run is one file then, unless a reader has it open.
        """
        if self._has_failed and status is RunStatus.COMPLETE:
            status = RunStatus.INTERRUPTED
        try:
            self.update({"status": status, "finished": _now(), "seals": self._seals})
            self._write_history()
            with suppress(sqlite3.OperationalError):
                self._db.execute("PRAGMA journal_mode = DELETE")
        except UserError:
            self._db.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE)  # an unfinished run keeps its log
            raise
        finally:
            try:
                self._db.close()
            finally:
                os.close(self._lock)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._errors_as_one_line():
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
            except BaseException:  # also a signal, which may arrive just after the commit
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                self._recall()
                raise

    def _phase_values(self, durations: Durations) -> list[int | None]:
        return [durations.get(phase) for phase in self._phases]

    def _recall(self) -> None:
        """Take the last seal and the last steps from the file: a transaction that failed may have been committed."""
        last = "SELECT number, digest FROM seals ORDER BY number DESC LIMIT 1"
        step = "SELECT epoch, step FROM steps WHERE stage = ? ORDER BY epoch DESC, step DESC LIMIT 1"
        with suppress(sqlite3.Error):
            self._seals, self._digest = self._db.execute(last).fetchone() or (0, START)
            for stage in list(self._stored):
                found = self._db.execute(step, (stage,)).fetchone()
                self._stored[stage] = found or (-1, -1)

    @contextmanager
    def _errors_as_one_line(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error, OverflowError, UnicodeError) as error:
            self._has_failed = True
            raise UserError(
                f"{self.path} cannot be written: {one_line(error)}; its rows so far can be read"
            ) from None

    def _put(self, values: Mapping[str, Any]) -> None:
        """Add or replace entries of the manifest, and its digest; call it within a transaction."""
        entries = dict(self._db.execute("SELECT key, value FROM manifest"))
        entries |= {key: json.dumps(value) for key, value in values.items()}
        entries.pop(DIGEST, None)
        entries[DIGEST] = json.dumps(digest_of_manifest(entries))
        self._db.executemany("INSERT OR REPLACE INTO manifest VALUES (?, ?)", entries.items())

    def _append(self, table: str, rows: Sequence[Row]) -> None:
        """Append rows, all columns of the table in order, under a new seal; call it within a transaction."""
        if not rows:
            return
        types = self._columns[table].values()
        rows = [normalised(row, types) for row in rows]
        self._seals += 1
        self._digest = chained(self._digest, digest_of_rows(table, self._columns[table], rows))
        slots = ", ".join("?" * (len(types) + 1))
        columns = ", ".join([*self._columns[table], "seal"])
        self._db.executemany(
            f"INSERT INTO {table} ({columns}) VALUES ({slots})", [(*row, self._seals) for row in rows]
        )
        self._db.execute("INSERT INTO seals VALUES (?, ?, ?, ?)", (self._seals, table, len(rows), self._digest))

    def _write_history(self) -> None:
        with self._errors_as_one_line():
            text = json.dumps(_history(self._db), indent=1)
            write_atomically(self._history_json, text + "\n")


def create_run(runs_dir: Path, manifest: Manifest) -> RunWriter:
    """Create the directory `<utc>-<framework>-<device>-<random>` of a new run and open the run for writing.

    Raises UserError if `runs_dir` is not writable or a condition in the manifest is not JSON.
    """
    values = manifest_to_json(replace(manifest, created=_now(), status=RunStatus.RUNNING))
    name = f"{manifest.framework.name}-{manifest.framework.device}"
    path = create_directory(runs_dir, name)
    try:
        return RunWriter(path, {**values, "id": path.name}, manifest.framework.own_phases)
    except (OSError, sqlite3.OperationalError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot write runs to {runs_dir}: {reason}; choose another --runs-dir") from None


def _place(row: Row) -> Row:
    """The part of a row that orders it: stage, epoch, step, and the phase or the number of the collective."""
    return (*row[:3], row[3] if isinstance(row[3], int) else str(row[3]))


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
