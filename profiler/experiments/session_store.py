"""Sessions of experiments on disk: `experiments/<id>/session.json` beside the runs, and their runs in that folder."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from epoch_gap.profiler.errors import UserError, os_errors_as_one_line
from epoch_gap.profiler.experiments.session import (
    FILE,
    SCHEMA_VERSION,
    Result,
    Session,
    seal_forecasts,
    session_from_json,
)
from epoch_gap.profiler.storage.artifacts import read_json_artifact
from epoch_gap.profiler.storage.atomic import write_atomically
from epoch_gap.profiler.storage.directories import create_directory

EXPERIMENTS = "experiments"


def create_session(runs_dir: Path, session: Session) -> tuple[Path, Session]:
    """Seal the predictions and store the session in a folder of its own, before anything is measured.

    Returns the folder and the sealed session. Raises UserError if it cannot be written.
    """
    folder = create_directory(runs_dir / EXPERIMENTS, f"{session.framework}-{session.device}")
    sealed = seal_forecasts(replace(session, id=folder.name, created=datetime.now(UTC).isoformat()))
    _write(folder, sealed)
    return folder, sealed


def add_result(folder: Path, session: Session, result: Result) -> Session:
    """Store the result of a test, in place of an earlier one; the session with it.

    Raises UserError if it cannot be written.
    """
    others = [earlier for earlier in session.results if earlier.name != result.name]
    longer = replace(session, results=(*others, result))
    _write(folder, longer)
    return longer


def load_session(folder: Path) -> Session:
    """Read a session. Raises UserError if it is damaged or of a newer version."""
    session = session_from_json(read_json_artifact(folder / FILE), str(folder / FILE))
    if session.schema_version > SCHEMA_VERSION:
        raise UserError(f"{folder / FILE} was written by a newer version of this program")
    return session


def load_sessions(runs_dir: Path, warn: Callable[[str], None]) -> list[tuple[Path, Session]]:
    """All sessions beside the runs, newest first; one that cannot be read is skipped, with a warning."""
    found = []
    for file in sorted((runs_dir / EXPERIMENTS).glob(f"*/{FILE}"), reverse=True):
        try:
            found.append((file.parent, load_session(file.parent)))
        except UserError as error:
            warn(f"skipped: {error}")
    return found


def _write(folder: Path, session: Session) -> None:
    with os_errors_as_one_line(f"cannot write to {folder}", "choose another --runs-dir"):
        write_atomically(folder / FILE, json.dumps(msgspec.to_builtins(session), indent=1) + "\n")
