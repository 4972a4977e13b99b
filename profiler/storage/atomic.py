"""Files that are whole or not there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """A stream to what is at `path` as soon as it ends, in one step: a reader sees the file before or after."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("wb") as stream:
            yield stream
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def replace(path: Path, content: str | bytes) -> None:
    """Put `content` at `path` in one step."""
    with whole(path) as stream:
        stream.write(content if isinstance(content, bytes) else content.encode())
