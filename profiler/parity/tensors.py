"""Differences of the tensors that two trainings compute in the same step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

type Array = NDArray[np.floating]
type Tensors = Mapping[str, Array]
"""arrays by canonical name: that of the layer, with `.weight`, `.running_var`, ... for weights and statistics"""


class Quantity(StrEnum):
    """What is compared; the values are stored. In the order of computation."""

    OUTPUT = "output"
    STATISTICS = "running statistics"
    LOSS = "loss"
    GRADIENT = "gradient"
    WEIGHT = "updated weight"


def layer_of(name: str) -> str:
    """The layer of a tensor: `stem.bn.running_var` -> `stem.bn`; the name of an output is its layer."""
    layer, _, last = name.rpartition(".")
    return layer if last in ("weight", "bias", "running_mean", "running_var") else name


def by_layer(tensors: Tensors) -> dict[str, list[Array]]:
    """The tensors of each layer together, by name: its bias and its weight, its running mean and variance."""
    layers: dict[str, dict[str, Array]] = {}
    for name, tensor in tensors.items():
        layers.setdefault(layer_of(name), {})[name] = tensor
    return {layer: [named[name] for name in sorted(named)] for layer, named in layers.items()}


def relative_difference(a: Sequence[Array], b: Sequence[Array]) -> float:
    """The Euclidean norm of `a - b` over that of `b`, of all numbers of a layer's tensors: 0 if they are equal.

    Infinite if the shapes differ, if a value is not finite on one side only or differently, or if only `b` is 0.
    """
    squares = [_squares(x, y) for x, y in zip(a, b, strict=True)]
    distance, length = (sum(part) ** 0.5 for part in zip(*squares, strict=True))
    if distance == 0:
        return 0.0
    return distance / length if length else float("inf")


def _squares(a: Array, b: Array) -> tuple[float, float]:
    """The sums of squares of `a - b` and of `b` over the values that are finite on both sides."""
    if a.shape != b.shape:
        return float("inf"), 1.0
    finite = np.isfinite(a) & np.isfinite(b)
    if not finite.all():
        if not np.array_equal(a[~finite], b[~finite], equal_nan=True):
            return float("inf"), 1.0
        a, b = a[finite], b[finite]
    y = b.astype(np.float64).ravel()
    x = a.astype(np.float64).ravel() - y
    return float(x @ x), float(y @ y)


@dataclass(frozen=True)
class StepTensors:
    """Everything that one training step computed."""

    loss: float
    tensors: Mapping[Quantity, Tensors]
    """outputs (B, C, ...), running statistics and updated weights after the step, raw gradients of the loss"""


@dataclass
class Trace:
    """The relative differences of one layer, one per step."""

    difference: list[float] = field(default_factory=list)
    """between the two frameworks"""
    rounding: list[float] = field(default_factory=list)
    """between the reference and itself, in another order of summation"""


Traces = dict[Quantity, dict[str, Trace]]
"""by quantity and layer, in the order of computation of the forward pass"""


type Differences = Mapping[Quantity, Mapping[str, float]]
"""relative differences of one step, by quantity and layer"""


def step_differences(step: StepTensors, reference: StepTensors) -> Differences:
    """The relative difference of every layer; the loss counts as a layer, `loss`."""
    ours = _layers_of(step)
    return {
        quantity: {layer: relative_difference(ours[quantity][layer], tensors) for layer, tensors in layers.items()}
        for quantity, layers in _layers_of(reference).items()
    }


def add_differences(traces: Traces, differences: Differences, roundings: Sequence[Differences]) -> None:
    """Append one step to `traces`: the differences, and the largest of several roundings."""
    for quantity, layers in differences.items():
        for layer, difference in layers.items():
            trace = traces.setdefault(quantity, {}).setdefault(layer, Trace())
            trace.difference.append(difference)
            trace.rounding.append(max(rounding[quantity][layer] for rounding in roundings))


def _layers_of(step: StepTensors) -> dict[Quantity, dict[str, list[Array]]]:
    layers = {quantity: by_layer(tensors) for quantity, tensors in step.tensors.items()}
    return {**layers, Quantity.LOSS: {"loss": [np.array([step.loss])]}}


@dataclass(frozen=True)
class Deviation:
    """One layer in one step that two frameworks compute differently."""

    step: int
    """from 1"""
    quantity: Quantity
    layer: str
    difference: float
    rounding: float
    """the largest of the same quantity in the same step"""


BEYOND_ROUNDING = 10.0
"""A difference counts only if it is this many times what another order of summation does.

