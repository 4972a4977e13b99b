"""Values with their intervals, as JSON values."""

from epoch_gap.profiler.analysis.stats import Interval


def interval_to_json(interval: Interval) -> dict[str, float | None]:
    """A value with its 95 % interval; None: unknown."""
    return {"value": interval.value, "low": interval.low, "high": interval.high}
