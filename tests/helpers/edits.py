"""Change stored runs as no program of ours does."""

import sqlite3
from contextlib import closing
from pathlib import Path

from epoch_gap.profiler.storage.schema import DATABASE


def edit(path: Path, *statements: str, version: int | None = 3) -> None:
    """Execute statements on a run's database; by default it then passes for one of version 3, which has no seals."""
    with closing(sqlite3.connect(path / DATABASE)) as db, db:
        for statement in statements:
            db.execute(statement)
    if version is not None:
        with closing(sqlite3.connect(path / DATABASE)) as db:
            db.execute("DROP TABLE IF EXISTS seals")
            db.execute(f"PRAGMA user_version = {version}")
