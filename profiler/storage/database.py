"""Open a run's SQLite file for reading only, wherever it lies."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.machine.folder_lock import is_locked
from epoch_gap.profiler.storage.schema import SCHEMA_VERSION

CHUNK = 10_000
"""rows fetched at a time"""
LOG = "-wal"
"""suffix of SQLite's write-ahead log, which a run has until it finishes"""


def has_log(file: Path) -> bool:
    """Whether a database file has a write-ahead log beside it."""
    return file.with_name(file.name + LOG).exists()


def was_logged(file: Path) -> bool:
    """Whether the header of a database file says that it has a write-ahead log."""
    with file.open("rb") as stream:
        header = stream.read(20)
    return header[18:19] == b"\x02"


def is_being_written(file: Path) -> bool:
    """Whether the process that writes this run is still alive: it holds a lock on the run's directory."""
    handle = os.open(file.parent, os.O_RDONLY)
    try:
        return is_locked(handle)
    finally:
        os.close(handle)


@contextmanager
def open_database(file: Path) -> Iterator[sqlite3.Connection]:
    """A run's database in one transaction, never written to.

    A finished run is read as it is, also from a place where nothing can be written. A log needs an index beside it,
    so where that cannot be created, a copy of both is read.

    Raises UserError for an unknown version, and sqlite3.Error and OSError for a file that cannot be read.
    """
    with ExitStack() as stack:
        if not has_log(file) and not is_being_written(file):
            yield stack.enter_context(_connected(file, "mode=ro&immutable=1"))
            return
        try:
            db = stack.enter_context(_connected(file, "mode=ro"))
        except sqlite3.OperationalError:
            if is_being_written(file):
                raise UserError(
                    f"{file} is being written, and this place does not let it be read meanwhile"
                ) from None
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            for name in (file.name, file.name + LOG):
                shutil.copyfile(file.with_name(name), folder / name)
            db = stack.enter_context(_connected(folder / file.name, "mode=rw"))
        yield db


@contextmanager
def _connected(file: Path, mode: str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?{mode}", uri=True)) as db:
        db.execute("BEGIN")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if not 1 <= version <= SCHEMA_VERSION:
            raise UserError(f"{file} has schema version {version}; this program reads 1 to {SCHEMA_VERSION}")
        yield db
