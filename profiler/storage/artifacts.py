"""The files of drill-downs: one directory per drill-down, in `drilldown/` beside the runs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.atomic import write_atomically
from epoch_gap.profiler.storage.directories import create_directory, safe_name

DRILLDOWNS = "drilldown"


def store_artifacts(runs_dir: Path, name: str, contents: Mapping[str, str]) -> Path:
    """Write files of text, by file name, into a new directory named after `name`. Returns the directory."""
    folder = create_directory(runs_dir / DRILLDOWNS, name)
    for file, content in contents.items():
        write_atomically(folder / file, content + "\n")
    return folder


def store_json_artifact(runs_dir: Path, name: str, file: str, data: Mapping[str, Any]) -> Path:
    """Write one JSON file into a new directory named after `name`. Returns the file's path."""
    return store_artifacts(runs_dir, name, {file: json.dumps(data, indent=1)}) / file


def find_artifacts(runs_dir: Path, file: str, name: str = "") -> list[Path]:
    """The paths of `file` in every drill-down directory whose name contains `name`, newest first."""
    folders = f"*-{safe_name(name)}*" if name else "*"
    return sorted((runs_dir / DRILLDOWNS).glob(f"{folders}/{file}"), reverse=True)


def read_text_artifact(path: Path) -> str:
    """The text of a file. Raises UserError if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None


def read_json_artifact(path: Path) -> Any:
    """The JSON of a file. Raises UserError if it cannot be read or is not JSON."""
    try:
        return json.loads(read_text_artifact(path))
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from None
