"""The tables of a run's SQLite file.

Versions of the schema:
  1  manifest, steps, epochs, events.
  2  phases `flush` and `compiled_step`; `rss_bytes` per step; table `readings`, which replaces `load_start` and
     `load_end` in the manifest.
  3  resource usage per step, and per phase of fenced steps in the table `phase_usage`; `turn` per reading.
"""

from dataclasses import fields

from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.records import USAGE_FIELDS, Reading

SCHEMA_VERSION = 3
DATABASE = "run.sqlite"
HISTORY_JSON = "history.json"

PHASE_NS_COLUMNS = [f"{phase}_ns" for phase in Phase]
STEP_COLUMNS = ["stage", "epoch", "step", "ledger", "images", "loss", "correct", "start_ns", "wall_ns", "rss_bytes"]
EPOCH_COLUMNS = ["epoch", "wall_ns", "paused_ns", "lr", "train_loss", "train_acc", "test_loss", "test_acc"]
PHASE_USAGE_COLUMNS = ["stage", "epoch", "step", "phase", *USAGE_FIELDS]
READING_COLUMNS = [field.name for field in fields(Reading)]

_USAGE = ", ".join(f"{name} INTEGER" for name in USAGE_FIELDS)
_PHASES = ", ".join(f"{column} INTEGER" for column in PHASE_NS_COLUMNS)
STATEMENTS = (
    "CREATE TABLE manifest (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    f"""CREATE TABLE steps (
  stage TEXT NOT NULL, epoch INTEGER NOT NULL, step INTEGER NOT NULL, ledger TEXT NOT NULL,
  images INTEGER NOT NULL, loss REAL, correct INTEGER NOT NULL,
  start_ns INTEGER NOT NULL, wall_ns INTEGER NOT NULL, rss_bytes INTEGER, {_USAGE}, {_PHASES},
  PRIMARY KEY (stage, epoch, step)) WITHOUT ROWID""",
    f"""CREATE TABLE phase_usage (
  stage TEXT NOT NULL, epoch INTEGER NOT NULL, step INTEGER NOT NULL, phase TEXT NOT NULL, {_USAGE},
  PRIMARY KEY (stage, epoch, step, phase)) WITHOUT ROWID""",
    f"""CREATE TABLE epochs (
  epoch INTEGER PRIMARY KEY, wall_ns INTEGER NOT NULL, paused_ns INTEGER NOT NULL, lr REAL NOT NULL,
  train_loss REAL, train_acc REAL, test_loss REAL, test_acc REAL, {_PHASES})""",
    """CREATE TABLE readings (
  epoch INTEGER NOT NULL, step INTEGER NOT NULL, at_ns INTEGER NOT NULL, matmul_ns INTEGER NOT NULL,
  loop_ns INTEGER NOT NULL, rss_bytes INTEGER NOT NULL, busy_s REAL NOT NULL, own_s REAL NOT NULL, steal_s REAL,
  load_1min REAL NOT NULL, throttled INTEGER, other_runs INTEGER NOT NULL, turn INTEGER NOT NULL DEFAULT 0)""",
    "CREATE TABLE events (at TEXT NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL)",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
"""The statements that create the tables, to be run in one transaction."""
