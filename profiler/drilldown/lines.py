"""Times of the lines of hot functions, measured by line_profiler: the content of `lines.json`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from epoch_gap.profiler.errors import UserError

FILE = "lines.json"
OWN = ("schema_version", "steps", "slowdown", "functions")
"""keys of `lines.json` that are not conditions"""


@dataclass(frozen=True)
class Line:
    """One line of a function, over all watched steps."""

    number: int
    hits: int
    seconds: float
    source: str


@dataclass(frozen=True)
class Function:
    """A function and the times of its lines, callees included."""

    file: str
    """path below the folder of installed packages"""
    name: str
    lines: Sequence[Line]

    @property
    def seconds(self) -> float:
        """The time of all its lines."""
        return sum(line.seconds for line in self.lines)


def top(functions: Sequence[Function], most: int) -> list[tuple[Function, Line]]:
    """The `most` slowest lines of all functions, the slowest first."""
    pairs = [(function, line) for function in functions for line in function.lines]
    return sorted(pairs, key=lambda pair: -pair[1].seconds)[:most]


def to_json(
    conditions: Mapping[str, Any], functions: Sequence[Function], steps: int, slowdown: float
) -> dict[str, Any]:
    """The stored form; seconds are totals over all `steps` watched steps."""
    return {
        "schema_version": 1,
        **conditions,
        "steps": steps,
        "slowdown": slowdown,
        "functions": [asdict(function) for function in functions],
    }


def conditions(data: Mapping[str, Any]) -> dict[str, Any]:
    """The conditions in the output of `to_json`; empty if it has none."""
    return {key: value for key, value in data.items() if key not in OWN}


def from_json(data: Mapping[str, Any]) -> list[Function]:
    """The functions in the output of `to_json`. Raises UserError for anything else."""
    try:
        return [
            Function(row["file"], row["name"], [Line(**line) for line in row["lines"]]) for row in data["functions"]
        ]
    except (KeyError, TypeError) as error:
        raise UserError(f"not line times: {error}") from None
