"""A series of a history in words: its heading, and the change from its first run to its last."""

from epoch_gap.profiler.comparison.history import Entry, Series
from epoch_gap.profiler.comparison.subject import shorten_versions
from epoch_gap.profiler.phases import Phase
from epoch_gap.reports import formats
from epoch_gap.reports.sentences.spread import describe_basis, describe_ratio


def describe_series(series: Series) -> str:
    """The properties that all runs of a series share."""
    return f"{series.title} | {series.data_title}, batch {series.batch_size} | {series.machine}"


def describe_change(series: Series) -> str:
    """The change from the first run to the last, in one line."""
    if series.change is None:
        return "one run: nothing to compare it with"
    ratio, first, last = series.change.ratio, series.entries[0], series.entries[-1]
    short = shorten_versions({first.version, last.version})
    versions = f" ({short[first.version]} to {short[last.version]})" if first.version != last.version else ""
    word = "slower" if ratio.value >= 1 else "faster"
    change = f"{formats.percent(abs(ratio.value - 1))} {word}" if series.change.is_clear else "undecided"
    without = f"; without {', '.join(series.change.excluded)}" if series.change.excluded else ""
    known = f"{describe_ratio(series.change)}, {describe_basis(series.change)}"
    return f"first to last{versions}: {change}, ratio {known}{without}"


def has_evaluate(entry: Entry) -> bool:
    """Whether the run's epoch includes an evaluation."""
    return entry.epoch.phases[Phase.EVALUATE] is not None
