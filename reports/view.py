"""The view: everything that a report shows, computed once and before anything is drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from epoch_gap.profiler.comparison.accuracy import AccuracyComparison, compare_accuracy
from epoch_gap.profiler.comparison.fairness import Item, audit_fairness
from epoch_gap.profiler.comparison.gap import Gap, measure_chain, measure_gaps
from epoch_gap.profiler.comparison.identity import drilldown_key, watched_key
from epoch_gap.profiler.comparison.kernel_gap import measure_kernel_gap
from epoch_gap.profiler.comparison.spread_history import NOTHING_KNOWN, KnownSpread
from epoch_gap.profiler.comparison.subject import Subject, shorten_titles
from epoch_gap.profiler.drilldown.layers import Drilldown
from epoch_gap.profiler.drilldown.lines import LineTimes
from epoch_gap.profiler.drilldown.matching import Drilldowns, explains
from epoch_gap.profiler.drilldown.roofline import highest_rates
from epoch_gap.profiler.drilldown.stacks import Stacks
from epoch_gap.profiler.experiments.assessment import Assessment
from epoch_gap.profiler.learning.assessment import CrossAssessment
from epoch_gap.profiler.phases import Phase, in_order
from epoch_gap.profiler.storage.manifest import DEFAULT_NETWORK, EpochSize, Manifest
from epoch_gap.reports.article import ARTICLE, ArticleRun
from epoch_gap.reports.cross import Cross, view_cross
from epoch_gap.reports.experiments import Experiments, view_experiments
from epoch_gap.reports.export.summary import summarise
from epoch_gap.reports.sentences.accuracy import describe_accuracy
from epoch_gap.reports.sentences.cautions import list_cautions
from epoch_gap.reports.sentences.drilldown_findings import list_findings
from epoch_gap.reports.sentences.next_step import suggest_next_step
from epoch_gap.reports.sentences.operating_system import (
    describe_kernel_gap,
    describe_operating_system,
    predict_kept_memory,
)
from epoch_gap.reports.sentences.verdict import (
    describe_largest_phases,
    describe_noise_floor,
    describe_shifted_work,
    describe_verdict,
    head_largest_phases,
)
from epoch_gap.reports.sentences.warm_up import describe_compilation


@dataclass(frozen=True)
class SubjectDrilldowns:
    """The newest drill-downs under each subject's conditions, by subject id."""

    layers: Mapping[str, Drilldown] = field(default_factory=dict)
    operators: Mapping[str, Drilldown] = field(default_factory=dict)
    lines: Mapping[str, LineTimes] = field(default_factory=dict)
    stacks: Mapping[str, Stacks] = field(default_factory=dict)


