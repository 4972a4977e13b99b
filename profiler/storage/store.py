"""The only module that reads or writes run files. One directory per run, one SQLite file in it.

A run's directory is created exclusively and locked for as long as its process lives, so that a reader can tell
a running process from one that was killed.
"""

import fcntl
import json
import os
import re
import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, astuple, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.comparison.noise_floor import Floor, Floors, contender, from_json
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import Durations, Epoch, Reading, Step
from epoch_gap.profiler.storage import atomic as files
from epoch_gap.profiler.storage.run import SCHEMA_VERSION, Run, StepTable, finite

DATABASE = "run.sqlite"
HISTORY = "history.json"
FLOORS = "noise.json"
DRILLDOWNS = "drilldown"
CHUNK = 10_000
"""steps that are fetched at a time"""

_PHASE_COLUMNS = [f"{phase}_ns" for phase in Phase]
_STEP_COLUMNS = ["stage", "epoch", "step", "ledger", "images", "loss", "correct", "start_ns", "wall_ns", "rss_bytes"]
_EPOCH_COLUMNS = ["epoch", "wall_ns", "paused_ns", "lr", "train_loss", "train_acc", "test_loss", "test_acc"]
_READING_COLUMNS = [field.name for field in fields(Reading)]
_PHASES_SQL = ", ".join(f"{column} INTEGER" for column in _PHASE_COLUMNS)
_SCHEMA = f"""
CREATE TABLE manifest (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE steps (
  stage TEXT NOT NULL, epoch INTEGER NOT NULL, step INTEGER NOT NULL, ledger TEXT NOT NULL,
  images INTEGER NOT NULL, loss REAL, correct INTEGER NOT NULL,
  start_ns INTEGER NOT NULL, wall_ns INTEGER NOT NULL, rss_bytes INTEGER, {_PHASES_SQL},
  PRIMARY KEY (stage, epoch, step)) WITHOUT ROWID;
CREATE TABLE epochs (
  epoch INTEGER PRIMARY KEY, wall_ns INTEGER NOT NULL, paused_ns INTEGER NOT NULL, lr REAL NOT NULL,
  train_loss REAL, train_acc REAL, test_loss REAL, test_acc REAL, {_PHASES_SQL});
CREATE TABLE readings (
  epoch INTEGER NOT NULL, step INTEGER NOT NULL, at_ns INTEGER NOT NULL, matmul_ns INTEGER NOT NULL,
  loop_ns INTEGER NOT NULL, rss_bytes INTEGER NOT NULL, busy_s REAL NOT NULL, own_s REAL NOT NULL, steal_s REAL,
  load_1min REAL NOT NULL, throttled INTEGER, other_runs INTEGER NOT NULL);
CREATE TABLE events (at TEXT NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL);
PRAGMA user_version = {SCHEMA_VERSION};
"""


