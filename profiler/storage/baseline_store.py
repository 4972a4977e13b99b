"""Named baselines: `baselines.json` beside the runs, with the runs that later ones are compared with."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from epoch_gap.profiler.errors import UserError, os_errors_as_one_line
from epoch_gap.profiler.storage.artifacts import read_json_artifact
from epoch_gap.profiler.storage.atomic import write_atomically

BASELINES_JSON = "baselines.json"
NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


@dataclass(frozen=True)
class Baseline:
    """The runs of one configuration."""

    runs: tuple[str, ...]
    """the names of their directories, at least one"""
    subject: str
    """id of the configuration"""
    day: str
    """when it was set"""


def load_baselines(runs_dir: Path) -> Mapping[str, Baseline]:
    """The baselines beside these runs, by name. Raises UserError if the file is damaged."""
    path = runs_dir / BASELINES_JSON
    if not path.exists():
        return {}
    try:
        return msgspec.convert(read_json_artifact(path), dict[str, Baseline])
    except msgspec.ValidationError as error:
        raise UserError(f"{path} cannot be read: {error}; remove it and set the baselines again") from None


def find_baseline(runs_dir: Path, name: str) -> Baseline:
    """The baseline of a name. Raises UserError if there is none."""
    known = load_baselines(runs_dir)
    if name not in known:
        names = f"; there are: {', '.join(known)}" if known else ""
        raise UserError(f"no baseline {name!r} in {runs_dir}{names}")
    return known[name]


def save_baseline(runs_dir: Path, name: str, baseline: Baseline) -> None:
    """Store a baseline, replacing an earlier one of that name. Raises UserError for a name that is none."""
    if not NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name of a baseline: letters, digits and . _ - only, at most 80")
    _write(runs_dir, {**load_baselines(runs_dir), name: baseline})


def remove_baseline(runs_dir: Path, name: str) -> None:
    """Forget a baseline; its runs stay. Raises UserError if there is none of that name."""
    find_baseline(runs_dir, name)
    _write(runs_dir, {key: baseline for key, baseline in load_baselines(runs_dir).items() if key != name})


def _write(runs_dir: Path, baselines: Mapping[str, Baseline]) -> None:
    text = json.dumps({name: asdict(baseline) for name, baseline in baselines.items()}, indent=1)
    with os_errors_as_one_line(f"cannot write to {runs_dir}", "choose another --runs-dir"):
        write_atomically(runs_dir / BASELINES_JSON, text + "\n")
