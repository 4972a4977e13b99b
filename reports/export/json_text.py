"""JSON as text."""

import json


def strict_json(data: object) -> str:
    """Strict JSON, indented. Raises ValueError for a number that is not finite."""
    return json.dumps(data, indent=1, allow_nan=False)
