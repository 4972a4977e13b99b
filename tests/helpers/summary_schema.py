"""What does not fit docs/summary.schema.json."""

import json
from typing import Any

from jsonschema import Draft202012Validator

from tests.helpers.paths import ROOT

SCHEMA = json.loads((ROOT / "docs" / "summary.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)


def problems(summary: Any) -> list[str]:
    """One line each, with the path to the place."""
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(summary)]
