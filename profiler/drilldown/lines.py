"""Times of the lines of hot functions, measured by line_profiler: the content of `lines.json`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from epoch_gap.profiler.drilldown.conditions import (
    DrilldownConditions,
    conditions_from_json,
    conditions_to_json,
)
from epoch_gap.profiler.errors import UserError

LINES = "lines.json"


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


@dataclass(frozen=True)
class LineTimes:
    """The line times of one framework, from a separate run."""

    functions: Sequence[Function]
    steps: int
    """watched training steps; the times of lines are totals over all of them"""
    slowdown: float
    """the time of a watched step over that of an unwatched one"""
    conditions: DrilldownConditions | None = None
    """None in older files"""

    def slowest(self, most: int) -> list[tuple[Function, Line]]:
        """The `most` slowest lines of all functions, the slowest first."""
        pairs = [(function, line) for function in self.functions for line in function.lines]
        return sorted(pairs, key=lambda pair: -pair[1].seconds)[:most]


def lines_to_json(times: LineTimes) -> dict[str, Any]:
    """The stored form, which `lines_from_json` reads."""
    return {
        "schema_version": 1,
        **(conditions_to_json(times.conditions) if times.conditions else {}),
        "steps": times.steps,
        "slowdown": times.slowdown,
        "functions": [asdict(function) for function in times.functions],
    }


def lines_from_json(data: Mapping[str, Any]) -> LineTimes:
    """Read the output of `lines_to_json`. Raises UserError for anything else."""
    try:
        return LineTimes(
            functions=[
                Function(row["file"], row["name"], [Line(**line) for line in row["lines"]])
                for row in data["functions"]
            ],
            steps=int(data["steps"]),
            slowdown=float(data["slowdown"]),
            conditions=conditions_from_json(data) if {"framework", "batch_size", "data"} & set(data) else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"not line times: {error}") from None
