"""The run lock: one timed run at a time on this machine, so that two runs do not slow each other down unnoticed.

Each run locks its own file in a shared folder, and the lock ends with the process. Runs of one session (the
processes of one `profile`) do not exclude each other.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from epoch_gap.profiler.errors import UserError, os_errors_as_one_line
from epoch_gap.profiler.machine.folder_lock import hold_folder, is_locked

FOLDER = "epoch-gap-runs"


class RunLock:
    """The lock of one timed run."""

    def __init__(self, folder: Path, session: str) -> None:
        self._folder, self._session = folder, session

    def count_other_sessions(self) -> int:
        """The number of other sessions with a timed run in progress; 0 if it cannot be determined."""
        try:
            return len(_other_sessions(self._folder, self._session))
        except OSError:
            return 0


@contextmanager
def hold_run_lock(
    session: str, *, allow_others: bool, how_to_allow: str = "add --allow-busy to run anyway"
) -> Iterator[RunLock]:
    """Hold the lock of a timed run of `session` while the context is open.

    Raises UserError if another session holds one, unless `allow_others`; the message says `how_to_allow` it.
    """
    folder = _lock_folder()
    own = folder / f"{session}-{os.getpid()}.{os.urandom(2).hex()}"  # a process may hold several
    with ExitStack() as held:
        with hold_folder(folder), _errors_as_one_line(folder):
            _remove_dead_locks(folder)
            others = _other_sessions(folder, session)
            if f"process {os.getpid()}" in others.values() and not allow_others:
                raise UserError(f"this process records another run; end that recording first, or {how_to_allow}")
            if others and not allow_others:
                raise UserError(
                    f"another timed run is in progress ({', '.join(others.values())}) and both would be slower; "
                    f"wait for it, or {how_to_allow}"
                )
            file = held.enter_context(own.open("w"))
            held.callback(_remove_if_own, own, os.getpid())
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(f"process {os.getpid()}")
            file.flush()
        yield RunLock(folder, session)


def _remove_if_own(file: Path, process: int) -> None:
    """Remove a lock's file, except in a forked child, which inherits the context but not the lock."""
    if os.getpid() == process:
        file.unlink(missing_ok=True)


def _lock_folder() -> Path:
    """One folder per user in the temporary directory, or $EPOCH_GAP_LOCKS."""
    chosen = os.environ.get("EPOCH_GAP_LOCKS")
    folder = Path(chosen) if chosen else _temporary_folder() / f"{FOLDER}-{os.getuid()}"
    with _errors_as_one_line(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _temporary_folder() -> Path:
    import tempfile  # late: importing the recorder should cost little

    with _errors_as_one_line(Path("the temporary folder")):
        return Path(tempfile.gettempdir())


def _errors_as_one_line(folder: Path) -> AbstractContextManager[None]:
    return os_errors_as_one_line(f"cannot lock this run in {folder}", "set TMPDIR or EPOCH_GAP_LOCKS")


def _other_sessions(folder: Path, session: str) -> dict[str, str]:
    """The text of one live lock file per other session, by session."""
    others = {}
    for path in folder.iterdir():
        name = path.name.rpartition("-")[0]
        with suppress(FileNotFoundError), path.open() as file:
            if name != session and is_locked(file):
                others[name] = file.read()
    return others


def _remove_dead_locks(folder: Path) -> None:
    """Remove the files of dead processes. Call it within `hold_folder`: a new file is not locked immediately."""
    for path in folder.iterdir():
        with suppress(FileNotFoundError), path.open() as file:  # its process may be exiting at this moment
            if not is_locked(file):
                path.unlink()
