"""Files that are whole or not there."""

from pathlib import Path


def replace(path: Path, content: str | bytes) -> None:
    """Put `content` at `path` in one step: a reader sees the file before or after, never half of it."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(content if isinstance(content, bytes) else content.encode())
    partial.replace(path)
