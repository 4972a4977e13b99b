"""Atomic file replacement: a reader sees the old file or the new one, never a part of it.

Content goes to a temporary file in the same directory, which takes the final name at the end and is removed on
failure. Its name is unique, so that two writers never share one; the last to finish wins. The directory must exist.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PARTIAL = ".partial-"


def is_partial(path: Path) -> bool:
    """Whether a path is a temporary file of this module, which a killed process can leave behind."""
    return path.name.startswith(PARTIAL)


@contextmanager
def replace_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path with the suffix of `path`; the file written there becomes `path` at the end."""
    temporary = path.with_name(f"{PARTIAL}{os.urandom(4).hex()}-{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def open_atomically(path: Path) -> Iterator[IO[bytes]]:
    """Yield a binary stream whose content becomes the file `path` at the end."""
    with replace_atomically(path) as temporary, temporary.open("xb") as stream:
        yield stream


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write `content` to `path`; text as UTF-8."""
    with open_atomically(path) as stream:
        stream.write(content if isinstance(content, bytes) else content.encode())
