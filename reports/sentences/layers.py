"""Layer times in words: their sum beside the phase, the instrumentation overhead, and the epoch at the peak rates."""

from collections.abc import Mapping

from epoch_gap.profiler.drilldown.layers import Drilldown
from epoch_gap.profiler.drilldown.roofline import least_seconds
from epoch_gap.profiler.drilldown.spans import Direction
from epoch_gap.reports import formats


def describe_layers(d: Drilldown | None, peak_rates: Mapping[str, float]) -> list[str]:
    """The sum of the layers, the instrumentation overhead, and the `peak_rates` with an epoch at them, if known.

    "n/a" for a framework whose layers were not watched.
    """
    if d is None:
        return ["n/a"]
    rates = ", ".join(f"{name} {rate:.0f}" for name, rate in peak_rates.items())
    return [
        *(_closure(d, direction) for direction in Direction if d.layers(direction)),
        describe_overhead(d.slowdown),
        *([f"peak rates: {rates}", describe_epoch_at_peak_rates(d, peak_rates)] if peak_rates else []),
    ]


def describe_overhead(slowdown: float) -> str:
    """The time of an instrumented step over that of a step without instrumentation, in words."""
    return f"an instrumented step takes {formats.times(slowdown)} times as long"


def _closure(d: Drilldown, direction: Direction) -> str:
    """The sum of the layers beside their phase, in words."""
    layers = formats.seconds(sum(d.layers(direction).values()))
    share = f"{formats.percent(d.covered(direction))} of the instrumented phase"
    phase = formats.seconds(d.phase(direction))
    return f"{direction}: all layers {layers}, {share}; the phase takes {phase} without instrumentation"


def describe_epoch_at_peak_rates(d: Drilldown, peak_rates: Mapping[str, float], images: int = 50_000) -> str:
    """The training time of an epoch at the peak rates, in words."""
    size = d.batch_size
    seconds = sum(
        least_seconds(layer, direction, size, peak_rates) for layer in d.architecture for direction in Direction
    )
    epoch = formats.seconds(seconds * images / size)
    return f"at this machine's peak rates training for one epoch would take {epoch}"
