"""A session of the cross as stored: its predictions, sealed before its first training, and the runs.

The seal is a digest of the predictions and of what they were computed from. It is the session id of every run of the
cross, so a prediction that was changed later fits neither its seal nor, sealed again, the runs.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from epoch_gap.profiler.errors import UserError, os_errors_as_one_line
from epoch_gap.profiler.learning.cross import Cell, plan_cross
from epoch_gap.profiler.learning.outcomes import Outcome
from epoch_gap.profiler.storage.artifacts import read_json_artifact
from epoch_gap.profiler.storage.atomic import write_atomically
from epoch_gap.profiler.storage.directories import create_directory
from epoch_gap.profiler.storage.manifest import NETWORK_FIELDS, Network
from epoch_gap.profiler.storage.seals import digest_of_values
from epoch_gap.profiler.storage.typed_json import convert_json

SCHEMA_VERSION = 1
FILE = "cross.json"
CURVES = "curves"
"""the folder of the sessions beside the runs; each has its runs in it"""


@dataclass(frozen=True, kw_only=True)
class Rival:
    """A cause that is claimed to explain a difference between the sides."""

    cause: str
    """schedule | initialisation | framework"""
    outcome: Outcome
    claim: str
    guess: int | None = None
    """the article's guess that it is"""
    predicted: float
    """fast - slow in the runs of both sides as they are: the claim is that the cause makes this difference alone"""
    tolerance: float
    """in the unit of the outcome"""


@dataclass(frozen=True, kw_only=True)
class Training:
    """A finished training of the cross."""

    framework: str
    switches: tuple[str, ...]
    seed: int
    run: str
    """id"""

    @property
    def cell(self) -> Cell:
        """What was trained."""
        return Cell(self.framework, self.switches, self.seed)


@dataclass(frozen=True, kw_only=True)
class CrossSession:
    """One cross of two sides."""

    id: str = ""
    schema_version: int = SCHEMA_VERSION
    created: str = ""
    """UTC, ISO 8601"""
    slow: str
    """the registry's name of the side with the longer steps"""
    fast: str
    """and of the other one, on which the cross is trained"""
    titles: Mapping[str, str]
    """display names, by the registry's"""
    size: str
    """the training in words: batch, epochs, images"""
    model: str | None = None
    """of both sides; null: the article's, as in older sessions"""
    image_size: int | None = None
    """of both sides; null: the article's, as in older sessions"""
    seeds: tuple[int, ...]
    baseline: tuple[str, str]
    """the ids of the runs of the slow and the fast side as they are"""
    rivals: tuple[Rival, ...]
    seal: str = ""
    trainings: tuple[Training, ...] = ()

    @property
    def network(self) -> Network:
        """The network of both sides, and the size of its images."""
        return Network.from_stored(self.model, self.image_size)

    @property
    def plan(self) -> list[Cell]:
        """All trainings of the cross, in their order."""
        return plan_cross(self.slow, self.fast, self.seeds)

    @property
    def remaining(self) -> list[Cell]:
        """The trainings that are not finished."""
        done = {training.cell for training in self.trainings}
        return [cell for cell in self.plan if cell not in done]

    def is_edited(self, run_sessions: Iterable[str]) -> bool:
        """Whether the predictions are not those that were sealed before the runs with these session ids."""
        return self.seal != _seal(self) or any(known != self.seal for known in run_sessions)


def _seal(session: CrossSession) -> str:
    return digest_of_values(replace(session, seal="", trainings=(), id=""), NETWORK_FIELDS).hex()


def create_cross(runs_dir: Path, session: CrossSession) -> tuple[Path, CrossSession]:
    """Seal the predictions and store the session in a folder of its own, before its first training.

    Returns the folder and the sealed session. Raises UserError if it cannot be written.
    """
    folder = create_directory(runs_dir / CURVES, f"{session.slow}-{session.fast}")
    dated = replace(session, id=folder.name, created=datetime.now(UTC).isoformat())
    as_read = cross_from_json(json.loads(_to_text(dated)))
    sealed = replace(as_read, seal=_seal(as_read))
    _write(folder, sealed)
    return folder, sealed


def add_training(folder: Path, session: CrossSession, training: Training) -> CrossSession:
    """Store a finished training; the session with it. Raises UserError if it cannot be written."""
    longer = replace(session, trainings=(*session.trainings, training))
    _write(folder, longer)
    return longer


def cross_from_json(data: Any, name: str = FILE) -> CrossSession:
    """Read a session's JSON values. Raises UserError with the field of `name` that is missing or wrong."""
    session = convert_json(data, CrossSession, name)
    if session.schema_version > SCHEMA_VERSION:
        raise UserError(f"{name} was written by a newer version of this program")
    if not session.seeds:
        raise UserError(f"{name}: seeds is empty")
    return session


def load_cross(folder: Path) -> CrossSession:
    """Read a session. Raises UserError if it is damaged or of a newer version."""
    return cross_from_json(read_json_artifact(folder / FILE), str(folder / FILE))


def find_crosses(runs_dir: Path) -> list[Path]:
    """The folders of all sessions beside the runs, newest first."""
    return [file.parent for file in sorted((runs_dir / CURVES).glob(f"*/{FILE}"), reverse=True)]


def _to_text(session: CrossSession) -> str:
    return json.dumps(msgspec.to_builtins(session), indent=1) + "\n"


def _write(folder: Path, session: CrossSession) -> None:
    with os_errors_as_one_line(f"cannot write to {folder}", "choose another --runs-dir"):
        write_atomically(folder / FILE, _to_text(session))
