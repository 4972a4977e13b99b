"""Cautions: everything that limits the conclusions of a report.

The titles and texts of flags are in `profiler/analysis/flags.py`, because summary.json has them too.
"""

from collections.abc import Iterator, Mapping, Sequence

from epoch_gap.profiler.analysis.flags import Flag, FlagKind
from epoch_gap.profiler.comparison.fairness import Affects, Item
from epoch_gap.profiler.comparison.gap import Gap, IntervalScope
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.manifest import RunStatus
from epoch_gap.reports import formats
from epoch_gap.reports.sentences.operating_system import caution_operating_system

OTHER_LIMIT = 0.02
"""a larger share of `other` means that marks are missing"""


def list_cautions(subjects: Sequence[Subject], gaps: Sequence[Gap], fairness: Sequence[Item]) -> list[str]:
    """The cautions of a report, a sentence each."""
    return [
        *_synthetic_images(subjects),
        *(f"{subject.title}: {text}" for subject in subjects for text in _of_subject(subject)),
        *_machines(subjects),
        *_headline_gap(gaps[:1]),
        *_unlike_estimates(subjects),
        *_differing_conditions(fairness),
    ]


def _synthetic_images(subjects: Sequence[Subject]) -> Iterator[str]:
    if subjects[0].is_synthetic:
        yield "The images are synthetic: times are comparable; losses and accuracies do not apply to CIFAR-10."


def _of_subject(subject: Subject) -> Iterator[str]:
    for run in subject.runs:
        if run.status is not RunStatus.COMPLETE:
            yield f"run {run.short_id} is {run.status}."
    yield from _flags(subject)
    if text := caution_operating_system(subject):
        yield text
    yield from _time_in_no_phase(subject)
    yield from _harmful_fences(subject)
    for run in subject.runs:
        yield from (text for kind, text in run.events if kind != "data")


def _flags(subject: Subject) -> Iterator[str]:
    """One sentence per kind: the flag of the first run that has it, and how many others do."""
    by_kind: dict[FlagKind, list[tuple[str, Flag]]] = {}
    for analysis in subject.analyses:
        for flag in analysis.flags:
            by_kind.setdefault(flag.kind, []).append((analysis.run.short_id, flag))
    for (run, flag), *others in by_kind.values():
        which = f"run {run}: " if len(subject.analyses) > 1 else ""
        also = f"; also run{'s' if len(others) > 1 else ''} {', '.join(name for name, _ in others)}" if others else ""
        yield f"{which}{_describe_flag(flag)}{also}."


def _describe_flag(flag: Flag) -> str:
    """The flag's text after its title, which the text of `NO_STEADY_STATE` already starts with."""
    return flag.text if flag.kind is FlagKind.NO_STEADY_STATE else f"{flag.kind}: {flag.text}"


def _time_in_no_phase(subject: Subject) -> Iterator[str]:
    other = subject.epoch.phases[Phase.OTHER]
    share = other.value / subject.epoch.total.value if other else 0.0
    if share > OTHER_LIMIT:
        yield f"{formats.percent(share)} of the time is charged to `other`, not to a named phase."


def _harmful_fences(subject: Subject) -> Iterator[str]:
    effect = subject.fence_effect
    if effect is not None and not effect.is_harmless:
        shift = effect.perturbation
        factor = f"{formats.times(shift.value)} ({formats.within(shift.low, shift.high, 'x')})"
        yield f"fences change its step time by a factor of {factor}: its hatched bar shows fenced steps only."


def _machines(subjects: Sequence[Subject]) -> Iterator[str]:
    if text := describe_machines({s.title: s for s in subjects}):
        yield f"{text}."


def describe_machines(subjects: Mapping[str, Subject]) -> str | None:
    """A sentence about subjects, by display name, that ran on different machines; None for a single machine."""
    machines = {
        name: list(dict.fromkeys(run.manifest.environment.machine.description for run in subject.runs))
        for name, subject in subjects.items()
    }
    if len({machine for used in machines.values() for machine in used}) == 1:
        return None
    places = "; ".join(f"{name} on {' and '.join(used)}" for name, used in machines.items())
    return f"{' and '.join(machines)} ran on different machines: {places}; the difference may be due to the machines"


def _headline_gap(headline: Sequence[Gap]) -> Iterator[str]:
    for gap in headline:
        yield from (f"{phase} is excluded from the gap: one side did not measure it." for phase in gap.excluded)
        if gap.scope in (IntervalScope.WITHIN_PROCESSES, IntervalScope.WIDENED):
            yield "One process per side: the intervals of the phases exclude process-to-process variation."
        elif gap.scope is IntervalScope.ONE_SIDE_REPEATED:
            yield "Only one side was repeated: the interval excludes process-to-process variation of the other."


def _unlike_estimates(subjects: Sequence[Subject]) -> Iterator[str]:
    if len({s.epoch.measured for s in subjects}) > 1:
        yield "One epoch is measured with its warm-up, the other is estimated without it: the gap has a small bias."


def _differing_conditions(fairness: Sequence[Item]) -> Iterator[str]:
    names = [item.name for item in fairness if item.differs and item.affects is not Affects.ACCURACY]
    if names:
        yield f"Conditions that differ and can affect the time: {', '.join(names)}. They are listed below the gap."