@dataclass(frozen=True)
class View:
    """The content of a report. Subjects are sorted slowest first."""

    subjects: tuple[Subject, ...]
    gaps: tuple[Gap, ...]
    """every pair, the headline first"""
    chain: tuple[Gap, ...]
    """with three or more subjects: from each to the next faster one; they sum to the gap of the first and the last"""
    fairness: tuple[Item, ...]
    phases: tuple[Phase, ...]
    """the phases that took any time in any subject, in display order"""
    verdict: str
    further: tuple[str, ...]
    """the verdicts on the other pairs, if the allocator differs between subjects"""
    floor: str
    """the noise floor of the headline pair in words"""
    why_heading: str
    """the line above `why`"""
    why: tuple[str, ...]
    """the phases that make up most of the headline gap"""
    learning: AccuracyComparison | None
    """losses and test accuracies of the headline pair; None with one subject"""
    accuracy: tuple[str, ...]
    """the same in words; for one subject its own test accuracy"""
    findings: tuple[str, ...]
    """of the drill-downs, about the headline gap"""
    operating_system: tuple[str, ...]
    """the operating system's share of each side's step, and its part of the headline gap"""
    prediction: str | None
    """what keeping memory would be worth; None if it is kept, or nothing is known"""
    compilation: tuple[str, ...]
    """what the first step of each side took more because it compiled"""
    shifted_work: tuple[str, ...]
    """the work that is charged to another phase"""
    cautions: tuple[str, ...]
    next_step: str
    drilldowns: SubjectDrilldowns
    article: tuple[ArticleRun, ...]
    """the article's runs of the frameworks shown"""
    summary: dict[str, Any]
    experiments: Experiments
    cross: Cross | None
    """what makes the accuracies of two of the subjects differ; None: not tested"""

    def for_headline[T](self, values: Mapping[str, T]) -> tuple[T, T] | None:
        """The values, by subject id, of the slower and the faster subject; None unless both exist."""
        if not self.gaps:
            return None
        slow, fast = (values.get(s.id) for s in (self.gaps[0].slow, self.gaps[0].fast))
        return None if slow is None or fast is None else (slow, fast)

    @property
    def peak_rates(self) -> dict[str, float]:
        """The machine's peak rates: the best of all that were measured with the layers shown."""
        return highest_rates(d.peak_rates for d in self.drilldowns.layers.values())

    @property
    def size(self) -> EpochSize:
        """What all figures are per."""
        return self.subjects[0].size

    @property
    def is_synthetic(self) -> bool:
        """Whether the images were generated."""
        return self.subjects[0].is_synthetic

    @property
    def source(self) -> str:
        """The line below every picture: data, machine, day, runs."""
        manifests = [run.manifest for subject in self.subjects for run in subject.runs]
        machines = " and ".join(dict.fromkeys(m.environment.machine.description for m in manifests))
        days = ", ".join(dict.fromkeys(m.created[:10] for m in manifests))
        ids = ", ".join(run.short_id for subject in self.subjects for run in subject.runs)
        data = " and ".join(dict.fromkeys(_describe_data(m) for m in manifests))
        batch = manifests[0].config.batch_size
        task = ", ".join([data, *manifests[0].config.network.settings, f"batch {batch}"])
        return f"{task} | {machines} | {days} | runs {ids}"


def _describe_data(manifest: Manifest) -> str:
    """The data, and the part of it that was used if the run was told to train on less."""
    data = manifest.data
    part = f" ({data.train_images} training and {data.test_images} test images, balanced by class)"
    return data.title + (part if manifest.config.train_limit is not None else "")


def view_subjects(
    subjects: Sequence[Subject],
    drilldowns: Drilldowns | None = None,
    spread: KnownSpread = NOTHING_KNOWN,
    assessments: Sequence[Assessment] = (),
    crosses: Sequence[CrossAssessment] = (),
) -> View:
    """The view of subjects, at least one, whose runs can be compared.

    `assessments` are all sessions of experiments, and `crosses` those of schedule and initialisation, newest first.
    """
    subjects = tuple(sorted(shorten_titles(subjects), key=lambda s: -s.epoch.total.value))
    gaps = tuple(measure_gaps(subjects, spread))
    headline = (gaps[0].slow, gaps[0].fast) if gaps else subjects
    fairness = tuple(audit_fairness(subjects))
    distinct = _distinct_frameworks(subjects)
    matched = _match_drilldowns(distinct, drilldowns or Drilldowns())
    is_drillable = all(side in distinct for gap in gaps[:1] for side in (gap.slow, gap.fast))
    learning = compare_accuracy(gaps[0]) if gaps else None
    cross = view_cross(crosses, subjects)
    frameworks = dict.fromkeys(s.config.framework for s in subjects if _trains_the_articles_network(s))
    experiments = view_experiments(assessments, subjects, gaps, cross.answers if cross else ())
    return View(
        subjects=subjects,
        gaps=gaps,
        chain=_chain(subjects, gaps, spread),
        fairness=fairness,
        phases=_phases_shown(subjects),
        verdict=describe_verdict(subjects, gaps),
        further=_further_verdicts(subjects, gaps),
        floor=describe_noise_floor(spread.floor_of(*headline)),
        why_heading=head_largest_phases(gaps),
        why=describe_largest_phases(gaps),
        learning=learning,
        accuracy=describe_accuracy(subjects, learning),
        findings=tuple(list_findings(gaps, matched.layers, matched.operators, matched.lines)),
        operating_system=_operating_system(subjects, gaps),
        prediction=predict_kept_memory(subjects),
        compilation=tuple(line for line in map(describe_compilation, subjects) if line is not None),
        shifted_work=tuple(line for subject in subjects for line in describe_shifted_work(subject)),
        cautions=tuple(list_cautions(subjects, gaps, fairness)),
        next_step=suggest_next_step(
            subjects,
            gaps,
            has_layers=bool(matched.layers) or not (is_drillable and _can_time_layers(gaps)),
            has_stacks=bool(matched.stacks) or not is_drillable,
        ),
        drilldowns=matched,
        article=tuple(ARTICLE[name] for name in frameworks if name in ARTICLE),
        summary=summarise(subjects, gaps, fairness, experiments, cross),
        experiments=experiments,
        cross=cross,
    )


