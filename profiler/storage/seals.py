"""Seals: a chain of digests over a run's rows, so that damage to its file is found.

Rows that are stored together carry the number of their seal. The seal's digest covers the digest before it, the
table and the rows, so a changed, missing, repeated or foreign row breaks the chain at its seal. The manifest has a
digest of its own, and a finished run's manifest has the number of seals.

Digests are BLAKE2b, 16 bytes, of MessagePack, in which every value has one shortest form.
"""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any

import msgspec

from epoch_gap.profiler.errors import one_line
from epoch_gap.profiler.storage.database import CHUNK
from epoch_gap.profiler.storage.schema import COLLECTIVES, SEALED_TABLES

Row = tuple[Any, ...]
"""a row's values in the order of the table's columns, without the number of its seal"""
START = b""
"""the digest before the first seal"""


@dataclass(frozen=True)
class Sealed:
    """The rows of one seal, as they are found."""

    table: str
    rows: int
    digest: bytes
    """of the table and the rows, without the chain"""


@dataclass(frozen=True)
class Verification:
    """What the seals of a run show."""

    intact: int
    """seals, from the first, whose rows are as they were stored"""
    damage: str | None
    """what is wrong after them; None if nothing is"""


def digest_of_rows(table: str, columns: Iterable[str], rows: Sequence[Row]) -> bytes:
    """The digest of rows of one table, with the names of its columns in order."""
    return blake2b(msgspec.msgpack.encode((table, list(columns), rows)), digest_size=16).digest()


def chained(previous: bytes, rows: bytes) -> bytes:
    """The digest of a seal, from that of the seal before it and that of its rows."""
    return blake2b(previous + rows, digest_size=16).digest()


def digest_of_values(content: Any, later: Collection[str] = ()) -> bytes:
    """The digest of a dataclass's JSON values, with sorted keys.

    `later` are fields that older versions did not store: they count only if they are set.
    """
    values = msgspec.to_builtins(content)
    known = {key: value for key, value in values.items() if value is not None or key not in later}
    return blake2b(msgspec.msgpack.encode(known, order="sorted"), digest_size=16).digest()


def digest_of_manifest(entries: Mapping[str, str]) -> str:
    """The digest of a manifest's entries, JSON text by key."""
    return blake2b(msgspec.msgpack.encode(sorted(entries.items())), digest_size=16).hexdigest()


def verify_seals(db: sqlite3.Connection, expected: int | None = None) -> Verification:
    """Compare a run's rows with its seals; `expected` is the number of seals of a finished run, if known.

    A part of the file that cannot be read counts as damage.
    """
    found: dict[Any, Sealed | None] = {}
    unreadable = ""
    for table in SEALED_TABLES:
        try:
            if table == COLLECTIVES and not columns_of(db, table):
                continue  # before version 5
            for number, sealed in _seals_of(db, table):
                found[number] = None if number in found else sealed  # a seal has rows of one table, stored together
        except sqlite3.Error as error:
            unreadable = unreadable or f"{table}: {one_line(error)}"
    intact, damage = _check_chain(db, found)
    if damage is None and len(found) > intact:
        damage = f"there are rows without a seal in {_tables(found, intact)}"
    if damage is None and expected not in (None, intact):
        damage = f"{intact} of {expected} stored chunks are left"
    return Verification(intact, unreadable or damage)


def read_sealed(db: sqlite3.Connection, table: str, intact: int) -> Iterator[tuple[int, list[Row]]]:
    """The rows of a table by seal, as far as they can be read, of the first `intact` seals."""
    with suppress(sqlite3.Error):
        for number, rows in _grouped(db, table):
            if isinstance(number, int) and 1 <= number <= intact:
                yield number, rows


def columns_of(db: sqlite3.Connection, table: str) -> dict[str, str]:
    """The types of a table's columns by name, in order, without that of the seal."""
    columns = {row[1]: row[2] for row in db.execute(f"PRAGMA table_info({table})")}
    columns.pop("seal", None)
    return columns


def _check_chain(db: sqlite3.Connection, found: Mapping[int, Sealed | None]) -> tuple[int, str | None]:
    digest, intact = START, 0
    try:
        for number, table, rows, stored in db.execute("SELECT number, kind, rows, digest FROM seals ORDER BY number"):
            sealed = found.get(number)
            if number != intact + 1 or sealed is None or (sealed.table, sealed.rows) != (table, rows):
                return intact, f"{table} has rows that are missing or out of place (chunk {intact + 1})"
            digest = chained(digest, sealed.digest)
            if digest != stored:
                return intact, f"{table} has rows that were changed (chunk {number})"
            intact += 1
    except sqlite3.Error as error:
        return intact, f"seals: {one_line(error)}"
    return intact, None


def _tables(found: Mapping[int, Sealed | None], intact: int) -> str:
    sealed = set(range(1, intact + 1))
    return " and ".join(sorted({rows.table for number, rows in found.items() if rows and number not in sealed}))


def _seals_of(db: sqlite3.Connection, table: str) -> Iterator[tuple[int, Sealed | None]]:
    """The seals of a table in the order of its key; None for one whose rows are out of order.

    Rows are stored in the order of the key within a stage, so the numbers increase there, and the keys everywhere.
    Where pages have changed places, each row is as it was stored, and only the order is wrong.
    """
    columns, key = columns_of(db, table), SEALED_TABLES[table]
    last_key: Row = ()
    last_number: dict[Any, Any] = {}
    for number, rows in _grouped(db, table):
        stage = rows[0][0] if "stage" in key else table
        keys = [row[: len(key)] for row in rows]
        in_order = _ascends([(last_number.get(stage, 0),), (number,)]) and (not key or _ascends([last_key, *keys]))
        last_number[stage], last_key = number, keys[-1]
        yield number, Sealed(table, len(rows), digest_of_rows(table, columns, rows)) if in_order else None


def _ascends(keys: Sequence[Row]) -> bool:
    try:
        return all(earlier < later for earlier, later in pairwise(keys))
    except TypeError:  # a damaged value of another type
        return False


def _grouped(db: sqlite3.Connection, table: str) -> Iterator[tuple[int, list[Row]]]:
    """The rows of a table, grouped by seal. Rows of one seal are neighbours in the order of the table's key."""
    columns = ", ".join(columns_of(db, table))
    query = f"SELECT seal, {columns} FROM {table} ORDER BY {', '.join(SEALED_TABLES[table]) or 'rowid'}"
    for number, group in groupby(_fetched(db.execute(query)), key=itemgetter(0)):
        yield number, [row[1:] for row in group]


def _fetched(cursor: sqlite3.Cursor) -> Iterator[Row]:
    while rows := cursor.fetchmany(CHUNK):
        yield from rows


def normalised(values: Iterable[Any], types: Iterable[str]) -> Row:
    """Values as SQLite gives them back: whole numbers in REAL columns as floats, no -0.0, NULL for NaN."""
    return tuple(map(_normalise, values, types))


def _normalise(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "REAL":
        number = float(value) + 0.0
        return None if number != number else number
    return int(value) if kind == "INTEGER" else str(value)
