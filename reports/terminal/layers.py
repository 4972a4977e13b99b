"""Layers as tables: of one framework for the terminal, of two for the page."""

from collections.abc import Mapping

from epoch_gap.profiler.drilldown.layers import Drilldown, differences, family_differences
from epoch_gap.profiler.drilldown.roofline import Layer, flops, least_seconds, of_roof
from epoch_gap.profiler.drilldown.spans import Direction, Family
from epoch_gap.reports import theme
from epoch_gap.reports.terminal.tables import aligned

MOST = 15
"""rows of a table of differences"""


def of_one(d: Drilldown) -> str:
    """Every layer with its milliseconds per step, its rate and how much of the machine's ceiling that is."""
    rows = [["layer", "forward", "GFLOP/s", "of roof", "backward", "GFLOP/s", "of roof"]]
    known = {layer.name: layer for layer in d.architecture}
    sides = {direction: d.layers(direction) for direction in Direction}
    for name in dict.fromkeys([*known, *(name for side in sides.values() for name in side)]):
        rows.append([name])
        for direction in Direction:
            rows[-1] += _cells(d, known.get(name), sides[direction].get(name), direction)
    return "\n".join([aligned(rows), *notes(d, d.ceilings)])


def notes(d: Drilldown, ceilings: Mapping[str, float]) -> list[str]:
    """What the layers sum to, what watching cost, and what the machine could do where its `ceilings` are known."""
    rates = ", ".join(f"{name} {rate:.0f}" for name, rate in ceilings.items())
    return [
        *(_closure(d, direction) for direction in Direction if d.layers(direction)),
        f"watching made a step {theme.times(d.slowdown)} times as long",
        *([f"ceilings: {rates}", epoch_floor(d, ceilings)] if ceilings else []),
    ]


def _closure(d: Drilldown, direction: Direction) -> str:
    """How the layers' sum stands to the phase."""
    layers = theme.seconds(sum(d.layers(direction).values()))
    share = f"{theme.percent(d.covered(direction))} of the phase while watched"
    return f"{direction}: all layers {layers}, {share}; the phase takes {theme.seconds(d.phase(direction))} unwatched"


def epoch_floor(d: Drilldown, ceilings: Mapping[str, float], images: int = 50_000) -> str:
    """The epoch at the machine's peak, in words."""
    size = int(d.conditions["batch_size"])
    seconds = sum(
        least_seconds(layer, direction, size, ceilings) for layer in d.architecture for direction in Direction
    )
    return f"at this machine's peak the training of an epoch would take {theme.seconds(seconds * images / size)}"


def _cells(d: Drilldown, layer: Layer | None, seconds: float | None, direction: Direction) -> list[str]:
    if seconds is None:
        return ["n/a", "", ""]
    if layer is None or not seconds:
        return [theme.milliseconds(seconds), "", ""]
    images = int(d.conditions["batch_size"])
    rate = f"{flops(layer, direction, images) / seconds / 1e9:.1f}"
    roof = of_roof(layer, direction, images, d.ceilings, seconds)
    return [theme.milliseconds(seconds), rate, "" if roof is None else theme.percent(roof)]


def of_two(slow: Drilldown, fast: Drilldown, ceilings: Mapping[str, float]) -> list[list[str]]:
    """Rows for the page: layer, direction, seconds of both, the difference, its share of all differences.

    With the share of the seconds that the machine's `ceilings` ask for, where these are known.
    """
    found = differences(slow, fast)
    whole = sum(d.seconds for d in found)
    rows: list[list[str]] = []
    for d in found[:MOST]:
        share = theme.percent(d.seconds / whole) if whole and None not in (d.slow, d.fast) else ""
        gap = theme.milliseconds(d.seconds) if None not in (d.slow, d.fast) else "one side only"
        sides = [_with_roof(side, d.layer, d.direction, s, ceilings) for side, s in ((slow, d.slow), (fast, d.fast))]
        rows.append([d.layer, d.direction, *sides, gap, share])
    return rows


def _with_roof(
    d: Drilldown, name: str, direction: Direction, seconds: float | None, ceilings: Mapping[str, float]
) -> str:
    """Milliseconds, and the share of them that the machine's ceiling asks for."""
    layer = next((layer for layer in d.architecture if layer.name == name), None)
    if seconds is None or layer is None or not seconds:
        return theme.milliseconds(seconds)
    roof = of_roof(layer, direction, int(d.conditions["batch_size"]), ceilings, seconds)
    return theme.milliseconds(seconds) + ("" if roof is None else f", {theme.percent(roof)} of roof")


def families_of_one(d: Drilldown) -> str:
    """Milliseconds per watched step by family of operators; each direction sums to its phase."""
    sides = {direction: d.families(direction) for direction in Direction}
    rows = [["family", *Direction]]
    for family in Family:
        if any(family in side for side in sides.values()):
            rows.append([family, *(theme.milliseconds(sides[direction].get(family)) for direction in Direction)])
    rows.append(["the phase", *(theme.milliseconds(sum(side.values()) if side else None) for side in sides.values())])
    around = [f"{family} (a phase of its own): {theme.milliseconds(s)}" for family, s in d.around().items()]
    return "\n".join([aligned(rows), *around, f"watching made a step {theme.times(d.slowdown)} times as long"])


def families_of_two(slow: Drilldown, fast: Drilldown) -> list[list[str]]:
    """Rows for the page: family, direction, both sides, the difference; the largest first."""
    found = [(str(d.family), str(d.direction), d.slow, d.fast) for d in family_differences(slow, fast)]
    around = slow.around(), fast.around()
    found += [(str(family), "", seconds, around[1][family]) for family, seconds in around[0].items()]
    found.sort(key=lambda row: -abs(row[2] - row[3]))
    return [[family, way, *map(theme.milliseconds, (a, b, a - b))] for family, way, a, b in found]
