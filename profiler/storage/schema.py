"""The tables of a run's SQLite file.

Versions of the schema:
  1  manifest, steps, epochs, events.
  2  phases `flush` and `compiled_step`; `rss_bytes` per step; table `readings`, which replaces `load_start` and
     `load_end` in the manifest.
  3  resource usage per step, and per phase of fenced steps in the table `phase_usage`; `turn` per reading.
  4  seals: every row has the number of the seal that covers it, and the manifest has a digest; see seals.py.
     `correct` and `lr` may be NULL. A custom loop's own phases have columns, too.
  5  table `collectives`, of the ranks of a distributed training.
"""

from collections.abc import Iterable
from dataclasses import fields

from epoch_gap.profiler.phases import Phase, all_phases
from epoch_gap.profiler.recording.records import USAGE_FIELDS, Reading

SCHEMA_VERSION = 5
FIRST_SEALED = 4
"""the first version with seals"""
DATABASE = "run.sqlite"
DIGEST = "digest"
"""the manifest's entry with the digest of the others"""
HISTORY_JSON = "history.json"

EPOCH_COLUMNS = ["epoch", "wall_ns", "paused_ns", "lr", "train_loss", "train_acc", "test_loss", "test_acc"]
COLLECTIVES = "collectives"
"""a table that runs of earlier versions do not have"""
SEALED_TABLES: dict[str, tuple[str, ...]] = {
    "steps": ("stage", "epoch", "step"),
    "phase_usage": ("stage", "epoch", "step", "phase"),
    COLLECTIVES: ("stage", "epoch", "step", "number"),
    "epochs": ("epoch",),
    "readings": (),
    "events": (),
}
"""the tables whose rows have seals, with their keys, which are their first columns; without one, rows are in order of
their rowid"""
READING_COLUMNS = [field.name for field in fields(Reading)]

_USAGE = ", ".join(f"{name} INTEGER" for name in USAGE_FIELDS)


def statements(own: Iterable[Phase]) -> tuple[str, ...]:
    """The statements that create the tables of a run with these phases of its own, to be run in one transaction."""
    phases = ", ".join(f"{phase}_ns INTEGER" for phase in all_phases(own))
    return (
        "CREATE TABLE manifest (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        f"""CREATE TABLE steps (
  stage TEXT NOT NULL, epoch INTEGER NOT NULL, step INTEGER NOT NULL, ledger TEXT NOT NULL,
  images INTEGER NOT NULL, loss REAL, correct INTEGER,
  start_ns INTEGER NOT NULL, wall_ns INTEGER NOT NULL, rss_bytes INTEGER, {_USAGE}, {phases},
  seal INTEGER NOT NULL, PRIMARY KEY (stage, epoch, step)) WITHOUT ROWID""",
        f"""CREATE TABLE phase_usage (
  stage TEXT NOT NULL, epoch INTEGER NOT NULL, step INTEGER NOT NULL, phase TEXT NOT NULL, {_USAGE},
  seal INTEGER NOT NULL, PRIMARY KEY (stage, epoch, step, phase)) WITHOUT ROWID""",
        f"""CREATE TABLE {COLLECTIVES} (
  stage TEXT NOT NULL, epoch INTEGER NOT NULL, step INTEGER NOT NULL, number INTEGER NOT NULL, phase TEXT NOT NULL,
  kind TEXT NOT NULL, bytes INTEGER NOT NULL, ready_ns INTEGER NOT NULL, done_ns INTEGER NOT NULL,
  seal INTEGER NOT NULL, PRIMARY KEY (stage, epoch, step, number)) WITHOUT ROWID""",
        f"""CREATE TABLE epochs (
  epoch INTEGER PRIMARY KEY, wall_ns INTEGER NOT NULL, paused_ns INTEGER NOT NULL, lr REAL,
  train_loss REAL, train_acc REAL, test_loss REAL, test_acc REAL, {phases},
  seal INTEGER NOT NULL)""",
        """CREATE TABLE readings (
  epoch INTEGER NOT NULL, step INTEGER NOT NULL, at_ns INTEGER NOT NULL, matmul_ns INTEGER NOT NULL,
  loop_ns INTEGER NOT NULL, rss_bytes INTEGER NOT NULL, busy_s REAL NOT NULL, own_s REAL NOT NULL, steal_s REAL,
  load_1min REAL NOT NULL, throttled INTEGER, other_runs INTEGER NOT NULL, turn INTEGER NOT NULL DEFAULT 0,
  seal INTEGER NOT NULL)""",
        "CREATE TABLE events (at TEXT NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL, seal INTEGER NOT NULL)",
        """CREATE TABLE seals (
  number INTEGER PRIMARY KEY, kind TEXT NOT NULL, rows INTEGER NOT NULL, digest BLOB NOT NULL)""",
        f"PRAGMA user_version = {SCHEMA_VERSION}",
    )
