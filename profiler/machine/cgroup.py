"""The limits of this process's Linux control groups (cgroups), version 2 and version 1."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = "/sys/fs/cgroup"


def read_text(path: str) -> str | None:
    """The text of a small system file, or None."""
    try:
        return Path(path).read_text()
    except OSError:
        return None


def read_values(path: str, key: str) -> list[str]:
    """The values of the lines `key: value` of a small system file; empty if it cannot be read."""
    lines = (line.partition(":") for line in (read_text(path) or "").splitlines())
    return [value.strip() for name, _, value in lines if name.strip() == key]


def cpu_limit() -> str | None:
    """`quota period` in microseconds, in version 2's format, from the nearest group that has one; None: unknown."""
    for folder in _folders("cpu"):
        if text := read_text(f"{folder}/cpu.max"):
            return text.strip()
        quota, period = (read_text(f"{folder}/cpu.cfs_{name}_us") for name in ("quota", "period"))
        if quota and period:
            return f"{'max' if int(quota) < 0 else quota.strip()} {period.strip()}"
    return None


def memory_limit() -> str | None:
    """Bytes, or `max`, from the nearest group that has a limit; None: unknown."""
    for folder in _folders("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            if text := read_text(f"{folder}/{name}"):
                return text.strip()
    return None


def throttle_count() -> int | None:
    """Number of times that a CPU limit has stopped this process's group or a parent of it; None: unknown."""
    counts = [
        int(line.split()[1])
        for folder in _folders("cpu")
        for line in (read_text(f"{folder}/cpu.stat") or "").splitlines()
        if line.startswith("nr_throttled ")
    ]
    return sum(counts) if counts else None


def _folders(controller: str) -> Iterator[str]:
    """The possible folders of this process's group and its parents, nearest first, each once."""
    folders: dict[str, None] = {}
    for line in (read_text("/proc/self/cgroup") or "").splitlines():
        _, controllers, group = line.split(":", 2)
        bases = [ROOT] if not controllers else []
        if controller in controllers.split(","):
            bases = [f"{ROOT}/{controllers}", f"{ROOT}/{controller}"]
        for base in bases:
            path = PurePosixPath(group)
            folders.update(dict.fromkeys(f"{base}/{part}".rstrip("/.") for part in _upwards(path)))
    yield from folders


def _upwards(path: PurePosixPath) -> Iterator[str]:
    while True:
        yield str(path).strip("/")
        if path == path.parent:
            return
        path = path.parent
