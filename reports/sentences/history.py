"""A series of a history in words: its heading, and the changes of its level, or from its first run to its last."""

from epoch_gap.profiler.comparison.change_points import ChangePoint
from epoch_gap.profiler.comparison.history import Entry, Series
from epoch_gap.profiler.comparison.subject import shorten_versions
from epoch_gap.profiler.phases import Phase
from epoch_gap.reports import formats
from epoch_gap.reports.sentences.spread import describe_basis, describe_ratio


def describe_series(series: Series) -> str:
    """The properties that all runs of a series share."""
    return f"{series.title} | {series.data_title}, batch {series.batch_size} | {series.machine}"


def describe_change(series: Series, most: int | None = None) -> str:
    """The newest `most` change points of the series in one line; of few runs, the change from first to last."""
    if series.change is None:
        return "one run: nothing to compare it with"
    if series.detectable is None:
        return _describe_ends(series)
    without = f"; without {', '.join(series.excluded)}" if series.excluded else ""
    if not series.changes:
        found = f"one of {formats.percent(series.detectable)} in their middle would have been found"
        return f"no change in {len(series.entries)} runs: {found}{without}"
    count = len(series.changes)
    newest = series.changes if most is None else series.changes[-most:]
    changes = "; ".join(_describe_point(series, change) for change in newest)
    which = "" if len(newest) == count else f", the newest {len(newest)}"
    return f"{count} change{'s' * (count > 1)} in {len(series.entries)} runs{which}: {changes}{without}"


def describe_size(change: ChangePoint) -> str:
    """The change of level: `5.2 % slower`."""
    ratio = change.ratio.value
    return f"{formats.percent(abs(ratio - 1))} {'slower' if ratio >= 1 else 'faster'}"


def _describe_point(series: Series, change: ChangePoint) -> str:
    """The first run after a change, its size, the range of its position, and the versions that it lies between."""
    before, after = series.entries[change.index - 1], series.entries[change.index]
    ratio = change.ratio
    known = f"ratio {formats.times(ratio.value)}, 95 % {formats.within(ratio.low, ratio.high, 'x')}"
    where = f"from {_name(after)} on"
    if change.earliest < change.latest:
        first, last = series.entries[change.earliest], series.entries[change.latest]
        where += f" (between {_name(first)} and {_name(last)})"
    return f"{where}{_versions(before, after)} {describe_size(change)}, {known}"


def _describe_ends(series: Series) -> str:
    """The change from the first run to the last."""
    assert series.change is not None
    ratio, first, last = series.change.ratio, series.entries[0], series.entries[-1]
    word = "slower" if ratio.value >= 1 else "faster"
    change = f"{formats.percent(abs(ratio.value - 1))} {word}" if series.change.is_clear else "undecided"
    without = f"; without {', '.join(series.change.excluded)}" if series.change.excluded else ""
    known = f"{describe_ratio(series.change)}, {describe_basis(series.change)}"
    return f"first to last{_versions(first, last)}: {change}, ratio {known}{without}"


def _name(entry: Entry) -> str:
    """The run's short id and day."""
    return f"{entry.run.rpartition('-')[2]} ({entry.created[:10]})"


def _versions(before: Entry, after: Entry) -> str:
    """The versions of two runs, if they differ."""
    if before.version == after.version:
        return ""
    short = shorten_versions({before.version, after.version})
    return f" ({short[before.version]} to {short[after.version]})"


def has_evaluate(entry: Entry) -> bool:
    """Whether the run's epoch includes an evaluation."""
    return entry.epoch.phases[Phase.EVALUATE] is not None
