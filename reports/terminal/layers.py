"""Tables of the layers and operators of one framework, for the terminal."""

from epoch_gap.profiler.drilldown.layers import Drilldown
from epoch_gap.profiler.drilldown.roofline import Layer, flops, share_of_peak
from epoch_gap.profiler.drilldown.spans import Direction, OperatorCategory
from epoch_gap.reports import formats
from epoch_gap.reports.sentences.layers import describe_layers, describe_overhead
from epoch_gap.reports.terminal.tables import align


def layer_table(d: Drilldown) -> str:
    """All layers: milliseconds per step, GFLOP/s, and the share of the machine's peak rates."""
    rows = [["layer", "forward", "GFLOP/s", "% of peak", "backward", "GFLOP/s", "% of peak"]]
    architecture = {layer.name: layer for layer in d.architecture}
    seconds = {direction: d.layers(direction) for direction in Direction}
    for name in dict.fromkeys([*architecture, *(name for by_layer in seconds.values() for name in by_layer)]):
        cells = [_cells(d, architecture.get(name), seconds[way].get(name), way) for way in Direction]
        rows.append([name, *(cell for of_direction in cells for cell in of_direction)])
    return "\n".join([align(rows), *describe_layers(d, d.peak_rates)])


def _cells(d: Drilldown, layer: Layer | None, seconds: float | None, direction: Direction) -> list[str]:
    """Milliseconds, GFLOP/s and share of the peak."""
    if seconds is None:
        return ["n/a", "", ""]
    if layer is None or not seconds:
        return [formats.milliseconds(seconds), "", ""]
    images = d.batch_size
    rate = f"{flops(layer, direction, images) / seconds / 1e9:.1f}"
    share = share_of_peak(layer, direction, images, d.peak_rates, seconds)
    return [formats.milliseconds(seconds), rate, "" if share is None else formats.percent(share)]


def operator_table(d: Drilldown) -> str:
    """Milliseconds per watched step by operator category; each direction sums to its phase."""
    sides = {direction: d.categories(direction) for direction in Direction}
    rows = [["operator category", *Direction]]
    for category in OperatorCategory:
        if any(category in side for side in sides.values()):
            rows.append([category, *(formats.milliseconds(sides[way].get(category)) for way in Direction)])
    rows.append(
        ["the phase", *(formats.milliseconds(sum(side.values()) if side else None) for side in sides.values())]
    )
    separate = [
        f"{category} (a separate phase): {formats.milliseconds(s)}"
        for category, s in d.categories_outside_layers().items()
    ]
    return "\n".join([align(rows), *separate, describe_overhead(d.slowdown)])
