"""A framework's versions under equal conditions, and what changed from each version to the next.

Neighbouring versions are compared by the rules of every other comparison (`comparison/gap.py`): the intervals exclude
equality, and the ratio is beyond the noise floor. The spread between processes is pooled with that of the other
versions. As several neighbours are compared at once, they share the error by Holm's method (1979). So do their
phases, as a phase can change beyond doubt while the epoch varies too much.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import batched, pairwise

from epoch_gap.profiler.analysis.significance import p_different, share_error
from epoch_gap.profiler.analysis.stats import Estimate
from epoch_gap.profiler.comparison.gap import Gap, measure_gap
from epoch_gap.profiler.comparison.history import Entry, Series
from epoch_gap.profiler.comparison.identity import series_key
from epoch_gap.profiler.comparison.spread_history import KnownSpread
from epoch_gap.profiler.comparison.subject import Subject, shorten_titles
from epoch_gap.profiler.comparison.timing_modes import modes_agree
from epoch_gap.profiler.drilldown.layers import PHASES_OF, Drilldown
from epoch_gap.profiler.drilldown.matching import explains
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.matrix.layer_changes import LayerChange, layer_changes
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.noise_floor_store import NoiseFloors
from epoch_gap.profiler.storage.run import Run

SMALLEST_PHASE = 0.01
"""share of the epoch in either version: smaller phases are not tested where the epoch does not change"""
SIMILAR = 2.0
"""The spread of two versions is pooled with that of another two if their epochs differ by less than this factor."""


@dataclass(frozen=True)
class Change:
    """From one version to the next: `gap` is the later version minus the earlier one."""

    gap: Gap
    is_shown: bool
    """whether the epochs differ by the rules of a comparison, together with all other changes of the series"""
    phases: tuple[tuple[Phase, Estimate], ...] = ()
    """the phases that changed, the largest change first. If the change is shown: those whose interval excludes 0.
    Otherwise those that differ together with all other phases of all such changes"""
    layers: tuple[LayerChange, ...] = ()
    """the layers of both versions, the largest change first; empty without layer times of both"""

    @property
    def before(self) -> Subject:
        """The earlier version."""
        return self.gap.fast

    @property
    def after(self) -> Subject:
        """The later version."""
        return self.gap.slow

    @property
    def where(self) -> Gap:
        """The gap whose phases name the work: from fenced steps if a version charges work to other phases."""
        return _where(self.gap)

    @property
    def has_changed(self) -> bool:
        """Whether the epoch or a phase did."""
        return self.is_shown or bool(self.phases)

    @property
    def has_layer_times(self) -> bool:
        """Whether the layers were timed in the phases that changed; in any, if no phase alone changed."""
        timed = {phase for phases in PHASES_OF.values() for phase in phases}
        return bool(self.layers) and (not self.phases or any(phase in timed for phase, _ in self.phases))

    @property
    def shares_no_session(self) -> bool:
        """Whether no run of one version alternated with one of the other: the machine may have changed in between."""
        before, after = ({run.manifest.session for run in side.runs} for side in (self.before, self.after))
        return not before & after


@dataclass(frozen=True)
class VersionSeries:
    """Versions of one framework that differ in nothing else, in the order of the matrix."""

    versions: tuple[Subject, ...]
    """at least one"""
    changes: tuple[Change, ...]
    """from each version to the next"""
    overall: Gap | None
    """the last version minus the first; None for a single version"""
    layers: Mapping[str, Drilldown] = field(default_factory=dict)
    """layer times by subject id, of the versions that have them"""

    @property
    def first(self) -> Run:
        """The run whose conditions represent the series'."""
        return self.versions[0].first

    @property
    def shown(self) -> list[Change]:
        """The changes that are shown."""
        return [change for change in self.changes if change.is_shown]

    @property
    def history(self) -> Series:
        """The series as a history whose entries are the versions, each the mean of its repeats."""
        run = self.first
        return Series(
            title=self.versions[0].lineage_title,
            batch_size=run.batch_size,
            data=run.manifest.data.name,
            data_title=run.manifest.data.title,
            machine=run.manifest.environment.machine.description,
            span=self.versions[0].size.span,
            entries=tuple(map(_entry, self.versions)),
            change=self.overall,
        )


def _entry(version: Subject) -> Entry:
    return Entry(
        run=version.first.id,
        created=version.manifest.created,
        version=version.framework.version,
        epoch=version.epoch,
        flags=tuple(version.flag_titles),
        commit=version.manifest.environment.git.short,
    )


@dataclass(frozen=True)
class SpreadOfVersions(KnownSpread):
    """The spread between processes as the other versions of a series show it, beside the machine's noise floors.

    The versions that are not compared are taken in pairs, so that no run counts twice.
    """

    versions: tuple[Subject, ...] = ()

    def of_pair(self, slow: Subject, fast: Subject) -> list[tuple[Subject, Subject]]:
        """Pairs of other versions that alternated in the same session and take a similar time."""
        if min(len(slow.runs), len(fast.runs)) < 2:
            return []
        others = [version for version in self.versions if _fits(version, slow) and version.id != fast.id]
        return [(a, b) for a, b in (pair for pair in batched(others, 2) if len(pair) == 2)]

    def fenced(self) -> KnownSpread:
        """The same from fenced steps, of the versions that have them."""
        fenced = tuple(version.fenced for version in self.versions if version.fenced is not None)
        return SpreadOfVersions(floors=self.floors, versions=fenced)


