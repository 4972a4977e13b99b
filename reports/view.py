"""From stored runs to everything that a report says, computed once and before anything is drawn."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from epoch_gap.profiler.analysis.flags import Flag, flags
from epoch_gap.profiler.comparison.fairness import Item, audit, machine
from epoch_gap.profiler.comparison.gap import Gap, chain, gaps
from epoch_gap.profiler.comparison.noise_floor import Floors, applying
from epoch_gap.profiler.comparison.subject import Subject, group
from epoch_gap.profiler.drilldown.layers import Drilldown
from epoch_gap.profiler.drilldown.lines import conditions as lines_conditions
from epoch_gap.profiler.drilldown.matching import Found, contender, explains
from epoch_gap.profiler.drilldown.roofline import best
from epoch_gap.profiler.drilldown.stacks import Stacks
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports.article import ARTICLE, ArticleRun
from epoch_gap.reports.export.summary import summarise
from epoch_gap.reports.sentences import verdict as words


@dataclass(frozen=True)
class View:
    """What a report shows. Subjects slowest first."""

    subjects: tuple[Subject, ...]
    gaps: tuple[Gap, ...]
    chain: tuple[Gap, ...]
    """with three subjects or more: from each to the next faster one, summing to the gap of the first and the last"""
    fairness: tuple[Item, ...]
    phases: tuple[Phase, ...]
    """those that took any time in any subject, in display order"""
    verdict: str
    floor: str
    """the smallest effect that this machine lets one claim, in words"""
    flags: dict[str, dict[str, list[Flag]]]
    """what may have moved times, by subject id and run id"""
    why: tuple[str, ...]
    deeper: tuple[str, ...]
    """what the drill-downs say of the gap: operators, layer, line"""
    moved: tuple[str, ...]
    """what the fenced ledger shows besides"""
    cautions: tuple[str, ...]
    next: str
    layers: dict[str, Drilldown]
    operators: dict[str, Drilldown]
    lines: dict[str, Mapping[str, Any]]
    stacks: dict[str, Stacks]
    """the newest drill-downs under each subject's conditions, by subject id, where there are any"""
    article: tuple[ArticleRun, ...]
    """the article's runs of the frameworks shown"""
    summary: dict[str, Any]

    def of_headline[T](self, found: Mapping[str, T]) -> tuple[T, T] | None:
        """The slower's and the faster's of what is known by subject id; None unless it is known of both."""
        if not self.gaps:
            return None
        slow, fast = (found.get(s.id) for s in (self.gaps[0].slow, self.gaps[0].fast))
        return None if slow is None or fast is None else (slow, fast)

    @property
    def ceilings(self) -> dict[str, float]:
        """The machine's, one set for every layer shown: the best of all that were measured beside layers."""
        return best(d.ceilings for d in self.layers.values())

    def flag_names(self, subject: Subject) -> list[str]:
        """The names of a subject's flags, each once."""
        return list(dict.fromkeys(flag.name for found in self.flags[subject.id].values() for flag in found))

    @property
    def synthetic(self) -> bool:
        """Whether the images were made up."""
        return words.is_synthetic(self.subjects)

    @property
    def source(self) -> str:
        """The line under every picture: data, machine, day, runs."""
        runs = [run for subject in self.subjects for run in subject.runs]
        stored = runs[0].manifest["data"]
        data = words.DATA.get(stored["kind"], stored["source"])
        machines = " and ".join(dict.fromkeys(machine(run) for run in runs))
        days = ", ".join(dict.fromkeys(run.manifest["created"][:10] for run in runs))
        ids = ", ".join(words.short_id(run) for run in runs)
        return f"{data}, batch {runs[0].batch_size} | {machines} | {days} | runs {ids}"


def build(
    runs: Sequence[Run],
    floors: Floors | None = None,
    found: Found | None = None,
) -> View:
    """Analyse runs, with the noise floors and the drill-downs (the newest first) that are known.

    Raises UserError where the runs cannot be compared or hold no full step.
    """
    return of_subjects(group(runs), floors, found)


