"""Open a run's SQLite file for reading only, wherever it lies."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.machine.folder_lock import is_locked
from epoch_gap.profiler.storage.schema import SCHEMA_VERSION
from epoch_gap.profiler.storage.write_ahead_log import LOG, has_log, was_logged

CHUNK = 10_000
"""rows fetched at a time"""
ALONE = "mode=ro&immutable=1"
"""opens a database file without a log or a journal beside it"""


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

    A finished run is read as it is, also from a place where nothing can be written, whatever lies beside it. A log
    needs an index beside it, so where that cannot be created, a copy of both is read.

    Raises UserError for an unknown version, no file, and a log of another run, and sqlite3.Error and OSError for a
    file that cannot be read.
    """
    _check_file(file)
    with ExitStack() as stack:
        if not is_being_written(file) and not (has_log(file) and was_logged(file)):
            yield stack.enter_context(_connected(file, ALONE))
            return
        _check_neighbours(file)
        try:
            db = stack.enter_context(_connected(file, "mode=ro"))
        except sqlite3.OperationalError:
            if is_being_written(file):
                raise UserError(
                    f"{file} is being written, and this place does not let it be read meanwhile"
                ) from None
            copy = _copy_with_log(file, stack)
            db = stack.enter_context(_connected(copy, "mode=rw"))
        _check_log(file, db)
        yield db


def stored_id(db: sqlite3.Connection) -> str | None:
    """The id in a run's manifest, as JSON; None in older runs."""
    found = db.execute("SELECT value FROM manifest WHERE key = 'id'").fetchone()
    return str(found[0]) if found else None


def _check_file(file: Path) -> None:
    """Raise UserError for what SQLite would wait for (a pipe), or take for a new database, and delete its log."""
    if not file.is_file():
        raise UserError(f"{file} is not a file" if os.path.lexists(file) else f"{file} does not exist")
    if not file.stat().st_size:
        raise UserError(f"{file} is empty")


def _check_neighbours(file: Path) -> None:
    """Raise UserError for what SQLite would wait for beside a database (a pipe), or cannot open."""
    for suffix in (LOG, "-shm", "-journal"):
        path = file.with_name(file.name + suffix)
        if os.path.lexists(path) and not path.is_file():
            raise UserError(f"{path} is not a file")


def _check_log(file: Path, db: sqlite3.Connection) -> None:
    """Raise UserError if the database names another run with its log than without: SQLite reads any log."""
    seen = own = stored_id(db)
    if not is_being_written(file):
        with suppress(sqlite3.Error, UserError), _connected(file, ALONE) as alone:
            own = stored_id(alone)
    if seen != own:
        raise UserError(f"{file.name}{LOG} beside {file} is of another run, {seen}")


def _copy_with_log(file: Path, stack: ExitStack) -> Path:
    import shutil  # late, like tempfile: only a reader needs them, and importing the recorder should cost little
    import tempfile

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    for name in (file.name, file.name + LOG):
        shutil.copyfile(file.with_name(name), folder / name)
    return folder / file.name


@contextmanager
def _connected(file: Path, mode: str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?{mode}", uri=True)) as db:
        db.execute("BEGIN")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if not 1 <= version <= SCHEMA_VERSION:
            raise UserError(f"{file} has schema version {version}; this program reads 1 to {SCHEMA_VERSION}")
        yield db
