"""Layer and operator times of one framework: the content of `layers.json` and `operators.json`, and comparisons."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from epoch_gap.profiler.analysis.epoch import NS
from epoch_gap.profiler.analysis.stats import Interval, mean
from epoch_gap.profiler.drilldown.conditions import (
    DrilldownConditions,
    conditions_from_json,
    conditions_to_json,
)
from epoch_gap.profiler.drilldown.roofline import Layer
from epoch_gap.profiler.drilldown.spans import Direction, Key, OperatorCategory, Spans
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import Phase, in_order
from epoch_gap.profiler.recording.records import Step

LAYERS, OPERATORS = "layers.json", "operators.json"
SCHEMA_VERSION = 1
PHASES_OF = {Direction.FORWARD: (Phase.FORWARD, Phase.MATERIALIZE), Direction.BACKWARD: (Phase.BACKWARD,)}
"""the phases of a fenced step that contain the layers of a direction"""
PHASES_OF_CATEGORY = {
    OperatorCategory.OPTIMIZER: (Phase.ZERO_GRAD, Phase.STEP),
    OperatorCategory.DATA: (Phase.FETCH, Phase.COLLATE, Phase.TO_DEVICE),
}
"""the phases of the operator categories that are not part of forward or backward"""


@dataclass(frozen=True)
class Entry:
    """Self time of an operator in a layer, in seconds per step."""

    key: Key
    category: OperatorCategory
    seconds: Interval
    steps: tuple[float, ...] = ()
    """seconds in each watched step; empty if only their sum is known, and in older files"""


@dataclass(frozen=True)
class Drilldown:
    """Layer and operator times of one framework, from a separate run."""

    conditions: DrilldownConditions
    phases: Mapping[Phase, float]
    """seconds per fenced step without watching"""
    watched: Mapping[Phase, float]
    """seconds per fenced step with watching"""
    entries: Sequence[Entry]
    peak_rates: Mapping[str, float]
    """the machine's peak rates: see `profiler.drilldown.roofline`"""
    architecture: Sequence[Layer]
    """the work of each layer, in the order of computation"""
    name: str = ""
    """of its directory; empty before it is stored"""

    @classmethod
    def from_steps(
        cls,
        conditions: DrilldownConditions,
        plain: Sequence[Step],
        watched: Sequence[Step],
        spans: Spans,
        category_of: Callable[[str], OperatorCategory],
        peak_rates: Mapping[str, float],
        architecture: Sequence[Layer],
    ) -> Self:
        """Average fenced steps without watching, and those that `spans` watched."""
        keys = dict.fromkeys(key for step in spans.steps for key in step)
        entries = [
            Entry(
                key,
                category_of(key.operator),
                mean(values).interval(least=0.0),
                tuple(values.tolist()),
            )
            for key in keys
            for values in (np.array([step.get(key, 0) for step in spans.steps]) * NS,)
        ]
        entries += [
            Entry(key, category_of(key.operator), Interval(ns * NS / len(watched), None, None))
            for key, ns in spans.totals.items()
        ]
        return cls(conditions, _mean_phases(plain), _mean_phases(watched), entries, peak_rates, architecture)

    @property
    def batch_size(self) -> int:
        """Images per step."""
        return self.conditions.batch_size

    @property
    def slowdown(self) -> float:
        """The time of a watched step over that of an unwatched one."""
        return sum(self.watched.values()) / sum(self.phases.values())

    def layers(self, direction: Direction) -> dict[str, float]:
        """Seconds per step by layer, its operators included."""
        seconds: dict[str, float] = {}
        for entry in self.entries:
            if entry.key.direction is direction:
                seconds[entry.key.layer] = seconds.get(entry.key.layer, 0.0) + entry.seconds.value
        return seconds

    def categories(self, direction: Direction) -> dict[OperatorCategory, float]:
        """Seconds per watched step by operator category; they sum to the phase, the remainder is `OTHER`.

        Empty if the direction was not watched.
        """
        seconds: dict[OperatorCategory, float] = {}
        for entry in self.entries:
            if entry.key.direction is direction:
                seconds[entry.category] = seconds.get(entry.category, 0.0) + entry.seconds.value
        if seconds:
            remainder = self._watched_phase(direction) - sum(seconds.values())
            seconds[OperatorCategory.OTHER] = seconds.get(OperatorCategory.OTHER, 0.0) + remainder
        return seconds

    def categories_outside_layers(self) -> dict[OperatorCategory, float]:
        """Seconds per watched step of the operator categories that are separate phases."""
        return {
            category: sum(self.watched.get(phase, 0.0) for phase in phases)
            for category, phases in PHASES_OF_CATEGORY.items()
        }

    def _watched_phase(self, direction: Direction) -> float:
        return sum(self.watched.get(phase, 0.0) for phase in PHASES_OF[direction])

    def phase(self, direction: Direction) -> float:
        """Seconds per fenced step, without watching, of the phases that contain the direction's layers."""
        return sum(self.phases.get(phase, 0.0) for phase in PHASES_OF[direction])

    def covered(self, direction: Direction) -> float:
        """The sum of the layers divided by that of their phases, both while watched."""
        phase = self._watched_phase(direction)
        return sum(self.layers(direction).values()) / phase if phase else 0.0


