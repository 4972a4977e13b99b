"""Epoch times over all stored runs; runs that differ only in the framework's version form a series."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from epoch_gap.profiler.analysis.epoch import EpochEstimate
from epoch_gap.profiler.comparison.change_points import ChangePoint, detectable_change, find_changes
from epoch_gap.profiler.comparison.gap import Gap, measure_gap
from epoch_gap.profiler.comparison.identity import series_key
from epoch_gap.profiler.comparison.spread_history import KnownSpread, applicable_floor
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import Phase, in_order
from epoch_gap.profiler.storage.noise_floor_store import NoiseFloors
from epoch_gap.profiler.storage.run import Run


@dataclass(frozen=True)
class Entry:
    """One run of a history, without its steps."""

    run: str
    """the run's id"""
    created: str
    """UTC, ISO 8601"""
    version: str
    """version of the framework, with the commit of an install that is no release"""
    epoch: EpochEstimate
    flags: tuple[str, ...]
    """titles"""
    commit: str
    """of the project, `+` appended if the working tree was dirty; empty: unknown"""


@dataclass(frozen=True)
class Series:
    """Comparable runs of one subject in any version: the same batch size, data and machine. Oldest first."""

    title: str
    """framework or label, device and settings"""
    batch_size: int
    data: str
    """cifar10 | synthetic, or a custom loop's name for its data"""
    data_title: str
    """display name of the data"""
    machine: str
    span: str
    """what seconds are per"""
    entries: tuple[Entry, ...]
    change: Gap | None
    """the last run minus the first; None for a single run"""
    excluded: tuple[Phase, ...] = ()
    """phases that some of its runs did not measure; left out of the levels"""
    changes: tuple[ChangePoint, ...] = ()
    """of the level of the epoch's time, beyond the machine's noise floor; their indices are those of `entries`"""
    detectable: float | None = None
    """the smallest change of level in the middle of the runs that would be found, as a share; None: too few runs"""

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases that took any time in any run, in display order."""
        return tuple(
            in_order(p for entry in self.entries for p, part in entry.epoch.phases.items() if part is not None)
        )


@dataclass
class _OpenSeries:
    first: Subject
    last: Subject
    entries: list[Entry] = field(default_factory=list)


def build_histories(runs: Iterable[Run], skipped: dict[str, str], floors: NoiseFloors | None = None) -> list[Series]:
    """The series of `runs`, ordered oldest first. Only a series' first and last run keep their steps in memory.

    A run without a full step is added to `skipped`, by its id, with the reason.
    """
    series_by_key: dict[tuple[object, ...], _OpenSeries] = {}
    for run in runs:
        try:
            subject = Subject.from_runs([run])
        except UserError as error:
            skipped[run.id] = str(error)
            continue
        series = series_by_key.setdefault(series_key(run.manifest), _OpenSeries(subject, subject))
        series.last = subject
        series.entries.append(_entry(subject))
    return [_close(series, floors or {}) for series in series_by_key.values()]


def _entry(subject: Subject) -> Entry:
    manifest = subject.manifest
    return Entry(
        run=subject.first.id,
        created=manifest.created,
        version=manifest.framework.exact_version,
        epoch=subject.epoch,
        flags=tuple(subject.flag_titles),
        commit=manifest.environment.git.short,
    )


def _close(series: _OpenSeries, floors: NoiseFloors) -> Series:
    run = series.first.first
    has_change = len(series.entries) > 1
    excluded = _partly_measured(series.entries)
    seconds = [entry.epoch.without(excluded).total.value for entry in series.entries]
    floor = applicable_floor(floors, [run])
    least, detectable = 0.0 if floor is None else floor.share, detectable_change(seconds)
    return Series(
        title=series.first.lineage_title,
        batch_size=run.batch_size,
        data=run.manifest.data.name,
        data_title=run.manifest.data.title,
        machine=run.manifest.environment.machine.description,
        span=series.first.size.span,
        entries=tuple(series.entries),
        change=measure_gap(series.last, series.first, spread=KnownSpread(floors=floors)) if has_change else None,
        excluded=excluded,
        changes=tuple(find_changes(seconds, least)),
        detectable=None if detectable is None else max(least, detectable),
    )


def _partly_measured(entries: Sequence[Entry]) -> tuple[Phase, ...]:
    """The phases that some entries have and others lack; a custom loop's own took no time where it is missing."""
    known: list[set[Phase]] = [
        {phase for phase, part in entry.epoch.phases.items() if part is not None} for entry in entries
    ]
    partly = set[Phase]().union(*known).difference(known[0].intersection(*known))
    return tuple(in_order(phase for phase in partly if not phase.is_own))