class RunWriter:
    """The open run of this process; a `Sink` for the recorder. Every call is one committed transaction."""

    def __init__(self, path: Path, manifest: Mapping[str, Any]) -> None:
        self.path = path
        self._lock = os.open(path, os.O_RDONLY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._db = sqlite3.connect(path / DATABASE, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")  # a reader must not hold up the run
        self._db.execute("PRAGMA synchronous = NORMAL")
        with self._transaction():
            for statement in filter(None, map(str.strip, _SCHEMA.split(";"))):
                self._db.execute(statement)
            self._put({**manifest, "status": "running"})

    def steps(self, steps: list[Step]) -> None:
        """Append finished steps."""
        rows = [
            (s.stage, s.epoch, s.index, s.ledger, s.images, s.loss, s.correct, s.start_ns,
             s.wall_ns, s.rss_bytes or None, *_phase_values(s.durations))
            for s in steps
        ]  # fmt: skip
        self._insert("steps", [*_STEP_COLUMNS, *_PHASE_COLUMNS], rows)

    def epoch(self, epoch: Epoch) -> None:
        """Append a finished epoch and bring the history file up to date."""
        row = [getattr(epoch, name) for name in _EPOCH_COLUMNS]
        self._insert("epochs", [*_EPOCH_COLUMNS, *_PHASE_COLUMNS], [(*row, *_phase_values(epoch.durations))])
        self._write_history()

    def reading(self, epoch: int, step: int, reading: Reading) -> None:
        """Append what was read before training step `step`."""
        self._insert("readings", ["epoch", "step", *_READING_COLUMNS], [(epoch, step, *astuple(reading))])

    def event(self, kind: str, text: str) -> None:
        """Note something that a reader of the run should know."""
        with self._transaction():
            self._db.execute("INSERT INTO events VALUES (?, ?, ?)", (_now(), kind, text))

    def update(self, values: Mapping[str, Any]) -> None:
        """Add or replace manifest entries."""
        with self._transaction():
            self._put(values)

    def finish(self, status: str) -> None:
        """Write the final status and the history, and let go of the run."""
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
        slots = ", ".join("?" * len(columns))
        with self._transaction():
            self._db.executemany(f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({slots})", rows)

    def _write_history(self) -> None:
        text = json.dumps(_history(self._db), indent=1)
        files.replace(self.path / HISTORY, text + "\n")


def create(runs_dir: Path, framework: str, device: str, manifest: Mapping[str, Any]) -> RunWriter:
    """Make a new run directory `<utc>-<framework>-<device>-<random>` and open it for writing.

    Raises UserError where `runs_dir` cannot be written to.
    """
    path = _new_directory(runs_dir, in_a_name(f"{framework}-{device}"))
    try:
        return RunWriter(path, {**manifest, "created": _now()})
    except (OSError, sqlite3.OperationalError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot write runs to {runs_dir}: {reason}; choose another --runs-dir") from None


def in_a_name(text: str) -> str:
    """`text` as a part of a directory's name: only letters, digits and `.+-`, and not too many."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", text)[:80]


def find(runs_dir: Path) -> list[Path]:
    """The run directories below `runs_dir`, oldest first."""
    return sorted(path.parent for path in runs_dir.glob(f"*/{DATABASE}"))


def locate(name: str, runs_dir: Path) -> Path:
    """The one run that `name` means: a directory, a run id, or a part of one. Raises UserError."""
    if (Path(name) / DATABASE).is_file():
        return Path(name)
    matches = [path for path in find(runs_dir) if name in path.name]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UserError(f"{name!r} names {len(matches)} runs in {runs_dir}; give more of the id")
    raise UserError(f"no run {name!r} in {runs_dir}; `python -m profiler list` shows what is there")


def read(path: Path) -> Run:
    """Read a run, finished or not. Raises UserError for a file that is no run of a version known here."""
    with _opened(path) as (db, manifest, status):
        events = tuple(db.execute("SELECT kind, text FROM events ORDER BY rowid").fetchall())
        return Run(
            path.resolve().name, path, status, manifest,
            _steps(db, "train"), _steps(db, "evaluate"), _epochs(db), events, _readings(db),
        )  # fmt: skip


@dataclass(frozen=True)
class Glance:
    """What is told of a run without reading its steps."""

    id: str
    status: str
    manifest: Mapping[str, Any]
    steps: int
    """of training"""


def glance(path: Path) -> Glance:
    """What a list shows of a run. Raises UserError as `read` does."""
    with _opened(path) as (db, manifest, status):
        return Glance(path.resolve().name, status, manifest, _count(db, "train"))


@contextmanager
def _opened(path: Path) -> Iterator[tuple[sqlite3.Connection, dict[str, Any], str]]:
    """A run's database in one transaction, its manifest, and its status now."""
    file = path / DATABASE
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", uri=True)) as db:
            alive = _locked(path)  # before the status: a run that ends in between has then said how
            db.execute("BEGIN")
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if not 1 <= version <= SCHEMA_VERSION:
                known = f"this program reads 1 to {SCHEMA_VERSION}"
                raise UserError(f"{file} has schema version {version}; {known}")
            manifest = {key: json.loads(value) for key, value in db.execute("SELECT key, value FROM manifest")}
            dead = manifest["status"] == "running" and not alive
            yield db, manifest, "interrupted" if dead else manifest["status"]
    except sqlite3.DatabaseError as error:
        raise UserError(f"{file} cannot be read as a run: {error}") from None


def _steps(db: sqlite3.Connection, stage: str) -> StepTable:
    present = _present_phases(db, stage)
    memory = "COALESCE(rss_bytes, 0)" if "rss_bytes" in _columns(db, "steps") else "0"
    columns = ["epoch", "step", "ledger = 'fenced'", "images", "correct", "start_ns", "wall_ns", memory]
    integers = _fetch(db, stage, [*columns, *(f"{phase}_ns" for phase in present)], np.int64)
    epoch, index, fenced, images, correct, start, wall, rss, *phases = integers
    (loss,) = _fetch(db, stage, ["loss"], np.float64)
    by_phase = dict(zip(present, phases, strict=True))
    return StepTable(epoch, index, fenced == 1, images, loss, correct, start, wall, by_phase, rss)


def _fetch[T: np.generic](db: sqlite3.Connection, stage: str, columns: list[str], kind: type[T]) -> NDArray[T]:
    """Columns of a stage's steps, shape (columns, steps): each contiguous, for what is computed from it."""
    found = np.empty((len(columns), _count(db, stage)), kind)
    cursor = db.execute(f"SELECT {', '.join(columns)} FROM steps WHERE stage = ? ORDER BY epoch, step", (stage,))
    for start in range(0, found.shape[1], CHUNK):
        rows = cursor.fetchmany(CHUNK)
        found[:, start : start + len(rows)] = np.array(rows, kind).T
    return found


def _count(db: sqlite3.Connection, stage: str) -> int:
    return int(db.execute("SELECT count(*) FROM steps WHERE stage = ?", (stage,)).fetchone()[0])


def _present_phases(db: sqlite3.Connection, stage: str) -> list[Phase]:
    """A phase is there in every step of a stage or in none: the first step tells."""
    known = _known_phases(db, "steps")
    columns = ", ".join(f"{phase}_ns" for phase in known)
    query = f"SELECT {columns} FROM steps WHERE stage = ? ORDER BY epoch, step LIMIT 1"
    first = db.execute(query, (stage,)).fetchone() or ()
    return [phase for phase, ns in zip(known, first, strict=False) if ns is not None]


def _columns(db: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in db.execute(f"PRAGMA table_info({table})")}


def _known_phases(db: sqlite3.Connection, table: str) -> list[Phase]:
    """The phases that the file's version knew."""
    columns = _columns(db, table)
    return [phase for phase in Phase if f"{phase}_ns" in columns]


def _epochs(db: sqlite3.Connection) -> tuple[Epoch, ...]:
    known = _known_phases(db, "epochs")
    query = f"SELECT {', '.join([*_EPOCH_COLUMNS, *(f'{phase}_ns' for phase in known)])} FROM epochs ORDER BY epoch"
    return tuple(_epoch(row, known) for row in db.execute(query))


def _epoch(row: tuple[Any, ...], known: list[Phase]) -> Epoch:
    values = dict(zip(_EPOCH_COLUMNS, row, strict=False))
    phases = zip(known, row[len(_EPOCH_COLUMNS) :], strict=True)
    return Epoch(**values, durations={phase: ns for phase, ns in phases if ns is not None})


def _readings(db: sqlite3.Connection) -> tuple[Reading, ...]:
    if not _columns(db, "readings"):
        return ()  # version 1
    query = f"SELECT {', '.join(_READING_COLUMNS)} FROM readings ORDER BY rowid"
    return tuple(Reading(*row) for row in db.execute(query))


def _phase_values(durations: Durations) -> list[int | None]:
    return [durations.get(phase) for phase in Phase]


def floors(runs_dir: Path) -> Floors:
    """The noise floors that were measured with these runs. Raises UserError for a file that cannot be read."""
    path = runs_dir / FLOORS
    try:
        return from_json(json.loads(path.read_text()))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}; remove it and run `make noise` again") from None


def keep_floor(runs_dir: Path, machine: str, floor: Floor) -> None:
    """Put a machine's newest floor for a framework in place of the one before."""
    known = {key: dict(found) for key, found in floors(runs_dir).items()}
    known.setdefault(machine, {})[contender(floor)] = floor
    data = {key: {name: asdict(f) for name, f in found.items()} for key, found in known.items()}
    files.replace(runs_dir / FLOORS, json.dumps(data, indent=1) + "\n")


def keep_drilldown(runs_dir: Path, name: str, file: str, data: Mapping[str, Any]) -> Path:
    """Store what a drill-down found, in a directory of its own below `drilldown/`; the file's path."""
    path = _new_directory(runs_dir / DRILLDOWNS, name) / file
    files.replace(path, json.dumps(data, indent=1) + "\n")
    return path


def keep_files(runs_dir: Path, name: str, contents: Mapping[str, str]) -> Path:
    """Store a drill-down of several files in a directory of its own; the directory."""
    folder = _new_directory(runs_dir / DRILLDOWNS, name)
    for file, content in contents.items():
        files.replace(folder / file, content + "\n")
    return folder


def drilldowns(runs_dir: Path, file: str, name: str = "") -> list[Path]:
    """Every drill-down's `file`, of those whose directory says `name`, the newest first."""
    folders = f"*-{in_a_name(name)}*" if name else "*"
    return sorted((runs_dir / DRILLDOWNS).glob(f"{folders}/{file}"), reverse=True)


def text_of(path: Path) -> str:
    """What a drill-down's file holds. Raises UserError."""
    try:
        return path.read_text()
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None


def json_of(path: Path) -> Any:
    """The same of a JSON file."""
    try:
        return json.loads(text_of(path))
    except ValueError as error:
        raise UserError(f"{path} is no JSON: {error}") from None


def _new_directory(parent: Path, name: str) -> Path:
    """A new directory `<utc>-<name>-<random>`. Raises UserError where it cannot be made."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3] + "Z"  # milliseconds: names sort by age
    path = parent / f"{stamp}-{name}-{secrets.token_hex(3)}"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        path.mkdir()
    except OSError as error:
        raise UserError(f"cannot write runs to {parent}: {error.strerror}; choose another --runs-dir") from None
    return path


def _locked(path: Path) -> bool:
    """Whether the process that writes this run is still there."""
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def _history(db: sqlite3.Connection) -> dict[str, list[float | None]]:
    """The article's history: one value per epoch, and every training batch's loss."""
    columns = ["train_loss", "train_acc", "test_loss", "test_acc", "lr", "wall_ns"]
    rows = db.execute(f"SELECT {', '.join(columns)} FROM epochs ORDER BY epoch").fetchall()
    history = {name: [finite(row[i]) for row in rows] for i, name in enumerate(columns)}
    history["epoch_time"] = [ns / 1e9 for ns in cast(list[int], history.pop("wall_ns"))]
    losses = db.execute("SELECT loss FROM steps WHERE stage = 'train' ORDER BY epoch, step")
    return {**history, "batch_losses": [finite(row[0]) for row in losses]}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
