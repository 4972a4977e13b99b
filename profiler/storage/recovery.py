"""Save the intact part of a damaged run into a new run."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from sqlite3 import Connection

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.database import is_being_written, open_database
from epoch_gap.profiler.storage.manifest import Manifest, RunStatus
from epoch_gap.profiler.storage.reader import is_sealed, read_errors_as_one_line, read_manifest
from epoch_gap.profiler.storage.schema import DATABASE, SEALED_TABLES
from epoch_gap.profiler.storage.seals import Row, columns_of, read_sealed, verify_seals
from epoch_gap.profiler.storage.writer import create_run


@dataclass(frozen=True)
class Recovery:
    """A new run with the intact part of a damaged one."""

    path: Path
    rows: Counter[str]
    """saved, by table"""
    damage: str


def recover_run(path: Path, runs_dir: Path) -> Recovery:
    """Save the rows that were stored before the first damage into a new run in `runs_dir`; the old one stays.

    Raises UserError if nothing is damaged, the run is being recorded, or its manifest cannot be trusted.
    """
    file = path / DATABASE
    with read_errors_as_one_line(file), open_database(file) as db:
        if is_being_written(file):
            raise UserError(f"{path} is being recorded")
        if not is_sealed(db):
            raise UserError(f"{path} was stored by a version without the seals that tell what is intact")
        manifest = read_manifest(db, file)
        verification = verify_seals(db, manifest.seals)
        if verification.damage is None:
            raise UserError(f"{path} is not damaged")
        return _save(db, manifest, path, runs_dir, verification.intact, verification.damage)


def _save(db: Connection, manifest: Manifest, path: Path, runs_dir: Path, intact: int, damage: str) -> Recovery:
    chunks: dict[int, tuple[str, list[Row]]] = {}
    for table in SEALED_TABLES:
        chunks |= {number: (table, rows) for number, rows in read_sealed(db, table, intact)}
    source = manifest.id or path.name
    writer = create_run(runs_dir, replace(manifest, recovered_from=source, seals=None, finished=None))
    names = {table: list(columns_of(db, table)) for table in SEALED_TABLES}
    saved: Counter[str] = Counter()
    for number in sorted(chunks):
        table, rows = chunks[number]
        writer.copy(table, [dict(zip(names[table], row, strict=True)) for row in rows])
        saved[table] += len(rows)
    writer.event("recovered", f"from {source}: {damage}")
    writer.update({"created": manifest.created})
    writer.finish(RunStatus.INTERRUPTED)
    return Recovery(writer.path, saved, damage)
