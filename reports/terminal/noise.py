"""The result of comparing a framework with itself, for the terminal."""

from epoch_gap.profiler.comparison.gap import Gap
from epoch_gap.profiler.storage.noise_floor_store import NoiseFloor
from epoch_gap.reports import formats
from epoch_gap.reports.sentences.verdict import describe_noise_floor


def describe_self_comparison(floor: NoiseFloor, gap: Gap) -> str:
    """The verdict on A against A, and the noise floor that it gives."""
    within = formats.within(gap.ratio.low, gap.ratio.high, "x")
    times = f"{formats.times(gap.ratio.value)} times as long, 95 % {within}, between processes"
    return f"A against A: {gap.verdict} ({times})\n{describe_noise_floor(floor)}"
