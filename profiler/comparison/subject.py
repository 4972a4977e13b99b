"""A subject: one configuration, with the runs (processes) that repeated it.

`identity.subject_id` decides which runs repeat one configuration.
"""

from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

from epoch_gap.profiler.analysis.epoch import EpochEstimate
from epoch_gap.profiler.analysis.run_analysis import ModeAnalysis, RunAnalysis, analyse_run
from epoch_gap.profiler.analysis.stats import Estimate, mean_of_processes
from epoch_gap.profiler.comparison.attribution import FenceEffect, measure_fence_effect
from epoch_gap.profiler.comparison.identity import active_settings, check_no_alternation, check_same_task, subject_id
from epoch_gap.profiler.phases import Phase, in_order
from epoch_gap.profiler.printable import printable
from epoch_gap.profiler.storage.manifest import Config, DataKind, EpochSize, FrameworkInfo, Manifest
from epoch_gap.profiler.storage.run import Run


@dataclass(frozen=True)
class Subject:
    """Runs of one framework, version, device, label and settings."""

    id: str
    analyses: tuple[RunAnalysis, ...]
    """one per run, at least one"""
    epoch: EpochEstimate
    """of this subject's own epochs; over several runs, with an interval between processes"""
    any_epoch: tuple[EpochEstimate, ...]
    """per run, of epochs in general: the input of a comparison"""
    fence_effect: FenceEffect | None = None
    fenced: "Subject | None" = None
    """the same configuration, estimated from fenced steps; None if a run has none"""
    side: str = ""
    """A or B in a comparison of two named subjects"""
    shown_version: str = ""
    """the framework's version in the title, if it is shortened there; see `shorten_titles`"""

    @classmethod
    def from_analyses(cls, analyses: Sequence[RunAnalysis], id: str = "", side: str = "") -> "Subject":
        """The subject of one or more analysed runs; `id` defaults to that of the runs."""
        analyses = tuple(analyses)
        id = id or subject_id(analyses[0].run.manifest)
        fenced_modes = [a.fenced for a in analyses if a.fenced is not None]
        is_fenced = len(fenced_modes) == len(analyses)
        fenced = cls(id, analyses, *_epochs(fenced_modes), side=side) if is_fenced else None
        effect = measure_fence_effect(analyses)
        return cls(id, analyses, *_epochs([a.asrun for a in analyses]), effect, fenced, side)

    @classmethod
    def from_runs(cls, runs: Sequence[Run], id: str = "", side: str = "") -> "Subject":
        """Analyse one or more runs of one configuration. Raises UserError as `analyse_run` does.

        Also for a run whose interventions alternated.
        """
        check_no_alternation(runs)
        return cls.from_analyses([analyse_run(run) for run in runs], id, side)

    @property
    def is_eager(self) -> bool:
        """Whether its rounds found that fences do nothing, so that only the first has fenced steps."""
        return 0 < sum(analysis.fenced is not None for analysis in self.analyses) < len(self.analyses)

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs, in order."""
        return tuple(analysis.run for analysis in self.analyses)

    @property
    def first(self) -> Run:
        """The run whose conditions represent the subject's."""
        return self.analyses[0].run

    @property
    def manifest(self) -> Manifest:
        """The manifest of the first run."""
        return self.first.manifest

    @property
    def framework(self) -> FrameworkInfo:
        """The framework and device."""
        return self.first.manifest.framework

    @property
    def config(self) -> Config:
        """The settings, as requested."""
        return self.first.manifest.config

    @property
    def size(self) -> EpochSize:
        """What its figures are per."""
        return self.manifest.full_epoch

    @property
    def is_synthetic(self) -> bool:
        """Whether the images are synthetic."""
        return self.manifest.data.kind is DataKind.SYNTHETIC

    @property
    def is_custom(self) -> bool:
        """Whether it is a custom training loop, for which there are no drill-downs and no presets."""
        return self.manifest.data.kind is DataKind.CUSTOM

    @property
    def has_whole_epoch(self) -> bool:
        """Whether its first run trained and evaluated on every image for at least one epoch."""
        return bool(self.analyses[0].whole_epochs)

    @property
    def steady_steps(self) -> int:
        """Steady as-run steps of all runs together."""
        return sum(len(analysis.asrun.steady) for analysis in self.analyses)

    @property
    def flag_titles(self) -> list[str]:
        """The titles of all runs' flags, without duplicates."""
        return list(dict.fromkeys(title for analysis in self.analyses for title in analysis.flag_titles))

    @property
    def title(self) -> str:
        """The display name: name, version, device, settings, side."""
        side = f" [{self.side}]" if self.side else ""
        return f"{self._display(f' {self.shown_version or self.framework.exact_version}')}{side}"

    @property
    def lineage_title(self) -> str:
        """The display name without the version, shared by all versions."""
        return self._display("")

    def _display(self, version: str) -> str:
        settings = "".join(f", {name}" for name in active_settings(self.manifest))
        return printable(f"{self.config.label or self.framework.title}{version} ({self.framework.device}{settings})")


def group_runs(runs: Sequence[Run]) -> list[Subject]:
    """Group runs into subjects, in order of appearance. Raises UserError if they cannot be compared or analysed."""
    check_same_task(runs)
    by_id: dict[str, list[Run]] = {}
    for run in runs:
        by_id.setdefault(subject_id(run.manifest), []).append(run)
    return [Subject.from_runs(members, id) for id, members in by_id.items()]


def shorten_titles(subjects: Sequence[Subject]) -> list[Subject]:
    """The subjects with titles without build tags such as `+cu130`, except where only the tag distinguishes two."""
    versions: dict[str, set[str]] = {}
    for s in subjects:
        versions.setdefault(s.lineage_title, set()).add(s.framework.exact_version)
    short = {title: shorten_versions(of_title) for title, of_title in versions.items()}
    return [replace(s, shown_version=short[s.lineage_title][s.framework.exact_version]) for s in subjects]


def shorten_versions(versions: Set[str]) -> dict[str, str]:
    """Each version without its build tag (the local segment of PEP 440): `2.14.1` for `2.14.1+cu130`.

    The whole version if two of them differ only in the tag.
    """
    public = {version: version.partition("+")[0] for version in versions}
    uses = Counter(public.values())
    return {version: short if uses[short] == 1 else version for version, short in public.items()}


def _epochs(modes: Sequence[ModeAnalysis]) -> tuple[EpochEstimate, tuple[EpochEstimate, ...]]:
    """The mean of the processes' own epochs, and each process's estimate of epochs in general."""
    return _mean_epoch([m.own_epoch for m in modes]), tuple(m.any_epoch for m in modes)


def _mean_epoch(estimates: Sequence[EpochEstimate]) -> EpochEstimate:
    """The mean over processes. A phase that one of them did not measure is excluded from the sum.

    A custom loop's own phase takes no time in a process that did not mark it: its time is in other phases there.
    """
    if len(estimates) == 1:
        return estimates[0]
    named = in_order(phase for e in estimates for phase in e.phases)
    phases = {phase: _mean_phase(phase, [e.phases.get(phase) for e in estimates]) for phase in named}
    unknown = [phase for phase, part in phases.items() if part is None]
    total = mean_of_processes(e.without(unknown).total.value for e in estimates)
    return replace(estimates[0], phases=phases, total=total, measured=all(e.measured for e in estimates))


def _mean_phase(phase: Phase, values: Sequence[Estimate | None]) -> Estimate | None:
    known = [value.value for value in values if value is not None]
    if phase.is_own and known:
        known += [0.0] * (len(values) - len(known))
    return mean_of_processes(known) if len(known) == len(values) else None