A ReLU or a sign of Adam's first update that rounding flips is a matter of luck, so the largest rounding of all layers
counts, rather than that of the same layer.
"""
FLIPS = {Quantity.GRADIENT: 500.0, Quantity.WEIGHT: 100.0}
"""How much larger the tolerance is for quantities in which one flip shows.

PyTorch against itself in another order of summation, batches of 2, 8 and 32, five seeds each: outputs agree to 4e-6,
but if rounding flips a ReLU, gradients of a layer only to 2e-2, and its updated weights to 6e-3.
"""


def largest_rounding(traces: Traces, quantity: Quantity, step: int) -> float:
    """The largest rounding of a quantity in `step`, from 0, in any layer."""
    return max(trace.rounding[step] for trace in traces[quantity].values())


def largest_difference(traces: Traces, quantity: Quantity, step: int) -> tuple[str, float]:
    """The layer with the largest difference of a quantity in `step`, from 0, and that difference."""
    layer, trace = max(traces[quantity].items(), key=lambda row: row[1].difference[step])
    return layer, trace.difference[step]


def steps_of(traces: Traces) -> int:
    """The number of steps."""
    return max((len(trace.difference) for layers in traces.values() for trace in layers.values()), default=0)


def head_start(traces: Traces) -> float:
    """How much further apart the frameworks are after the first step than the reference is from itself; at least 1.

    By the updated weights of the layer that differs most. While differences are small they grow in proportion, so
    from the second step on they are compared after division by their head start: in a small batch, luck decides
    whether the rounding of the first step flips a ReLU at all.
    """
    if Quantity.WEIGHT not in traces:
        return 1.0
    _, difference = largest_difference(traces, Quantity.WEIGHT, 0)
    rounding = largest_rounding(traces, Quantity.WEIGHT, 0)
    return max(1.0, difference / rounding) if rounding else float("inf")


def deviations(traces: Traces, tolerance: float) -> list[Deviation]:
    """All differences beyond `tolerance` (times `FLIPS`) and `BEYOND_ROUNDING` times the rounding, in order.

    From the second step on, the rounding counts `head_start` times.

    The order is by step, then outputs, statistics and loss in forward order, then gradients in backward order, then
    updated weights.
    """
    found: list[Deviation] = []
    for step in range(steps_of(traces)):
        times = BEYOND_ROUNDING * (head_start(traces) if step else 1.0)
        for quantity in (q for q in Quantity if q in traces):
            rounding = largest_rounding(traces, quantity, step)
            rows = list(traces[quantity].items())
            for layer, trace in reversed(rows) if quantity is Quantity.GRADIENT else rows:
                difference = trace.difference[step]
                if difference > tolerance * FLIPS.get(quantity, 1.0) and difference > times * rounding:
                    found.append(Deviation(step + 1, quantity, layer, difference, rounding))
    return found


@dataclass(frozen=True)
class Transposition:
    """A layer that reads its weights with their axes in another order."""

    layer: str
    axes: tuple[int, ...]
    """weights transposed in this order make the outputs agree"""
    remaining: float
    """the relative difference of the outputs with transposed weights"""


def check_same_layers(other: Tensors, reference: Tensors) -> str | None:
    """In words, how the tensors of two networks differ in name or shape; None if they do not."""
    for one, two, side in ((reference, other, "second"), (other, reference, "first")):
        if missing := [name for name in one if name not in two]:
            return f"the {side} network lacks {missing[0]}" + (f" and {len(missing) - 1} more" * (len(missing) > 1))
    for name, tensor in reference.items():
        if other[name].shape != tensor.shape:
            return f"{name} is {tensor.shape} in the first network and {other[name].shape} in the second"
    return None


def same_shape_axes(shape: Sequence[int]) -> list[tuple[int, ...]]:
    """The orders of axes, other than the identity, that keep `shape`: transposed weights that nothing refuses."""
    axes = tuple(range(len(shape)))
    return [p for p in permutations(axes) if p != axes and tuple(shape[i] for i in p) == tuple(shape)]