def _can_time_layers(gaps: Sequence[Gap]) -> bool:
    """Whether the adapters of the headline pair can; those of older runs can."""
    sides = [side for gap in gaps[:1] for side in (gap.slow, gap.fast)]
    return all(side.framework.conditions.get("layer_timings", True) for side in sides)


def _trains_the_articles_network(subject: Subject) -> bool:
    return not subject.is_custom and subject.config.network == DEFAULT_NETWORK


def _further_verdicts(subjects: Sequence[Subject], gaps: Sequence[Gap]) -> tuple[str, ...]:
    if len({subject.manifest.keeps_memory for subject in subjects}) == 1:
        return ()
    return tuple(describe_verdict(subjects, [gap]) for gap in gaps[1:])


def _operating_system(subjects: Sequence[Subject], gaps: Sequence[Gap]) -> tuple[str, ...]:
    lines = [describe_operating_system(subject) for subject in subjects]
    lines += [describe_kernel_gap(gap, measure_kernel_gap(gap)) for gap in gaps[:1]]
    return tuple(line for line in lines if line is not None)


def _chain(subjects: Sequence[Subject], gaps: Sequence[Gap], spread: KnownSpread) -> tuple[Gap, ...]:
    """The chain through the subjects that have the allocator of the headline, if there are at least three."""
    if not gaps:
        return ()
    links = [s for s in subjects if s.manifest.keeps_memory == gaps[0].slow.manifest.keeps_memory]
    return tuple(measure_chain(links, spread)) if len(links) > 2 else ()


def _distinct_frameworks(subjects: Sequence[Subject]) -> list[Subject]:
    """The subjects that no other subject could share a drill-down with."""
    keys = [watched_key(s.manifest) for s in subjects]
    return [s for s, key in zip(subjects, keys, strict=True) if keys.count(key) == 1]


def _match_drilldowns(subjects: Sequence[Subject], stored: Drilldowns) -> SubjectDrilldowns:
    return SubjectDrilldowns(
        layers={**_first_matches(subjects, stored.layers), **stored.layers_of},
        operators={**_first_matches(subjects, stored.operators), **stored.operators_of},
        lines=_matches_by_key(subjects, stored.lines),
        stacks=_matches_by_key(subjects, stored.stacks),
    )


def _first_matches(subjects: Sequence[Subject], stored: Sequence[Drilldown]) -> dict[str, Drilldown]:
    """By subject id, the first drill-down under its conditions; none for a compiled step, which hides its layers."""
    matches = {}
    for subject in subjects:
        match = next((d for d in stored if explains(d.conditions, subject.manifest)), None)
        if match is not None and not subject.config.compile:
            matches[subject.id] = match
    return matches


def _matches_by_key[T: (LineTimes, Stacks)](subjects: Sequence[Subject], stored: Mapping[str, T]) -> dict[str, T]:
    """By subject id, the drill-down of its framework and device, if it was made under the subject's conditions."""
    matches = {}
    for subject in subjects:
        drilldown = stored.get(drilldown_key(subject.manifest))
        if drilldown is not None and explains(drilldown.conditions, subject.manifest):
            matches[subject.id] = drilldown
    return matches


def _phases_shown(subjects: Sequence[Subject]) -> tuple[Phase, ...]:
    """The phases that took any time, and `flush` for lazy devices even if its time is unknown."""
    is_lazy = any(Phase.FLUSH in s.framework.phases for s in subjects)
    return tuple(
        phase
        for phase in in_order(phase for s in subjects for phase in s.epoch.phases)
        if any(s.epoch.phases.get(phase) is not None for s in subjects) or (phase is Phase.FLUSH and is_lazy)
    )
