"""A parity check for the terminal: differences by step, the largest layers, and the differences of definition."""

from collections.abc import Sequence

from epoch_gap.profiler.parity.result import Parity
from epoch_gap.profiler.parity.tensors import Quantity, largest_difference, largest_rounding
from epoch_gap.profiler.parity.verdict import compare_losses
from epoch_gap.reports.sentences.parity import (
    consequence_of,
    describe_first,
    describe_verdict,
    places_of,
    relative,
    size_of,
    value_of,
)
from epoch_gap.reports.terminal.tables import align


def parity_tables(parity: Parity) -> str:
    """The whole check as text; the verdict comes last."""
    parts = [
        f"largest relative difference of a layer / of {parity.reference.title} with itself in another order",
        align(step_rows(parity)),
        "",
        align(layer_rows(parity)),
        "",
        align(definition_rows(parity)) if parity.definitions else "no probe found a difference of definition",
        "",
        *describe_first(parity),
        describe_verdict(parity),
    ]
    return "\n".join(parts)


def step_rows(parity: Parity) -> list[list[str]]:
    """One row per step: the losses, their difference and the band, and the largest difference of each quantity."""
    quantities = [quantity for quantity in Quantity if quantity in parity.traces and quantity is not Quantity.LOSS]
    losses = compare_losses(parity)
    rows = [["step", parity.reference.title, parity.other.title, "difference", "band", *quantities]]
    for step in range(parity.steps):
        cells = [
            f"{relative(largest_difference(parity.traces, quantity, step)[1])} / "
            f"{relative(largest_rounding(parity.traces, quantity, step))}"
            for quantity in quantities
        ]
        difference = losses.difference[step]
        rows.append(
            [
                str(step + 1),
                *(_loss(side.losses[step]) for side in (parity.reference, parity.other)),
                "n/a" if difference is None else relative(abs(difference)),
                "n/a" if (band := losses.band[step]) is None else relative(band),
                *cells,
            ]
        )
    return rows


def _loss(loss: float | None) -> str:
    return "not a number" if loss is None else f"{loss:.6f}"


def layer_rows(parity: Parity) -> list[list[str]]:
    """One row per quantity: its largest difference in the first step, and in any step."""
    rows = [["quantity", "layer in step 1", "difference", "rounding", "layer in any step", "step", "difference"]]
    for quantity in (q for q in Quantity if q in parity.traces):
        first_layer, first = largest_difference(parity.traces, quantity, 0)
        by_step = [largest_difference(parity.traces, quantity, step) for step in range(parity.steps)]
        step, (layer, largest) = max(enumerate(by_step, start=1), key=lambda row: row[1][1])
        rounding = relative(largest_rounding(parity.traces, quantity, 0))
        rows.append([quantity, first_layer, relative(first), rounding, layer, str(step), relative(largest)])
    return rows


def definition_rows(parity: Parity) -> Sequence[list[str]]:
    """One row per difference of definition."""
    return [
        ["definition", "where", parity.reference.title, parity.other.title, "size", "changes"],
        *(
            [
                d.name,
                places_of(d),
                value_of(d.reference, d.reference_meaning),
                value_of(d.other, d.other_meaning),
                size_of(d),
                consequence_of(d),
            ]
            for d in parity.definitions
        ),
    ]
