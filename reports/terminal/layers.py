"""Tables of layers and operators: of one framework for the terminal, of two for the page."""

from collections.abc import Mapping

from epoch_gap.profiler.drilldown.layers import Drilldown, category_differences, layer_differences
from epoch_gap.profiler.drilldown.roofline import Layer, flops, least_seconds, share_of_peak
from epoch_gap.profiler.drilldown.spans import Direction, OperatorCategory
from epoch_gap.reports import theme
from epoch_gap.reports.terminal.tables import align

MOST = 15
"""rows of a table of layer differences"""


def layer_table(d: Drilldown) -> str:
    """All layers: milliseconds per step, GFLOP/s, and the share of the machine's peak rates."""
    rows = [["layer", "forward", "GFLOP/s", "% of peak", "backward", "GFLOP/s", "% of peak"]]
    architecture = {layer.name: layer for layer in d.architecture}
    seconds = {direction: d.layers(direction) for direction in Direction}
    for name in dict.fromkeys([*architecture, *(name for by_layer in seconds.values() for name in by_layer)]):
        cells = [_cells(d, architecture.get(name), seconds[way].get(name), way) for way in Direction]
        rows.append([name, *(cell for of_direction in cells for cell in of_direction)])
    return "\n".join([align(rows), *notes(d, d.peak_rates)])


def notes(d: Drilldown | None, peak_rates: Mapping[str, float]) -> list[str]:
    """The sum of the layers, the cost of watching, and if `peak_rates` are known, these and the epoch at the peak.

    "n/a" for a framework whose layers were not watched.
    """
    if d is None:
        return ["n/a"]
    rates = ", ".join(f"{name} {rate:.0f}" for name, rate in peak_rates.items())
    return [
        *(_closure(d, direction) for direction in Direction if d.layers(direction)),
        f"watching made a step {theme.times(d.slowdown)} times as long",
        *([f"peak rates: {rates}", epoch_floor(d, peak_rates)] if peak_rates else []),
    ]


def _closure(d: Drilldown, direction: Direction) -> str:
    """The sum of the layers beside their phase, in words."""
    layers = theme.seconds(sum(d.layers(direction).values()))
    share = f"{theme.percent(d.covered(direction))} of the phase while watched"
    return f"{direction}: all layers {layers}, {share}; the phase takes {theme.seconds(d.phase(direction))} unwatched"


def epoch_floor(d: Drilldown, peak_rates: Mapping[str, float], images: int = 50_000) -> str:
    """The training time of an epoch at the peak rates, in words."""
    size = d.batch_size
    seconds = sum(
        least_seconds(layer, direction, size, peak_rates) for layer in d.architecture for direction in Direction
    )
    epoch = theme.seconds(seconds * images / size)
    return f"at this machine's peak rates the training of an epoch would take {epoch}"


def _cells(d: Drilldown, layer: Layer | None, seconds: float | None, direction: Direction) -> list[str]:
    """Milliseconds, GFLOP/s and share of the peak."""
    if seconds is None:
        return ["n/a", "", ""]
    if layer is None or not seconds:
        return [theme.milliseconds(seconds), "", ""]
    images = d.batch_size
    rate = f"{flops(layer, direction, images) / seconds / 1e9:.1f}"
    share = share_of_peak(layer, direction, images, d.peak_rates, seconds)
    return [theme.milliseconds(seconds), rate, "" if share is None else theme.percent(share)]


def layer_difference_rows(slow: Drilldown, fast: Drilldown, peak_rates: Mapping[str, float]) -> list[list[str]]:
    """Rows for the page: layer, direction, seconds of both sides, their difference, its share of all differences.

    If `peak_rates` are known, the seconds are followed by their share of the peak.
    """
    largest = layer_differences(slow, fast)
    total = sum(d.seconds for d in largest)
    rows: list[list[str]] = []
    for d in largest[:MOST]:
        one_sided = None in (d.slow, d.fast)
        share = theme.percent(d.seconds / total) if total and not one_sided else ""
        gap = "one side only" if one_sided else theme.milliseconds(d.seconds)
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
        return theme.milliseconds(seconds)
    share = share_of_peak(layer, direction, d.batch_size, peak_rates, seconds)
    return theme.milliseconds(seconds) + ("" if share is None else f", {theme.percent(share)} of peak")


def operator_table(d: Drilldown) -> str:
    """Milliseconds per watched step by operator category; each direction sums to its phase."""
    sides = {direction: d.categories(direction) for direction in Direction}
    rows = [["operator category", *Direction]]
    for category in OperatorCategory:
        if any(category in side for side in sides.values()):
            rows.append([category, *(theme.milliseconds(sides[way].get(category)) for way in Direction)])
    rows.append(["the phase", *(theme.milliseconds(sum(side.values()) if side else None) for side in sides.values())])
    separate = [
        f"{category} (a separate phase): {theme.milliseconds(s)}"
        for category, s in d.categories_outside_layers().items()
    ]
    return "\n".join([align(rows), *separate, f"watching made a step {theme.times(d.slowdown)} times as long"])


def operator_difference_rows(slow: Drilldown, fast: Drilldown) -> list[list[str]]:
    """Rows for the page: operator category, direction, both sides, their difference; the largest first."""
    sides = [(str(d.category), str(d.direction), d.slow, d.fast) for d in category_differences(slow, fast)]
    separate = slow.categories_outside_layers(), fast.categories_outside_layers()
    sides += [(str(category), "", seconds, separate[1][category]) for category, seconds in separate[0].items()]
    sides.sort(key=lambda row: -abs(row[2] - row[3]))
    return [[category, way, *map(theme.milliseconds, (a, b, a - b))] for category, way, a, b in sides]
