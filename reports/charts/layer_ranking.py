"""The layers that make up the gap, or one framework's time, ranked: the plain data of the layers' picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.drilldown.layers import Difference, Drilldown, layer_differences
from epoch_gap.profiler.drilldown.spans import Direction
from epoch_gap.reports.view import View

TOP = 12
"""layers with a bar of their own"""


@dataclass(frozen=True)
class Ranked:
    """One or several layers, seconds per step."""

    name: str
    kind: str
    """the operator category of a single layer, if the architecture has it"""
    slow: float
    """of the slower subject, or of the only one"""
    fast: float | None
    """of the faster subject; None if there is only one"""
    share: float | None
    """of the difference summed over all layers, or of the only subject's total; None unless that sum is positive"""

    @property
    def difference(self) -> float:
        """How much longer the slower subject takes; the only subject's time if there is one."""
        return self.slow - (self.fast or 0.0)


@dataclass(frozen=True)
class Ranking:
    """The layers of the headline pair by contribution to the gap, or those of one subject by time."""

    subjects: tuple[Subject, ...]
    """the slower and the faster, or the only one"""
    top: tuple[Ranked, ...]
    sums: tuple[Ranked, ...]
    """the other layers together if there are any, and all layers"""


def watched_pair(view: View) -> tuple[Subject, Subject] | None:
    """The slower and the faster subject of the largest gap in which layers were watched on both sides."""
    return next(((gap.slow, gap.fast) for gap in view.gaps if _common_layers(view, gap.slow, gap.fast)), None)


def _common_layers(view: View, slow: Subject, fast: Subject) -> list[Difference]:
    """The layers that both sides watched, the largest difference first."""
    sides = [view.drilldowns.layers.get(subject.id) for subject in (slow, fast)]
    if sides[0] is None or sides[1] is None:
        return []
    return [d for d in layer_differences(sides[0], sides[1]) if None not in (d.slow, d.fast)]


def ranking(view: View) -> Ranking:
    """The ranking of the watched pair; of the slowest watched subject if there is no pair."""
    kinds = {layer.name: str(layer.category) for d in view.drilldowns.layers.values() for layer in d.architecture}
    if pair := watched_pair(view):
        return _ranking(pair, _common_layers(view, *pair), kinds)
    only = next(subject for subject in view.subjects if subject.id in view.drilldowns.layers)
    return _ranking((only,), _slowest_first(view.drilldowns.layers[only.id]), kinds)


def _slowest_first(drilldown: Drilldown) -> list[Difference]:
    """The layers of one framework."""
    times = [Difference(d, name, s, None) for d in Direction for name, s in drilldown.layers(d).items()]
    return sorted(times, key=lambda layer: -(layer.slow or 0.0))


def _ranking(subjects: tuple[Subject, ...], layers: Sequence[Difference], kinds: Mapping[str, str]) -> Ranking:
    whole = sum((d.slow or 0.0) - (d.fast or 0.0) for d in layers)
    top = tuple(_ranked(f"{d.layer}, {d.direction}", [d], whole, kinds.get(d.layer, "")) for d in layers[:TOP])
    rest = layers[TOP:]
    others = [_ranked(f"{len(rest)} others", rest, whole)] if rest else []
    return Ranking(subjects, top, (*others, _ranked("all layers", layers, whole)))


def _ranked(name: str, layers: Sequence[Difference], whole: float, kind: str = "") -> Ranked:
    slow = sum(d.slow or 0.0 for d in layers)
    fast = None if layers[0].fast is None else sum(d.fast or 0.0 for d in layers)
    return Ranked(name, kind, slow, fast, (slow - (fast or 0.0)) / whole if whole > 0 else None)
