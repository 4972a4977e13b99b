"""A subject: one configuration, with the runs (processes) that repeated it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from epoch_gap.profiler.analysis.epoch import EpochEstimate, estimate_epoch, has_ledger
from epoch_gap.profiler.analysis.stats import Estimate, between
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import Ledger
from epoch_gap.profiler.storage.run import Run

SETTINGS = ("checkpoint", "mmap", "compile")
"""switches whose runs are not repeats of runs without them"""


@dataclass(frozen=True)
class Subject:
    """Runs of one framework, version, device and label."""

    id: str
    runs: tuple[Run, ...]
    epoch: EpochEstimate
    """of this subject's own epochs; over several runs, with an interval between processes"""
    general: tuple[EpochEstimate, ...]
    """per run, of an epoch as such: what a comparison is made of"""
    fenced: "Subject | None" = None
    """the same, made of fenced steps; None where a run has none"""
    side: str = ""
    """A or B, where two subjects stand opposite each other by name"""

    @property
    def first(self) -> Run:
        """The run whose conditions stand for the subject's."""
        return self.runs[0]

    @property
    def title(self) -> str:
        """For people: name, version, device, label, side."""
        version = self.first.manifest["framework"]["version"]
        return f"{self._named(f' {version}')}{f' [{self.side}]' if self.side else ''}"

    @property
    def lineage(self) -> str:
        """For people: what its versions have in common."""
        return self._named("")

    def _named(self, version: str) -> str:
        framework, config = self.first.manifest["framework"], self.first.manifest["config"]
        settings = "".join(f", {name}" for name in SETTINGS if config.get(name))
        return f"{config['label'] or framework['title']}{version} ({framework['device']}{settings})"


def subject_id(run: Run) -> str:
    """What makes two runs repeats of each other: framework, label, version, device, and settings that cost time."""
    return _joined(run, run.manifest["framework"]["version"])


def lineage(run: Run) -> str:
    """What a framework's versions have in common: a subject's id without the version."""
    return _joined(run, "")


def _joined(run: Run, version: str) -> str:
    framework, config = run.manifest["framework"], run.manifest["config"]
    settings = [name for name in SETTINGS if config.get(name)]
    return "-".join(filter(None, [framework["name"], config["label"], version, framework["device"], *settings]))


def group(runs: Sequence[Run]) -> list[Subject]:
    """Runs by subject, in order of appearance. Raises UserError where they cannot be compared."""
    check_comparable(runs)
    ids = dict.fromkeys(subject_id(run) for run in runs)
    return [of(name, tuple(run for run in runs if subject_id(run) == name)) for name in ids]


def check_comparable(runs: Sequence[Run]) -> None:
    """Raise UserError unless all runs used one batch size and the same data."""
    for run in runs[1:]:
        if reason := incomparable(runs[0], run):
            raise UserError(f"{runs[0].id} and {run.id} cannot be compared: {reason}")


def incomparable(a: Run, b: Run) -> str | None:
    """Why two runs cannot be compared, or None."""
    if a.batch_size != b.batch_size:
        return f"batch size {a.batch_size} and {b.batch_size}"
    if data_key(a) != data_key(b):
        return f"data {' and '.join(map(_data_name, (a, b)))} differ"
    return None


def data_key(run: Run) -> str:
    """The data's SHA-256; of data that only a loop of one's own has seen, the name that it gave."""
    data = run.manifest["data"]
    return str(data["sha256"] or data["source"])


def _data_name(run: Run) -> str:
    data = run.manifest["data"]
    return f"{data['source']} ({data['sha256'][:8]})" if data["sha256"] else str(data["source"])


def of(name: str, runs: tuple[Run, ...], side: str = "") -> Subject:
    """The subject that `runs` are repeats of, at least one, under `name`."""
    fenced = all(has_ledger(run, Ledger.FENCED) for run in runs)
    return replace(
        _in(Ledger.ASRUN, name, runs, side), fenced=_in(Ledger.FENCED, name, runs, side) if fenced else None
    )


def _in(ledger: Ledger, name: str, runs: tuple[Run, ...], side: str) -> Subject:
    own = [estimate_epoch(run, ledger) for run in runs]
    general = tuple(estimate_epoch(run, ledger, finite=False) for run in runs)
    return Subject(name, runs, own[0] if len(own) == 1 else _over_processes(own), general, side=side)


def _over_processes(estimates: Sequence[EpochEstimate]) -> EpochEstimate:
    """Means over processes; a phase that one of them did not get to measure is in no sum."""
    phases = {phase: _over_values([e.phases[phase] for e in estimates]) for phase in Phase}
    unknown = [phase for phase, part in phases.items() if part is None]
    totals = between(e.without(unknown).total.value for e in estimates)
    return replace(estimates[0], phases=phases, total=totals, measured=all(e.measured for e in estimates))


def _over_values(values: Sequence[Estimate | None]) -> Estimate | None:
    known = [value.value for value in values if value is not None]
    return between(known) if len(known) == len(values) else None
