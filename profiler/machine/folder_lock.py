"""Locks on folders and files, which end with the process that holds them."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, Any


@contextmanager
def hold_folder(folder: Path, *, is_optional: bool = False) -> Iterator[None]:
    """Let only one process at a time work on the folder; wait for another one.

    With `is_optional`, a file system without locks has none to hold. Raises OSError.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError) if is_optional else nullcontext():
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def is_locked(file: int | IO[Any]) -> bool:
    """Whether another process, or another handle of this one, holds the lock of an open file or folder."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False
