"""SQLite's write-ahead log, which a run has until it finishes: whether it is there, whole, and the run's own.

SQLite reads a log up to the first frame whose checksum is wrong, without a word, and does not know whose log it is.
The format is in https://sqlite.org/fileformat2.html#walformat.
"""

import struct
from pathlib import Path

LOG = "-wal"
"""suffix of the log"""
HEADER, FRAME_HEADER = 32, 24
"""bytes"""
WORDS = {b"\x37\x7f\x06\x82": "<", b"\x37\x7f\x06\x83": ">"}
"""the order of bytes in checksums, by a log's first four bytes"""
UNLOGGED = b"\x01\x01"
"""what the header of a database file without a log has at bytes 18 and 19"""

_Sums = tuple[int, int]


def has_log(file: Path) -> bool:
    """Whether a database file has a write-ahead log beside it."""
    return _log_of(file).exists()


def was_logged(file: Path) -> bool:
    """Whether the header of a database file says that it has a write-ahead log."""
    with file.open("rb") as stream:
        return stream.read(20)[18:] != UNLOGGED


def describe_lost_log(file: Path) -> str:
    """What is to be said about the log of a database whose process is gone; empty if it is there and whole."""
    log = _log_of(file)
    if not log.exists():
        return f"{log.name} is missing, so its newest rows may be (unless another program has merged that file)"
    broken = find_broken_byte(log.read_bytes())
    return "" if broken is None else f"{log.name} is damaged from byte {broken} on, so the rows after it are missing"


def find_broken_byte(log: bytes) -> int | None:
    """The byte from which SQLite cannot read a log; None if it reads all of it.

    What follows the last frame may be older frames, which SQLite overwrites from the start of the file. They have
    other salts, so a frame with a salt of the header that is not read is damaged. A log that was cut off between two
    frames cannot be told from a shorter one.
    """
    order = WORDS.get(log[:4])
    if order is None or len(log) < HEADER or _stored(log, 24) != (sums := _checksum(log[:24], order, (0, 0))):
        return 0
    (page_size,) = struct.unpack_from(">I", log, 8)
    salts, size = log[16:24], FRAME_HEADER + page_size
    at = HEADER
    while at + size <= len(log) and log[at + 8 : at + 16] == salts:
        sums = _checksum(log[at : at + 8] + log[at + FRAME_HEADER : at + size], order, sums)
        if sums != _stored(log, at + 16):
            return at
        at += size
    later = (log[i + 8 : i + 16] for i in range(at, len(log), size))
    return at if any(found[:4] == salts[:4] or found[4:] == salts[4:] for found in later) else None


def _log_of(file: Path) -> Path:
    return file.with_name(file.name + LOG)


def _stored(log: bytes, at: int) -> _Sums:
    first, second = struct.unpack_from(">II", log, at)
    return first, second


def _checksum(data: bytes, order: str, sums: _Sums) -> _Sums:
    """SQLite's checksum, continued from `sums`."""
    first, second = sums
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for even, odd in zip(words, words, strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
