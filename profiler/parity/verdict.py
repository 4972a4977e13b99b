"""What follows from a parity check: the first layers that deviate, why, and whether the losses differ by rounding."""

from dataclasses import dataclass
from enum import StrEnum

from epoch_gap.profiler.parity.definitions import LOSS, OPTIMIZER, DefinitionDifference
from epoch_gap.profiler.parity.result import Parity
from epoch_gap.profiler.parity.tensors import BEYOND_ROUNDING, Deviation, Quantity, deviations, head_start

_PROPERTIES = {
    Quantity.OUTPUT: ("epsilon", "variance that normalises"),
    Quantity.STATISTICS: ("momentum", "variance of the running statistics"),
}
"""the definitions of a layer that each quantity depends on"""
_PLACES = {Quantity.LOSS: LOSS, Quantity.GRADIENT: LOSS, Quantity.WEIGHT: OPTIMIZER}
"""the definitions outside layers that each quantity depends on"""


@dataclass(frozen=True)
class FirstDeviation:
    """The first layer in which a quantity deviates, with the differences of definition that can explain it."""

    deviation: Deviation
    causes: tuple[DefinitionDifference, ...]
    axes: tuple[int, ...] | None = None
    """the order in which the other framework reads the axes of the layer's weights, if transposing explains it"""


def first_deviations(parity: Parity) -> list[FirstDeviation]:
    """The first deviation of each quantity, in the order of computation."""
    first: dict[Quantity, Deviation] = {}
    for deviation in deviations(parity.traces, parity.tolerance):
        first.setdefault(deviation.quantity, deviation)
    return [_explained(parity, deviation) for deviation in first.values()]


def _explained(parity: Parity, deviation: Deviation) -> FirstDeviation:
    quantity, layer = deviation.quantity, deviation.layer
    causes = tuple(
        d
        for d in parity.definitions
        if (layer in d.places and d.name in _PROPERTIES.get(quantity, ())) or _PLACES.get(quantity) in d.places
    )
    transposed = parity.transposed if quantity is Quantity.OUTPUT else None
    axes = transposed.axes if transposed is not None and transposed.layer == layer else None
    return FirstDeviation(deviation, causes, axes)


class Trajectory(StrEnum):
    """How the losses of two frameworks relate to the rounding of one; the values are stored and printed."""

    ROUNDING = "same trajectory up to rounding"
    UNDECIDED = "undecided"
    OTHER = "another trajectory"


@dataclass(frozen=True)
class LossComparison:
    """The difference of the losses, and the band: both absolute, by step; None where a loss is not finite."""

    difference: tuple[float | None, ...]
    """the other framework's loss minus the reference's"""
    band: tuple[float | None, ...]
    """the largest distance so far between two runs of the reference in different orders of summation"""
    threads: tuple[float | None, ...]
    """the distance between the reference with one thread and with two; empty without such runs"""
    head_start: float
    """how much further apart the frameworks are after the first step than the runs of the band, at least 1"""

    @property
    def ratios(self) -> list[float] | None:
        """By step, the difference in units of the band; None if a loss is not finite."""
        pairs = [(d, b) for d, b in zip(self.difference, self.band, strict=True) if d is not None and b is not None]
        return [abs(d) / b for d, b in pairs] if len(pairs) == len(self.difference) else None

    @property
    def trajectory(self) -> Trajectory:
        """Within the band: rounding. Up to ten times the band and the head start: undecided. Otherwise another."""
        largest = max(self.ratios or [float("inf")])
        if self.ratios is None or largest > BEYOND_ROUNDING * self.head_start:
            return Trajectory.OTHER
        return Trajectory.ROUNDING if largest <= 1 else Trajectory.UNDECIDED


LAST_DIGIT = 2.0**-23
"""relative distance of two neighbouring float32 numbers"""
FLOOR = 8
"""last digits of the loss that the band is wide at least: the first losses of all orders of summation may be equal"""


def compare_losses(parity: Parity) -> LossComparison:
    """The losses of both frameworks against the band of the reference."""
    ours = parity.reference.losses
    difference = tuple(
        None if a is None or b is None else a - b for a, b in zip(parity.other.losses, ours, strict=True)
    )
    band: list[float | None] = []
    widest = 0.0
    for step, loss in enumerate(ours):
        losses = [loss, *(run.losses[step] for run in parity.rounded)]
        known = [value for value in losses if value is not None]
        if len(known) < len(losses):
            band.append(None)
            continue
        widest = max(
            widest, max(known) - min(known), FLOOR * LAST_DIGIT * max(map(abs, known), default=0.0), LAST_DIGIT**2
        )
        band.append(widest)
    return LossComparison(difference, tuple(band), _between_threads(parity), head_start(parity.traces))


def _between_threads(parity: Parity) -> tuple[float | None, ...]:
    runs = [run.losses for run in parity.rounded if run.threads is not None]
    if len(runs) < 2:
        return ()
    return tuple(None if a is None or b is None else abs(a - b) for a, b in zip(runs[0], runs[1], strict=True))
