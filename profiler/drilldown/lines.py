"""The lines of hot functions: what line_profiler saw."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from epoch_gap.profiler.errors import UserError

FILE = "lines.json"
OWN = ("schema_version", "steps", "slowdown", "functions")
"""keys of `lines.json` besides the conditions"""


@dataclass(frozen=True)
class Line:
    """One line of a function, over all watched steps."""

    number: int
    hits: int
    seconds: float
    source: str


@dataclass(frozen=True)
class Function:
    """A function with the time of its lines, callees included."""

    file: str
    """below the framework's package"""
    name: str
    lines: Sequence[Line]

    @property
    def seconds(self) -> float:
        """Of all its lines."""
        return sum(line.seconds for line in self.lines)


def top(functions: Sequence[Function], most: int) -> list[tuple[Function, Line]]:
    """The lines that took longest, of all functions."""
    found = [(function, line) for function in functions for line in function.lines]
    return sorted(found, key=lambda item: -item[1].seconds)[:most]


def to_json(
    conditions: Mapping[str, Any], functions: Sequence[Function], steps: int, slowdown: float
) -> dict[str, Any]:
    """What `lines.json` holds; seconds are of all `steps` watched steps together."""
    return {
        "schema_version": 1,
        **conditions,
        "steps": steps,
        "slowdown": slowdown,
        "functions": [asdict(function) for function in functions],
    }


def conditions(data: Mapping[str, Any]) -> dict[str, Any]:
    """Those that `to_json` was given; empty where there are none."""
    return {key: value for key, value in data.items() if key not in OWN}


def from_json(data: Mapping[str, Any]) -> list[Function]:
    """The functions of what `to_json` made. Raises UserError for anything else."""
    try:
        return [
            Function(row["file"], row["name"], [Line(**line) for line in row["lines"]]) for row in data["functions"]
        ]
    except (KeyError, TypeError) as error:
        raise UserError(f"not the lines of a run: {error}") from None