def _fits(version: Subject, subject: Subject) -> bool:
    """Whether a version's spread between repeats may stand for another's."""
    ratio = version.epoch.total.value / subject.epoch.total.value
    sessions = [{run.manifest.session for run in side.runs} for side in (version, subject)]
    is_alike = len(version.runs) == len(subject.runs) and sessions[0] == sessions[1]
    return version.id != subject.id and is_alike and 1 / SIMILAR < ratio < SIMILAR


def build_series(
    runs: Sequence[Run], layers: Sequence[Drilldown], floors: NoiseFloors, skipped: dict[str, str]
) -> list[VersionSeries]:
    """The series of a matrix's runs, which are in the order of their cells' configurations and repeats.

    `layers` are the layer times beside them, newest first. A run that cannot be analysed is added to `skipped` by
    its id, with the reason.
    """
    grouped: dict[tuple[object, ...], dict[str, list[Run]]] = {}
    for run in runs:
        versions = grouped.setdefault(series_key(run.manifest), {})
        versions.setdefault(run.framework.version, []).append(run)
    found = [
        tuple(subject for repeats in versions.values() if (subject := _subject(repeats, skipped)) is not None)
        for versions in grouped.values()
    ]
    return [_series(tuple(shorten_titles(versions)), layers, floors) for versions in found if versions]


def _subject(repeats: Sequence[Run], skipped: dict[str, str]) -> Subject | None:
    """None if none of the repeats can be analysed."""
    usable = []
    for run in repeats:
        try:
            Subject.from_runs([run])
        except UserError as error:
            skipped[run.id] = str(error)
        else:
            usable.append(run)
    return Subject.from_runs(usable) if usable else None


def _series(versions: tuple[Subject, ...], layers: Sequence[Drilldown], floors: NoiseFloors) -> VersionSeries:
    explained = {
        version.id: drilldown
        for version in versions
        for drilldown in [next((d for d in layers if explains(d.conditions, version.manifest)), None)]
        if drilldown is not None
    }
    spread = SpreadOfVersions(floors=floors, versions=versions)
    overall = measure_gap(versions[-1], versions[0], spread=spread) if len(versions) > 1 else None
    return VersionSeries(versions, tuple(find_changes(versions, spread, explained)), overall, explained)


def find_changes(
    versions: Sequence[Subject], spread: KnownSpread, layers: Mapping[str, Drilldown] | None = None
) -> list[Change]:
    """The change from each version to the next, and whether it is shown. `layers`: by subject id.

    This is all that decides what counts as a change; another method of finding change points can take its place.
    """
    gaps = [measure_gap(after, before, spread=spread) for before, after in pairwise(versions)]
    clear = _clear_together(gaps)
    known = layers or {}
    return [
        Change(gap, is_shown, phases, _layers_of(known.get(gap.fast.id), known.get(gap.slow.id)))
        for gap, is_shown, phases in zip(gaps, clear, _phases(gaps, clear), strict=True)
    ]


def _where(gap: Gap) -> Gap:
    is_shifted = not all(modes_agree(side) for side in (gap.fast, gap.slow))
    return gap.fenced if gap.fenced is not None and is_shifted else gap


def _phases(gaps: Sequence[Gap], clear: Sequence[bool]) -> list[tuple[tuple[Phase, Estimate], ...]]:
    """The phases of each gap that changed."""
    found = [
        {phase: part for phase, part in _where(gap).by_phase.items() if is_clear and part.interval().excludes(0)}
        for gap, is_clear in zip(gaps, clear, strict=True)
    ]
    tested = [
        (i, phase, part)
        for i, (gap, is_clear) in enumerate(zip(gaps, clear, strict=True))
        if not is_clear and gap.basis is not None
        for phase, part in _where(gap).by_phase.items()
        if max(_share(side, phase) for side in (gap.fast, gap.slow)) >= SMALLEST_PHASE
        and abs(part.value) > (gap.floor or 0.0) * gap.fast.epoch.total.value
    ]
    decided, _ = share_error([p_different(part) for _, _, part in tested])
    for i, phase, part in (tested[place] for place in decided):
        found[i][phase] = part
    return [tuple(sorted(parts.items(), key=lambda item: -abs(item[1].value))) for parts in found]


def _share(version: Subject, phase: Phase) -> float:
    part = version.epoch.phases.get(phase)
    return 0.0 if part is None else part.value / version.epoch.total.value


def _layers_of(before: Drilldown | None, after: Drilldown | None) -> tuple[LayerChange, ...]:
    return tuple(layer_changes(before, after)) if before is not None and after is not None else ()


def _clear_together(gaps: Sequence[Gap]) -> list[bool]:
    """Whether each gap is clear, with an error of 5 % for all of them together; never if its spread is unknown."""
    decided, _ = share_error([1.0 if gap.basis is None else p_different(gap.seconds) for gap in gaps])
    return [gap.is_clear and i in decided for i, gap in enumerate(gaps)]
