"""Timed runs of this user on this machine, so that no two disturb each other unknowingly.

Each run holds a lock on a file of its own in one folder; the lock goes with its process, however that ends. Runs of
one session (the processes of one `profile`) do not count as each other's.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from epoch_gap.profiler.errors import UserError

FOLDER = "epoch-gap-runs"


class Presence:
    """One run's place among those of the machine."""

    def __init__(self, folder: Path, session: str) -> None:
        self._folder, self._session = folder, session

    def others(self) -> int:
        """Other sessions with a timed run at this moment; 0 where that cannot be read."""
        try:
            return len(_others(self._folder, self._session))
        except OSError:
            return 0


@contextmanager
def present(session: str, *, allow_others: bool) -> Iterator[Presence]:
    """Count as a timed run of `session` while the context is open.

    Raises UserError where another session's run is going on, unless `allow_others`.
    """
    folder = _folder()
    own = folder / f"{session}-{os.getpid()}"
    with ExitStack() as held:
        with _turn(folder), _writing(folder):
            _sweep(folder)
            others = _others(folder, session)
            if others and not allow_others:
                raise UserError(
                    f"another timed run is going on ({', '.join(others.values())}) and both would be slower; "
                    "wait for it, or add --allow-busy to run all the same"
                )
            file = held.enter_context(own.open("w"))
            held.callback(own.unlink, missing_ok=True)
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(f"process {os.getpid()}")
            file.flush()
        yield Presence(folder, session)


def _folder() -> Path:
    """The user's own in the temporary folder, for a login shell as for a job; EPOCH_GAP_LOCKS moves it."""
    moved = os.environ.get("EPOCH_GAP_LOCKS")
    folder = Path(moved) if moved else Path(tempfile.gettempdir()) / f"{FOLDER}-{os.getuid()}"
    with _writing(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot note this run in {folder}: {error.strerror}; set TMPDIR or EPOCH_GAP_LOCKS"
        ) from None


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """One at a time looks around and takes its place."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _others(folder: Path, session: str) -> dict[str, str]:
    """What a living process of each other session has written into its file, by session."""
    found = {}
    for path in folder.iterdir():
        name = path.name.rpartition("-")[0]
        with suppress(FileNotFoundError), path.open() as file:
            if name != session and _is_locked(file):
                found[name] = file.read()
    return found


def _sweep(folder: Path) -> None:
    """Remove the files of processes that are gone. In one's turn only: a file is not locked when it is made."""
    for path in folder.iterdir():
        with suppress(FileNotFoundError), path.open() as file:  # its process may be ending right now
            if not _is_locked(file):
                path.unlink()


def _is_locked(file: Any) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False
