"""Layer and operator times of one framework: what `layers.json` holds, and how two of them compare."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from epoch_gap.profiler.analysis.epoch import NS
from epoch_gap.profiler.analysis.stats import Interval, mean
from epoch_gap.profiler.drilldown.roofline import Layer
from epoch_gap.profiler.drilldown.spans import Direction, Family, Key, Spans
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import Step

LAYERS, OPERATORS = "layers.json", "operators.json"
SCHEMA_VERSION = 1
WORK = {Direction.FORWARD: (Phase.FORWARD, Phase.MATERIALIZE), Direction.BACKWARD: (Phase.BACKWARD,)}
"""the phases that a direction's layers make up, fenced"""


@dataclass(frozen=True)
class Entry:
    """Seconds per step of an operator in a layer, without what is nested in it."""

    key: Key
    family: Family
    """of its operator"""
    seconds: Interval


@dataclass(frozen=True)
class Drilldown:
    """One framework's layers, from a run of its own."""

    conditions: Mapping[str, Any]
    """framework, data, batch size, environment, as in a run's manifest"""
    phases: Mapping[Phase, float]
    """seconds per fenced step with nothing else watched"""
    watched: Mapping[Phase, float]
    """the same while layers were watched"""
    entries: Sequence[Entry]
    ceilings: Mapping[str, float]
    """what the machine can do: see `profiler.drilldown.roofline`"""
    architecture: Sequence[Layer]
    """what each layer has to do, in the order of computation"""

    @property
    def slowdown(self) -> float:
        """A watched step's time over a plain one's."""
        return sum(self.watched.values()) / sum(self.phases.values())

    def layers(self, direction: Direction) -> dict[str, float]:
        """Seconds per step by layer, its operators included."""
        found: dict[str, float] = {}
        for entry in self.entries:
            if entry.key.direction is direction:
                found[entry.key.layer] = found.get(entry.key.layer, 0.0) + entry.seconds.value
        return found

    def families(self, direction: Direction) -> dict[Family, float]:
        """Seconds per watched step by family, with what no operator took as `OTHER`; they sum to the phase."""
        found: dict[Family, float] = {}
        for entry in self.entries:
            if entry.key.direction is direction:
                found[entry.family] = found.get(entry.family, 0.0) + entry.seconds.value
        if found:
            rest = self._watched_phase(direction) - sum(found.values())
            found[Family.OTHER] = found.get(Family.OTHER, 0.0) + rest
        return found

    def around(self) -> dict[Family, float]:
        """Seconds per watched step of the families that are phases of their own."""
        phases = {
            Family.OPTIMIZER: (Phase.ZERO_GRAD, Phase.STEP),
            Family.DATA: (Phase.FETCH, Phase.COLLATE, Phase.TO_DEVICE),
        }
        return {family: sum(self.watched.get(p, 0.0) for p in members) for family, members in phases.items()}

    def _watched_phase(self, direction: Direction) -> float:
        return sum(self.watched.get(phase, 0.0) for phase in WORK[direction])

    def phase(self, direction: Direction) -> float:
        """Seconds per fenced step of the phases that the direction's layers make up."""
        return sum(self.phases.get(phase, 0.0) for phase in WORK[direction])

    def covered(self, direction: Direction) -> float:
        """The layers' sum over the phase, while both were watched."""
        whole = self._watched_phase(direction)
        return sum(self.layers(direction).values()) / whole if whole else 0.0


def collect(
    conditions: Mapping[str, Any],
    plain: Sequence[Step],
    watched: Sequence[Step],
    spans: Spans,
    family: Callable[[str], Family],
    ceilings: Mapping[str, float],
    architecture: Sequence[Layer],
) -> Drilldown:
    """Put together what a run saw: fenced steps with nothing watched, and those that `spans` watched."""
    keys = dict.fromkeys(key for step in spans.steps for key in step)
    entries = [
        Entry(
            key,
            family(key.operator),
            mean(np.array([step.get(key, 0) for step in spans.steps]) * NS).interval(0.0),
        )
        for key in keys
    ]
    entries += [
        Entry(key, family(key.operator), Interval(ns * NS / len(watched), None, None))
        for key, ns in spans.totals.items()
    ]
    return Drilldown(conditions, _mean_phases(plain), _mean_phases(watched), entries, ceilings, architecture)


