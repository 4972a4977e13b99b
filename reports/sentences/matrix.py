"""A matrix in words: what changed from version to version, in which phases and layers, and the state of its cells."""

from collections import Counter
from collections.abc import Sequence

from epoch_gap.profiler.analysis.stats import Interval
from epoch_gap.profiler.comparison.gap import EQUAL_WITHIN, Verdict
from epoch_gap.profiler.drilldown.layers import PHASES_OF
from epoch_gap.profiler.matrix.cell_state import CellState, CellStatus
from epoch_gap.profiler.matrix.layer_changes import LayerChange
from epoch_gap.profiler.matrix.result import MatrixResult
from epoch_gap.profiler.matrix.version_series import Change, VersionSeries
from epoch_gap.reports import formats
from epoch_gap.reports.sentences.spread import describe_basis, describe_ratio

TOP = 3
"""phases or layers that a sentence names"""


def describe_conditions(series: VersionSeries) -> str:
    """What the versions of a series share."""
    run = series.first
    machine = run.manifest.environment.machine.description
    return f"{name_series(series)} | {run.manifest.data.title} | {machine}"


def name_series(series: VersionSeries) -> str:
    """The framework, its device and settings, and the batch size."""
    return f"{series.versions[0].lineage_title}, batch {series.first.batch_size}"


def describe_finding(series: VersionSeries) -> str:
    """The changes of a series in one sentence."""
    name, versions = name_series(series), [shown_version(series, i) for i in range(len(series.versions))]
    if not series.changes:
        return f"{name}: only {versions[0]} has complete runs, so there is nothing to compare it with."
    span = f"{name}, {versions[0]} to {versions[-1]}"
    changes = [
        f"{describe_size(change)} in {versions[i + 1]}" for i, change in enumerate(series.changes) if change.is_shown
    ]
    parts = [
        f"{describe_phases(change)} in {versions[i + 1]}"
        for i, change in enumerate(series.changes)
        if change.phases and not change.is_shown
    ]
    total = ", ".join(changes) or f"no change {'of the total ' if parts else ''}from one version to the next is shown"
    return "; ".join([f"{span}: {total}", *parts]) + "."


def shown_version(series: VersionSeries, place: int) -> str:
    """A version as titles show it."""
    version = series.versions[place]
    return version.shown_version or version.framework.version


def describe_size(change: Change) -> str:
    """`8.2 % faster`"""
    ratio = change.gap.ratio.value
    return f"{formats.percent(abs(ratio - 1))} {'slower' if ratio >= 1 else 'faster'}"


def describe_result(change: Change) -> str:
    """The result of comparing two neighbouring versions."""
    gap, floor = change.gap, change.gap.floor or 0.0
    if change.is_shown:
        return describe_size(change)
    if gap.verdict is Verdict.EQUAL:
        return f"equal within {100 * EQUAL_WITHIN:.0f} %"
    if gap.judged.excludes(1) and abs(gap.judged.value - 1) <= floor:
        return f"undecided: within the noise floor of {formats.percent(floor)}"
    if gap.basis is not None and gap.is_clear:
        return "undecided: shown alone, but not together with the other comparisons"
    return "undecided"


def describe_interval(change: Change) -> str:
    """The ratio of a version to the one before, its interval, and what that rests on."""
    apart = "; no runs of one session, so a change of the machine in between would count" * change.shares_no_session
    without = f"; without {', '.join(change.gap.excluded)}" if change.gap.excluded else ""
    return f"{describe_ratio(change.gap)}, {describe_basis(change.gap)}{without}{apart}"


def describe_phases(change: Change) -> str:
    """The phases that changed, the largest first; empty if nothing changed."""
    if not change.has_changed:
        return ""
    mode = " (fenced steps)" if change.where is not change.gap else ""
    parts = [f"{phase} {_signed_interval(part.interval())}" for phase, part in change.phases[:TOP]]
    return f"{'; '.join(parts)}{mode}" if parts else "no phase alone"


def describe_layers(change: Change, series: VersionSeries) -> str:
    """The layers that changed in the phases that changed, in seconds per epoch; empty if nothing changed."""
    if not change.has_changed:
        return ""
    if not change.has_layer_times:
        return "not timed"
    steps = steps_per_epoch(series)
    layers = layers_of_phases(change)
    parts = [f"{one.layer} ({one.direction}) {_signed(one.seconds.value * steps)}" for one in layers[:TOP]]
    return "; ".join(parts) or "none alone"


def layers_of_phases(change: Change) -> list[LayerChange]:
    """The layers that clearly changed in a direction whose phases changed, the largest first."""
    phases = {phase for phase, _ in change.phases}
    return [one for one in change.layers if phases & set(PHASES_OF[one.direction]) and one.seconds.excludes(0)]


def steps_per_epoch(series: VersionSeries) -> float:
    """Training steps of a full epoch."""
    return series.first.manifest.full_epoch.train_images / series.first.batch_size


def _signed_interval(i: Interval) -> str:
    return f"{_signed(i.value)} ({formats.within(i.low, i.high)})"


def _signed(seconds: float) -> str:
    return formats.signed(formats.seconds(seconds))


def describe_cells(result: MatrixResult) -> str:
    """How many cells are complete, failed and open."""
    counts = [(result.count(status), status) for status in CellStatus]
    return f"{len(result.states)} cells: " + ", ".join(f"{count} {status}" for count, status in counts if count)


def describe_state(state: CellState) -> str:
    """The state of a cell, with its run or its reason."""
    if state.run is not None:
        return f"{state.status}, run {state.run.name.rpartition('-')[2]}"
    return f"{state.status}: {state.reason}" if state.reason else str(state.status)


def describe_failures(states: Sequence[CellState]) -> list[str]:
    """A line per configuration and reason for which cells failed."""
    failed = [state for state in states if state.status is CellStatus.FAILED]
    counts = Counter((state.cell.configuration.title, state.reason) for state in failed)
    return [f"{title}: {reason}{f' ({count} cells)' * (count > 1)}" for (title, reason), count in counts.items()]
