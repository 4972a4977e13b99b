"""A parity check in words: the verdict, the first layers that deviate, and the differences of definition."""

import math
from collections.abc import Sequence

from epoch_gap.profiler.parity.definitions import DefinitionDifference
from epoch_gap.profiler.parity.result import Parity
from epoch_gap.profiler.parity.tensors import Quantity
from epoch_gap.profiler.parity.verdict import (
    FirstDeviation,
    Trajectory,
    compare_losses,
    first_deviations,
)

NAMED = 2
"""places of a difference of definition that are named; of more, the first and the number"""


def relative(value: float) -> str:
    """A relative difference: `2.4e-6`, `0`; `not comparable` if it is not finite."""
    if not math.isfinite(value):
        return "not comparable"
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return "0" if value == 0 else f"{mantissa}e{int(exponent)}"


VERDICTS = {
    Trajectory.ROUNDING: str(Trajectory.ROUNDING),
    Trajectory.UNDECIDED: "undecided whether more than rounding",
    Trajectory.OTHER: f"{Trajectory.OTHER}, beyond rounding",
}


def describe_verdict(parity: Parity) -> str:
    """Whether the two frameworks compute the same training, in one sentence with the numbers behind it."""
    return f"{headline(parity)}: {describe_losses(parity)}"


def headline(parity: Parity) -> str:
    """The pair, the network if it is not the article's, and the verdict."""
    verdict = VERDICTS[compare_losses(parity).trajectory]
    pair = f"{parity.other.label} and {parity.reference.label}"
    return f"{', '.join([pair, *parity.network.settings])}: {verdict}"


def describe_losses(parity: Parity) -> str:
    """How far the losses are apart, and how often within the band."""
    comparison = compare_losses(parity)
    span = f"{parity.steps} steps of {parity.batch_size} images"
    if comparison.ratios is None:
        return f"a loss is not a number within {span}"
    largest = max(abs(d or 0.0) for d in comparison.difference)
    within = _describe_band(parity, comparison.ratios)
    return f"over {span} the losses differ by at most {relative(largest)}, {within}"


def _describe_band(parity: Parity, ratios: Sequence[float]) -> str:
    """In how many steps the losses are within the band, and the worst of the others."""
    band = f"the band of {len(parity.rounded) + 1} {parity.reference.title} runs that sum in different orders"
    inside, worst = sum(ratio <= 1 for ratio in ratios), max(ratios)
    if inside == len(ratios):
        return f"always within {band}"
    step = ratios.index(worst) + 1
    return f"within {band} in {inside} of {len(ratios)} steps, {worst:.2g} times as much in step {step}"


def describe_first(parity: Parity) -> list[str]:
    """The first layer of each quantity that deviates, with its cause; one sentence if none does."""
    found = first_deviations(parity)
    if not found:
        return [f"No layer differs by more than {relative(parity.tolerance)} and ten times the rounding."]
    return [f"{'First' if n == 0 else 'Then'}: {_describe_deviation(first)}." for n, first in enumerate(found)]


def _describe_deviation(first: FirstDeviation) -> str:
    d = first.deviation
    what = (
        f"{d.quantity} of {d.layer} in step {d.step}" if d.quantity is not Quantity.LOSS else f"loss in step {d.step}"
    )
    numbers = f"relative difference {relative(d.difference)}, rounding {relative(d.rounding)}"
    if first.axes is not None:
        cause = f"its weights are transposed: with axes {first.axes} the outputs agree"
    elif first.causes:
        cause = "; ".join(f"{cause.name}: {_values(cause)}" for cause in first.causes)
    else:
        cause = "no probe explains it"
    return f"{what} ({numbers}): {cause}"


def _values(d: DefinitionDifference) -> str:
    """`0.2 instead of 0.1`."""
    return f"{value_of(d.other, d.other_meaning)} instead of {value_of(d.reference, d.reference_meaning)}"


def value_of(value: float, meaning: str) -> str:
    """A measured definition: `biased (divided by n), 1.00`."""
    number = "unknown" if math.isnan(value) else f"{value:.3g}"
    return f"{meaning}, {number}" if meaning else number


def places_of(d: DefinitionDifference) -> str:
    """The places of a difference of definition: all, or the first and the number."""
    if len(d.places) <= NAMED:
        return ", ".join(d.places)
    return f"{d.places[0]} and {len(d.places) - 1} more"


def consequence_of(d: DefinitionDifference) -> str:
    """The effect of a difference of definition on the comparison itself."""
    if d.name.startswith("initial"):
        return "none here: both sides start from the same weights"
    if d.name.startswith("learning rate"):
        return "none here: all steps belong to the first epoch"
    if d.name == "variance of the running statistics":
        return "evaluation only: training does not read running statistics"
    if d.name == "momentum":
        return "evaluation only: training does not read running statistics"
    return "training"


def size_of(d: DefinitionDifference) -> str:
    """The size of a difference of definition; of a variance, as it is for n values per channel."""
    if d.name.startswith("variance") and d.other_meaning != d.reference_meaning:
        return f"{100 * d.size:.1f} % in the probe of 16 values; 1 / n for n values per channel"
    if math.isnan(d.size):
        return "unknown"
    return f"{100 * d.size:.3g} %"