def _mean_phases(steps: Sequence[Step]) -> dict[Phase, float]:
    return {p: float(np.mean([s.durations.get(p, 0) for s in steps])) * NS for p in Phase if p in steps[0].durations}


def to_json(d: Drilldown) -> dict[str, Any]:
    """What `from_json` reads."""
    return {
        "schema_version": SCHEMA_VERSION,
        **d.conditions,
        "phases_s": dict(d.phases),
        "watched_phases_s": dict(d.watched),
        "slowdown": d.slowdown,
        "ceilings": dict(d.ceilings),
        "architecture": [layer._asdict() for layer in d.architecture],
        "layers": [
            {
                "direction": e.key.direction, "layer": e.key.layer, "operator": e.key.operator,
                "family": e.family,
                "seconds_per_step": e.seconds.value, "low_s": e.seconds.low, "high_s": e.seconds.high,
            }
            for e in d.entries
        ],
    }  # fmt: skip


def from_json(data: Mapping[str, Any]) -> Drilldown:
    """Read what `to_json` made. Raises UserError for anything else."""
    try:
        own = {"schema_version", "phases_s", "watched_phases_s", "slowdown", "ceilings", "architecture", "layers"}
        return Drilldown(
            {key: value for key, value in data.items() if key not in own},
            {Phase(name): float(s) for name, s in data["phases_s"].items()},
            {Phase(name): float(s) for name, s in data["watched_phases_s"].items()},
            list(_entries(data["layers"])),
            dict(data["ceilings"]),
            [Layer(**{**row, "family": Family(row["family"])}) for row in data["architecture"]],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"not the layers of a run: {error}") from None


def _entries(rows: Iterable[Mapping[str, Any]]) -> Iterable[Entry]:
    for row in rows:
        key = Key(Direction(row["direction"]), row["layer"], row["operator"])
        yield Entry(key, Family(row["family"]), Interval(row["seconds_per_step"], row["low_s"], row["high_s"]))


@dataclass(frozen=True)
class Difference:
    """One layer in two frameworks, seconds per step; None: not watched on that side."""

    direction: Direction
    layer: str
    slow: float | None
    fast: float | None

    @property
    def seconds(self) -> float:
        """How much longer it takes in the slow one, as far as both are known."""
        return (self.slow or 0.0) - (self.fast or 0.0) if None not in (self.slow, self.fast) else 0.0


def differences(slow: Drilldown, fast: Drilldown) -> list[Difference]:
    """Every layer of either side and direction, the largest difference first; those of one side alone last."""
    found = []
    for direction in Direction:
        sides = slow.layers(direction), fast.layers(direction)
        for layer in {**sides[0], **sides[1]}:
            found.append(Difference(direction, layer, sides[0].get(layer), sides[1].get(layer)))
    return sorted(found, key=lambda d: (None in (d.slow, d.fast), -abs(d.seconds)))


class FamilyDifference(NamedTuple):
    """One family of operators in two frameworks, seconds per watched step."""

    direction: Direction
    family: Family
    slow: float
    fast: float

    @property
    def seconds(self) -> float:
        """How much longer it takes in the slow one."""
        return self.slow - self.fast


def family_differences(slow: Drilldown, fast: Drilldown) -> list[FamilyDifference]:
    """Every family of either side, the largest difference first, of the directions that both sides watched.

    There a family that one side does not have takes no time: its families sum to the phase.
    """
    found = []
    for direction in Direction:
        sides = slow.families(direction), fast.families(direction)
        if all(sides):
            for family in Family:
                if any(family in side for side in sides):
                    a, b = (side.get(family, 0.0) for side in sides)
                    found.append(FamilyDifference(direction, family, a, b))
    return sorted(found, key=lambda d: -abs(d.seconds))
