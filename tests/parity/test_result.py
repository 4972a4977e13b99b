"""The file of a parity check, and what follows from it."""

import json
import math

import pytest

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.parity.definitions import DefinitionDifference
from epoch_gap.profiler.parity.result import parity_from_json, parity_to_text
from epoch_gap.profiler.parity.tensors import Quantity, Trace, Transposition
from epoch_gap.profiler.parity.verdict import Trajectory, compare_losses, first_deviations
from epoch_gap.profiler.storage.manifest import Network
from tests.helpers.parity import BIASED, parity, side, traces


def test_a_check_is_read_as_it_was_written_numbers_that_are_not_finite_too() -> None:
    unknown = DefinitionDifference("epsilon", ("optimizer",), 1e-8, "", math.inf, "")
    broken = {**traces(), Quantity.OUTPUT: {"fc": Trace([math.inf, 0.5], [0.0, math.inf])}}
    original = parity(
        other=side("lucid", "Lucid", 2.0, None),
        definitions=(BIASED, unknown),
        traces=broken,
        transposed=Transposition("fc", (1, 0), 1e-7),
    )
    text = parity_to_text(original)
    again = parity_from_json(json.loads(text, parse_constant=pytest.fail))
    assert again.traces == broken
    assert again.other == original.other
    assert again.definitions[0] == BIASED
    assert math.isnan(again.definitions[1].other)
    assert parity_to_text(again) == text


@pytest.mark.parametrize("data", [{}, [], {"layers": {}}, {"layers": {"colour": {}}, "definitions": []}])
def test_anything_else_is_refused_in_one_line(data: object) -> None:
    with pytest.raises(UserError) as error:
        parity_from_json(data)
    assert "\n" not in str(error.value)


def test_the_first_deviation_is_explained_by_the_definition_of_its_layer() -> None:
    (first,) = first_deviations(parity())
    assert (first.deviation.quantity, first.deviation.layer, first.deviation.step) == (
        Quantity.STATISTICS,
        "stem.bn",
        1,
    )
    assert first.causes == (BIASED,)
    (unexplained,) = first_deviations(parity(definitions=()))
    assert unexplained.causes == ()


def test_transposed_weights_explain_the_output_of_their_layer_only() -> None:
    broken = {**traces(), Quantity.OUTPUT: {"stem.conv": Trace([0.5, 0.5], [1e-7, 1e-3])}}
    axes = (0, 1, 3, 2)
    found = first_deviations(parity(traces=broken, transposed=Transposition("stem.conv", axes, 1e-7)))
    assert [(f.deviation.quantity, f.axes) for f in found[:2]] == [
        (Quantity.OUTPUT, axes),
        (Quantity.STATISTICS, None),
    ]


@pytest.mark.parametrize(
    ("loss", "trajectory"),
    [
        (1.5009, Trajectory.ROUNDING),
        (1.5011, Trajectory.UNDECIDED),
        (1.52, Trajectory.OTHER),
        (None, Trajectory.OTHER),
    ],
)
def test_the_losses_are_judged_by_the_band(loss: float | None, trajectory: Trajectory) -> None:
    assert compare_losses(parity(other=side("lucid", "Lucid", 2.0, loss))).trajectory is trajectory


def test_the_band_never_closes_and_is_a_few_last_digits_wide_at_least() -> None:
    first = compare_losses(parity()).band
    assert first[0] == pytest.approx(8 * 2 * 2.0**-23)
    assert first[1] == pytest.approx(1e-3)
    assert compare_losses(parity()).threads == pytest.approx((0, 2e-4))


def test_the_network_is_stored_unless_it_is_the_articles() -> None:
    assert "network" not in json.loads(parity_to_text(parity()))
    assert parity_from_json(json.loads(parity_to_text(parity()))).network == Network("resnet18", 32)
    text = parity_to_text(parity(network=Network("resnet50", 64)))
    assert json.loads(text)["network"] == {"model": "resnet50", "image_size": 64}
    assert parity_from_json(json.loads(text)).network == Network("resnet50", 64)
