"""Tables of layers and operators: shares of the peak rates, differences, and n/a for layers that were not watched."""

from dataclasses import replace

from matplotlib.figure import Figure

from epoch_gap.profiler.drilldown.conditions import DrilldownConditions
from epoch_gap.profiler.drilldown.matching import Drilldowns
from epoch_gap.profiler.drilldown.roofline import least_seconds
from epoch_gap.profiler.drilldown.spans import Direction
from epoch_gap.reports import formats
from epoch_gap.reports.charts.registry import CHARTS
from epoch_gap.reports.page.layer_rows import layer_difference_rows, operator_difference_rows
from epoch_gap.reports.page.page import render_page
from epoch_gap.reports.sentences.layers import describe_layers
from epoch_gap.reports.terminal.layers import layer_table, operator_table
from tests.helpers.drilldowns import drilldown
from tests.helpers.runs import MakeRun
from tests.helpers.views import build_view

SLOW, FAST = drilldown({"fc": 2.0}, {"fc": 3.0}), drilldown({"fc": 0.5}, {"fc": 1.0})
FC = next(layer for layer in SLOW.architecture if layer.name == "fc")


def cells(table: str, name: str) -> list[str]:
    return next(line for line in table.splitlines() if line.startswith(name)).split()


def test_a_layer_has_its_time_its_rate_and_its_share_of_the_peak_in_each_direction() -> None:
    table = layer_table(SLOW)
    header = "layer forward GFLOP/s % of peak backward GFLOP/s % of peak"
    assert " ".join(cells(table, "layer ")) == header
    share = formats.percent(least_seconds(FC, Direction.FORWARD, 2, SLOW.peak_rates) / 2.0)
    assert " ".join(cells(table, "fc ")).startswith(f"fc 2000 ms 0.0 {share} 3000 ms 0.0 ")
    assert cells(table, "stem.conv ")[1:] == ["n/a", "n/a"], "not watched"
    assert "peak rates: NumPy GFLOP/s 100, torch GFLOP/s 150, NumPy GB/s 10" in table


def test_without_peak_rates_there_is_no_share_of_the_peak() -> None:
    table = layer_table(replace(SLOW, peak_rates={}))
    assert " ".join(cells(table, "fc ")) == "fc 2000 ms 0.0 3000 ms 0.0"
    assert "peak rates" not in table


def test_operator_categories_sum_to_the_phase_and_separate_phases_follow() -> None:
    table = operator_table(SLOW)
    assert cells(table, "operator category") == ["operator", "category", "forward", "backward"]
    assert cells(table, "linear") == ["linear", "2000", "ms", "3000", "ms"]
    assert cells(table, "the phase") == ["the", "phase", "2500", "ms", "4000", "ms"]
    assert "optimizer (a separate phase): 0.000 ms" in table


def test_differences_of_layers_and_operators_are_rows_of_the_page() -> None:
    rows = layer_difference_rows(SLOW, FAST, {})
    assert rows == [
        ["fc", "backward", "3000 ms", "1000 ms", "2000 ms", formats.percent(2 / 3.5)],
        ["fc", "forward", "2000 ms", "500 ms", "1500 ms", formats.percent(1.5 / 3.5)],
    ]
    assert operator_difference_rows(SLOW, FAST)[0] == ["linear", "backward", "3000 ms", "1000 ms", "2000 ms"]


def test_a_layer_that_only_one_side_has_has_no_difference() -> None:
    rows = layer_difference_rows(drilldown({"extra": 1.0}, {}), drilldown({}, {}), {})
    assert rows == [["extra", "forward", "1000 ms", "n/a", "one side only", ""]]


def test_a_framework_whose_layers_were_not_watched_reads_na(make_run: MakeRun) -> None:
    assert describe_layers(None, {"NumPy GFLOP/s": 100.0}) == ["n/a"]
    runs = [make_run([s] * 6, framework={"name": name, "title": name}) for name, s in (("torch", 2.0), ("jax", 1.0))]
    watched = drilldown({"fc": 0.2}, {}, conditions=DrilldownConditions.from_manifest(runs[0].manifest))
    view = build_view(runs, drilldowns=Drilldowns(layers=[watched]))
    html = render_page(view, {name: Figure(figsize=(1, 1)) for name, chart in CHARTS.items() if chart.shown(view)})
    assert "jax 1 (cpu): n/a." in html
    assert "torch 1 (cpu): n/a." not in html