def of_subjects(
    subjects: Sequence[Subject],
    floors: Floors | None = None,
    found: Found | None = None,
) -> View:
    """The same for subjects, at least one, whose runs can be compared."""
    subjects = tuple(sorted(subjects, key=lambda s: -s.epoch.total.value))
    found = found or Found()
    floor = applying(floors or {}, [run for s in subjects for run in s.runs])
    pairs = tuple(gaps(subjects, floor.share if floor else None))
    flagged = {s.id: {run.id: flags(run) for run in s.runs} for s in subjects}
    fairness = tuple(audit(subjects))
    alone = _told_apart(subjects)
    layers, operators = (_drilldowns(alone, newest) for newest in (found.layers, found.operators))
    lines = _of_contenders(alone, found.lines, lines_conditions)
    stacks = _of_contenders(alone, found.stacks, lambda sampled: sampled.conditions)
    drillable = all(side in alone for g in pairs[:1] for side in (g.slow, g.fast))
    return View(
        subjects=subjects,
        gaps=pairs,
        chain=tuple(chain(subjects, floor.share if floor else None)) if len(subjects) > 2 else (),
        fairness=fairness,
        phases=_phases_shown(subjects),
        verdict=words.verdict(subjects, pairs),
        floor=words.noise_floor(floor),
        flags=flagged,
        why=words.why(pairs),
        deeper=tuple(words.deeper(pairs, layers, operators, lines)),
        moved=tuple(line for subject in subjects for line in words.moved(subject)),
        cautions=tuple(words.cautions(subjects, pairs, fairness, flagged)),
        next=words.following(subjects, pairs, flagged, bool(layers) or not drillable, bool(stacks) or not drillable),
        layers=layers,
        operators=operators,
        lines=lines,
        stacks=stacks,
        article=tuple(
            ARTICLE[name]
            for name in dict.fromkeys(s.first.framework for s in subjects if not words.is_own([s]))
            if name in ARTICLE
        ),
        summary=summarise(subjects, pairs, fairness),
    )


def _told_apart(subjects: Sequence[Subject]) -> list[Subject]:
    """Those whose framework, version and device no other has: a drill-down knows neither labels nor settings."""
    frameworks = [s.first.manifest["framework"] for s in subjects]
    keys = [(f["name"], f["version"], f["device"]) for f in frameworks]
    return [s for s, key in zip(subjects, keys, strict=True) if keys.count(key) == 1]


def _of_contenders[T](
    subjects: Sequence[Subject], newest: Mapping[str, T], conditions: Callable[[T], Mapping[str, Any]]
) -> dict[str, T]:
    """What is known by framework and device, by subject id, where it was made under the subject's conditions."""
    found = {}
    for s in subjects:
        known = newest.get(contender(s.first.framework, str(s.first.manifest["framework"]["device"])))
        if known is not None and explains(conditions(known), s.first):
            found[s.id] = known
    return found


def _drilldowns(subjects: Sequence[Subject], newest: Sequence[Drilldown]) -> dict[str, Drilldown]:
    return {s.id: found for s in subjects if (found := _drilldown(s, newest)) is not None}


def _drilldown(subject: Subject, drilldowns: Sequence[Drilldown]) -> Drilldown | None:
    """The first of `drilldowns` with the subject's framework, version, device, batch size and kind of data.

    None for a compiled step: it has no layers that could be watched.
    """
    if subject.first.manifest["config"].get("compile"):
        return None
    return next((d for d in drilldowns if explains(d.conditions, subject.first)), None)


def _phases_shown(subjects: Sequence[Subject]) -> tuple[Phase, ...]:
    """Those that took any time; and what lazy devices have left undone even where that is not known."""
    parts = {phase: [s.epoch.phases[phase] for s in subjects] for phase in Phase}
    lazy = any(Phase.FLUSH in s.first.manifest["framework"]["phases"] for s in subjects)
    return tuple(
        phase for phase in Phase if any(part is not None for part in parts[phase]) or (phase is Phase.FLUSH and lazy)
    )