def _mean_phases(steps: Sequence[Step]) -> dict[Phase, float]:
    return {p: float(np.mean([s.durations.get(p, 0) for s in steps])) * NS for p in in_order(steps[0].durations)}


def layers_to_json(d: Drilldown) -> dict[str, Any]:
    """The stored form, which `layers_from_json` reads. The keys `family` and `ceilings` are older names."""
    return {
        "schema_version": SCHEMA_VERSION,
        **conditions_to_json(d.conditions),
        "phases_s": dict(d.phases),
        "watched_phases_s": dict(d.watched),
        "slowdown": d.slowdown,
        "ceilings": dict(d.peak_rates),
        "architecture": [_stored_layer(layer) for layer in d.architecture],
        "layers": [_stored_entry(entry) for entry in d.entries],
    }


def _stored_layer(layer: Layer) -> dict[str, Any]:
    return {"family" if field == "category" else field: value for field, value in layer._asdict().items()}


def _stored_entry(entry: Entry) -> dict[str, Any]:
    return {
        "direction": entry.key.direction,
        "layer": entry.key.layer,
        "operator": entry.key.operator,
        "family": entry.category,
        "seconds_per_step": entry.seconds.value,
        "low_s": entry.seconds.low,
        "high_s": entry.seconds.high,
        "step_s": list(entry.steps),
    }


def layers_from_json(data: Mapping[str, Any]) -> Drilldown:
    """Read the output of `layers_to_json`. Raises UserError for anything else."""
    try:
        return Drilldown(
            conditions_from_json(data),
            {Phase(name): float(s) for name, s in data["phases_s"].items()},
            {Phase(name): float(s) for name, s in data["watched_phases_s"].items()},
            [_entry(row) for row in data["layers"]],
            dict(data["ceilings"]),
            [_layer(row) for row in data["architecture"]],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"not layer times: {error}") from None


def _layer(row: Mapping[str, Any]) -> Layer:
    values = dict(row)
    category = OperatorCategory(values.pop("family"))
    return Layer(**values, category=category)


def _entry(row: Mapping[str, Any]) -> Entry:
    key = Key(Direction(row["direction"]), row["layer"], row["operator"])
    seconds = Interval(row["seconds_per_step"], row["low_s"], row["high_s"])
    return Entry(key, OperatorCategory(row["family"]), seconds, tuple(map(float, row.get("step_s", ()))))


@dataclass(frozen=True)
class Difference:
    """One layer in two frameworks, in seconds per step; None for a side that did not watch it."""

    direction: Direction
    layer: str
    slow: float | None
    fast: float | None

    @property
    def seconds(self) -> float:
        """How much longer the layer takes in the slow framework; 0 unless both are known."""
        return (self.slow or 0.0) - (self.fast or 0.0) if None not in (self.slow, self.fast) else 0.0


def layer_differences(slow: Drilldown, fast: Drilldown) -> list[Difference]:
    """All layers of either side in both directions, the largest difference first, one-sided layers last."""
    return sorted(_layer_pairs(slow, fast), key=lambda d: (None in (d.slow, d.fast), -abs(d.seconds)))


def _layer_pairs(slow: Drilldown, fast: Drilldown) -> Iterator[Difference]:
    for direction in Direction:
        a, b = slow.layers(direction), fast.layers(direction)
        for layer in {**a, **b}:
            yield Difference(direction, layer, a.get(layer), b.get(layer))


class CategoryDifference(NamedTuple):
    """One operator category in two frameworks, in seconds per watched step."""

    direction: Direction
    category: OperatorCategory
    slow: float
    fast: float

    @property
    def seconds(self) -> float:
        """How much longer the category takes in the slow framework."""
        return self.slow - self.fast


def category_differences(slow: Drilldown, fast: Drilldown) -> list[CategoryDifference]:
    """All operator categories of either side, the largest difference first, in directions that both watched.

    In such a direction the categories of a side sum to its phase, so a missing category took no time.
    """
    return sorted(_category_pairs(slow, fast), key=lambda d: -abs(d.seconds))


def _category_pairs(slow: Drilldown, fast: Drilldown) -> Iterator[CategoryDifference]:
    for direction in Direction:
        a, b = slow.categories(direction), fast.categories(direction)
        if a and b:
            for category in OperatorCategory:
                if category in a or category in b:
                    yield CategoryDifference(direction, category, a.get(category, 0.0), b.get(category, 0.0))
