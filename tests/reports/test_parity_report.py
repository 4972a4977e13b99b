"""The page, the picture and the tables of a parity check."""

import html

import pytest

from epoch_gap.profiler.parity.definitions import DefinitionDifference
from epoch_gap.profiler.parity.tensors import Quantity, Trace, Transposition
from epoch_gap.profiler.storage.manifest import Network
from epoch_gap.reports.charts.parity import parity_figure
from epoch_gap.reports.page.parity_page import by_layer_rows, render_parity
from epoch_gap.reports.sentences.parity import describe_first, describe_verdict, relative
from epoch_gap.reports.terminal.parity import definition_rows, layer_rows, parity_tables, step_rows
from tests.helpers.parity import parity, side, traces


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (2.44e-6, "2.4e-6"), (0.5, "5.0e-1"), (float("inf"), "not comparable")]
)
def test_relative_differences_as_text(value: float, text: str) -> None:
    assert relative(value) == text


def test_the_verdict_has_its_numbers() -> None:
    assert describe_verdict(parity()) == (
        "Lucid 1.2 (cpu) and PyTorch 1.2 (cpu): same trajectory up to rounding: over 2 steps of 8 images the losses "
        "differ by at most 5.0e-4, always within the band of 4 PyTorch runs that sum in different orders"
    )
    undecided = describe_verdict(parity(other=side("lucid", "Lucid", 2.0, 1.503)))
    assert "undecided whether more than rounding" in undecided
    assert undecided.endswith("in 1 of 2 steps, 3 times as much in step 2")
    assert "another trajectory, beyond rounding" in describe_verdict(parity(other=side("lucid", "Lucid", 2.0, 1.6)))
    lost = describe_verdict(parity(other=side("lucid", "Lucid", 2.0, None)))
    assert lost.endswith("another trajectory, beyond rounding: a loss is not a number within 2 steps of 8 images")


def test_the_first_deviation_names_layer_and_kind() -> None:
    assert describe_first(parity()) == [
        "First: running statistics of stem.bn in step 1 (relative difference 5.0e-4, rounding 1.0e-8): variance of "
        "the running statistics: biased (divided by n), 1 instead of unbiased (divided by n - 1), 1.07."
    ]
    assert describe_first(parity(definitions=()))[0].endswith("no probe explains it.")
    assert describe_first(parity(tolerance=1e-3)) == [
        "No layer differs by more than 1.0e-3 and ten times the rounding."
    ]
    broken = {**traces(), Quantity.OUTPUT: {"stem.conv": Trace([0.5, 0.5], [1e-7, 1e-3])}}
    transposed = parity(traces=broken, transposed=Transposition("stem.conv", (0, 1, 3, 2), 1e-7))
    assert "its weights are transposed: with axes (0, 1, 3, 2) the outputs agree" in describe_first(transposed)[0]


def test_the_tables_have_one_row_per_step_quantity_and_definition() -> None:
    steps = step_rows(parity())
    assert [row[0] for row in steps] == ["step", "1", "2"]
    assert steps[2][3:5] == ["5.0e-4", "1.0e-3"]
    assert steps[1][5] == "2.0e-6 / 1.0e-6"
    assert [row[0] for row in layer_rows(parity())[1:]] == list(Quantity)
    assert len(definition_rows(parity())) == 2
    assert by_layer_rows(parity())[1] == [
        "stem.conv",
        "1.0e-7 (1.0e-3, 2)",
        "",
        "",
        "4.0e-3 (2.0e-1, 2)",
        "1.0e-3 (2.0e-3, 2)",
    ]
    assert parity_tables(parity()).splitlines()[-1] == describe_verdict(parity())
    assert "no probe found a difference" in parity_tables(parity(definitions=()))


def test_the_page_is_one_file_without_network_and_escapes() -> None:
    cruel = DefinitionDifference("<script>", ("a",), 1.0, "", 2.0, "")
    files = render_parity(parity(definitions=(cruel,)))
    page = files["index.html"].decode()
    assert files["parity.png"].startswith(b"\x89PNG")
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert describe_verdict(parity()) in html.unescape(page)


def test_the_picture_shows_the_band_the_difference_and_gaps() -> None:
    broken = {**traces(), Quantity.OUTPUT: {"stem.conv": Trace([float("inf"), 0.5], [0.0, 0.1])}}
    figure = parity_figure(parity(other=side("lucid", "Lucid", 2.0, None), traces=broken))
    upper, lower = figure.axes
    labels = [text.get_text() for text in upper.get_legend().get_texts()]
    assert labels == [
        "band of rounding",
        "PyTorch, channels renumbered",
        "PyTorch, 1 or 2 threads",
        "Lucid - PyTorch",
    ]
    assert upper.get_yscale() == lower.get_yscale() == "log"
    assert "[synthetic data]" in figure.get_suptitle().replace("\n", " ")


def test_a_network_without_normalisation_has_a_picture_and_tables() -> None:
    without = {quantity: layers for quantity, layers in traces().items() if quantity is not Quantity.STATISTICS}
    check = parity(traces=without, definitions=(), network=Network("lenet5", 40))
    assert b"lenet5, 40x40, batch 8" in render_parity(check)["index.html"]
    assert describe_verdict(check).startswith("Lucid 1.2 (cpu) and PyTorch 1.2 (cpu), lenet5, 40x40: same trajectory")
    assert [row[0] for row in layer_rows(check)[1:]] == [q for q in Quantity if q is not Quantity.STATISTICS]
    labels = [text.get_text() for text in parity_figure(check).axes[1].get_legend().get_texts()]
    assert str(Quantity.STATISTICS) not in labels
