"""The rows of the page's tables of layers and operators: two frameworks and their difference, as text."""

from collections.abc import Mapping

from epoch_gap.profiler.drilldown.layers import Drilldown, category_differences, layer_differences
from epoch_gap.profiler.drilldown.roofline import share_of_peak
from epoch_gap.profiler.drilldown.spans import Direction
from epoch_gap.reports import formats

MOST = 15
"""rows of a table of layer differences"""


def layer_difference_rows(slow: Drilldown, fast: Drilldown, peak_rates: Mapping[str, float]) -> list[list[str]]:
    """Layer, direction, seconds of both sides, their difference, its share of all differences.

    If `peak_rates` are known, the seconds are followed by their share of the peak.
    """
    largest = layer_differences(slow, fast)
    total = sum(d.seconds for d in largest)
    rows: list[list[str]] = []
    for d in largest[:MOST]:
        one_sided = None in (d.slow, d.fast)
        share = formats.percent(d.seconds / total) if total and not one_sided else ""
        gap = "one side only" if one_sided else formats.milliseconds(d.seconds)
        sides = ((slow, d.slow), (fast, d.fast))
        cells = [_with_share(side, d.layer, d.direction, seconds, peak_rates) for side, seconds in sides]
        rows.append([d.layer, d.direction, *cells, gap, share])
    return rows


def _with_share(
    d: Drilldown, name: str, direction: Direction, seconds: float | None, peak_rates: Mapping[str, float]
) -> str:
    """Milliseconds and their share of the peak; "n/a" if the layer was not watched."""
    layer = next((layer for layer in d.architecture if layer.name == name), None)
    if seconds is None or layer is None or not seconds:
        return formats.milliseconds(seconds)
    share = share_of_peak(layer, direction, d.batch_size, peak_rates, seconds)
    return formats.milliseconds(seconds) + ("" if share is None else f", {formats.percent(share)} of peak")


def operator_difference_rows(slow: Drilldown, fast: Drilldown) -> list[list[str]]:
    """Operator category, direction, both sides, their difference; the largest first."""
    sides = [(str(d.category), str(d.direction), d.slow, d.fast) for d in category_differences(slow, fast)]
    separate = slow.categories_outside_layers(), fast.categories_outside_layers()
    sides += [(str(category), "", seconds, separate[1][category]) for category, seconds in separate[0].items()]
    sides.sort(key=lambda row: -abs(row[2] - row[3]))
    return [[category, way, *map(formats.milliseconds, (a, b, a - b))] for category, way, a, b in sides]
