"""How long epochs took over all stored runs: runs that differ in nothing but the version follow each other."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from epoch_gap.profiler.analysis.epoch import EpochEstimate
from epoch_gap.profiler.analysis.flags import flags
from epoch_gap.profiler.comparison import subject
from epoch_gap.profiler.comparison.fairness import machine
from epoch_gap.profiler.comparison.gap import Gap, gap
from epoch_gap.profiler.comparison.noise_floor import Floors, applying
from epoch_gap.profiler.comparison.subject import Subject, lineage
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.run import Run


@dataclass(frozen=True)
class Entry:
    """One run of a history, without its steps."""

    run: str
    """its id"""
    created: str
    """UTC, ISO 8601"""
    version: str
    """of the framework"""
    epoch: EpochEstimate
    flags: tuple[str, ...]
    """names"""
    commit: str
    """of the project, with `+` where the files differed from it; empty: unknown"""


@dataclass(frozen=True)
class Series:
    """Comparable runs of one subject, whatever its version: the same batch size, data and machine. Oldest first."""

    title: str
    """framework or label, device and settings"""
    batch_size: int
    data: str
    """cifar10 | synthetic; of a loop of one's own, the name that it gave"""
    machine: str
    entries: tuple[Entry, ...]
    change: Gap | None
    """the last run minus the first; None where there is one run"""

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Those that took any time in any run, in display order."""
        return tuple(p for p in Phase if any(entry.epoch.phases[p] is not None for entry in self.entries))


@dataclass
class _Open:
    first: Subject
    last: Subject
    entries: list[Entry] = field(default_factory=list)


def histories(runs: Iterable[Run], left_out: dict[str, str], floors: Floors | None = None) -> list[Series]:
    """The series of `runs`, which come oldest first; steps are kept of a series' first and last run alone.

    A run that holds no full step goes to `left_out`, with the reason, by its id.
    """
    found: dict[tuple[object, ...], _Open] = {}
    for run in runs:
        try:
            one = subject.of(subject.subject_id(run), (run,))
        except UserError as error:
            left_out[run.id] = str(error)
            continue
        series = found.setdefault(_key(run), _Open(one, one))
        series.last = one
        series.entries.append(_entry(one))
    return [_closed(series, floors or {}) for series in found.values()]


def _key(run: Run) -> tuple[object, ...]:
    """What runs of one series share: else they are not comparable, or no repeats but for the version."""
    full = run.manifest["full_epoch"]
    sizes = full["train_images"], full["test_images"]
    return lineage(run), run.batch_size, subject.data_key(run), machine(run), sizes


def _entry(one: Subject) -> Entry:
    run, git = one.first, one.first.manifest["environment"]["git"]
    commit = str(git.get("commit", ""))
    known = commit and commit != "unknown"
    return Entry(
        run.id,
        run.manifest["created"],
        str(run.manifest["framework"]["version"]),
        one.epoch,
        tuple(dict.fromkeys(flag.name for flag in flags(run))),
        f"{commit[:7]}{'+' * (git.get('dirty') is True)}" if known else "",
    )


def _closed(series: _Open, floors: Floors) -> Series:
    run = series.first.first
    floor = applying(floors, [run, series.last.first])
    change = gap(series.last, series.first, floor.share if floor else None) if len(series.entries) > 1 else None
    stored = run.manifest["data"]
    data = str(stored["source"] if stored["kind"] == "own" else stored["kind"])
    return Series(series.first.lineage, run.batch_size, data, machine(run), tuple(series.entries), change)
