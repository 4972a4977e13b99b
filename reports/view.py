"""From stored runs to everything that a report says, computed once and before anything is drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from profiler import attribution
from profiler.compare import EQUAL_WITHIN, Gap, chain, gaps
from profiler.drilldown.found import Found, contender
from profiler.drilldown.layers import Drilldown
from profiler.drilldown.stacks import Stacks
from profiler.estimate import steady_steps
from profiler.fairness import Item, audit, machine, other_machines
from profiler.noise import Floor, Floors, applying
from profiler.phases import Phase
from profiler.run import Run
from profiler.stability import Flag, flags
from profiler.stats import Estimate
from profiler.subject import Subject, group
from profiler.summary import summarise
from reports import theme
from reports.article import ARTICLE, ArticleRun

OTHER_FLAG = 0.02
"""a larger share of `other` means that the marks miss something"""
TOP = 3
DEFAULT_BATCH = 128
ARTICLE_EPOCHS = 20


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
    moved: tuple[str, ...]
    """what the fenced ledger shows besides"""
    cautions: tuple[str, ...]
    next: str
    layers: dict[str, Drilldown]
    operators: dict[str, Drilldown]
    lines: dict[str, Mapping[str, Any]]
    stacks: dict[str, Stacks]
    """the newest drill-downs of each subject's kind, by subject id, where there are any"""
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
    def synthetic(self) -> bool:
        """Whether the images were made up."""
        return _synthetic(self.subjects)

    @property
    def source(self) -> str:
        """The line under every picture: data, machine, day, runs."""
        runs = [run for subject in self.subjects for run in subject.runs]
        data = "SYNTHETIC DATA" if self.synthetic else "CIFAR-10"
        machines = " and ".join(dict.fromkeys(machine(run) for run in runs))
        days = ", ".join(dict.fromkeys(run.manifest["created"][:10] for run in runs))
        ids = ", ".join(short_id(run) for run in runs)
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
    return View(
        subjects=subjects,
        gaps=pairs,
        chain=tuple(chain(subjects, floor.share if floor else None)) if len(subjects) > 2 else (),
        fairness=fairness,
        phases=_phases_shown(subjects),
        verdict=_verdict(subjects, pairs),
        floor=noise_floor(floor),
        flags=flagged,
        why=_why(pairs),
        moved=tuple(line for subject in subjects for line in _moved(subject)),
        cautions=tuple(_cautions(subjects, pairs, fairness, flagged)),
        next=_next(subjects, pairs),
        layers={s.id: d for s in subjects if (d := _drilldown(s, found.layers)) is not None},
        operators={s.id: d for s in subjects if (d := _drilldown(s, found.operators)) is not None},
        lines={s.id: found.lines[key] for s in subjects if (key := _contender(s)) in found.lines},
        stacks={s.id: found.stacks[key] for s in subjects if (key := _contender(s)) in found.stacks},
        article=tuple(
            ARTICLE[name] for name in dict.fromkeys(s.first.framework for s in subjects) if name in ARTICLE
        ),
        summary=summarise(subjects, pairs, fairness),
    )


def _contender(subject: Subject) -> str:
    return contender(subject.first.framework, str(subject.first.manifest["framework"]["device"]))


def _drilldown(subject: Subject, drilldowns: Sequence[Drilldown]) -> Drilldown | None:
    """The first of `drilldowns` with the subject's framework, version, device, batch size and kind of data."""
    manifest = subject.first.manifest
    wanted = {key: manifest["framework"][key] for key in ("name", "version", "device")}
    for d in drilldowns:
        framework = {key: d.conditions["framework"][key] for key in wanted}
        alike = d.conditions["batch_size"] == subject.first.batch_size
        if framework == wanted and alike and d.conditions["data"]["kind"] == manifest["data"]["kind"]:
            return d
    return None


def _synthetic(subjects: Sequence[Subject]) -> bool:
    return bool(subjects[0].first.manifest["data"]["kind"] == "synthetic")


def short_id(run: Run) -> str:
    """The random end of a run's id."""
    return run.id.rpartition("-")[2]


def accuracy_is_comparable(subjects: Sequence[Subject]) -> bool:
    """Whether every subject trained on all images for at least one epoch."""
    return all(s.epoch.measured for s in subjects)


def _phases_shown(subjects: Sequence[Subject]) -> tuple[Phase, ...]:
    """Those that took any time; and what lazy devices have left undone even where that is not known."""
    parts = {phase: [s.epoch.phases[phase] for s in subjects] for phase in Phase}
    lazy = any(Phase.FLUSH in s.first.manifest["framework"]["phases"] for s in subjects)
    return tuple(
        phase for phase in Phase if any(part is not None for part in parts[phase]) or (phase is Phase.FLUSH and lazy)
    )


def _verdict(subjects: Sequence[Subject], pairs: Sequence[Gap]) -> str:
    if not pairs:
        only = subjects[0]
        seconds = theme.interval(only.epoch.total.interval(least=0.0))
        return f"{only.title} takes {seconds} per epoch, {how_known(only)}{_on(subjects)}."
    gap = pairs[0]
    slow, fast = theme.seconds(gap.fast_seconds + gap.seconds.value), theme.seconds(gap.fast_seconds)
    what = f"per epoch{_without_evaluate((gap.slow, gap.fast))}"
    sides = f"{gap.slow.title} takes {slow} {what}{_on(subjects)}, {gap.fast.title} {fast}"
    known = _known((gap.slow, gap.fast))
    ratio = f"{theme.times(gap.ratio.value)} times as long, 95 % {theme.within(gap.ratio.low, gap.ratio.high, 'x')}"
    kind = gap.kind
    words = {
        "slower": f"{sides}: {ratio} ({kind}; {known}).",
        "equal": f"{sides}: equal within {EQUAL_WITHIN:.0%} ({ratio}, {kind}; {known}).",
        "undecided": f"{sides}: undecided{_below_floor(gap)} ({ratio}, {kind}; {known}).",
    }
    return words[gap.verdict]


def _below_floor(gap: Gap) -> str:
    return f", less than this machine's noise floor of {theme.percent(gap.floor)}" if gap.below_floor else ""


def _known(subjects: Sequence[Subject]) -> str:
    """How the epochs are known: from how many timed steps."""
    if all(s.epoch.measured for s in subjects):
        return "measured"
    steps = " and ".join(str(sum(len(steady_steps(run)) for run in s.runs)) for s in subjects)
    return f"from {steps} steps of {subjects[0].first.batch_size} images"


def how_known(subject: Subject) -> str:
    """`measured` or `estimated`, and what is missing from it."""
    return f"{'measured' if subject.epoch.measured else 'estimated'}{_without_evaluate([subject])}"


def _without_evaluate(subjects: Sequence[Subject]) -> str:
    missing = any(s.epoch.phases[Phase.EVALUATE] is None for s in subjects)
    return " without evaluate" if missing else ""


def _on(subjects: Sequence[Subject]) -> str:
    return " on synthetic data" if _synthetic(subjects) else ""


def _why(pairs: Sequence[Gap]) -> tuple[str, ...]:
    if not pairs:
        return ()
    gap = pairs[0]
    return tuple(
        f"{phase}: {theme.interval(part.interval())}{_of_the_gap(gap, part.value)}" for phase, part in largest(gap)
    )


def largest(gap: Gap) -> list[tuple[Phase, Estimate]]:
    """The phases that the gap is mostly made of, at most three, the largest first."""
    return sorted(gap.by_phase.items(), key=lambda item: -abs(item[1].value))[:TOP]


def _of_the_gap(gap: Gap, seconds: float) -> str:
    """A share is only said of a gap that is one."""
    return f", {theme.percent(seconds / gap.seconds.value)} of the gap" if gap.verdict == "slower" else ""


def _moved(subject: Subject) -> list[str]:
    """Whose work was charged to whom, in words."""
    shift = attribution.perturbation(subject)
    if shift is None:
        return []
    cost = f"fences make a step {theme.times(shift.value)} times as long ({theme.within(shift.low, shift.high, 'x')})"
    found = attribution.moves(subject)
    if not found:
        return [f"{subject.title}: work is done where it is charged; {cost}."]
    moves = "; ".join(
        f"{m.worker} \N{RIGHTWARDS ARROW} {m.payer}: {theme.seconds(m.seconds)} per step" for m in found
    )
    return [f"{subject.title}: work of one phase is charged to another: {moves}; {cost}."]


def noise_floor(floor: Floor | None) -> str:
    """A noise floor in words, and where it comes from."""
    if floor is None:
        return "This machine's noise floor is not known; `make noise` measures it."
    return (
        f"This machine's noise floor is \N{PLUS-MINUS SIGN}{theme.percent(floor.share)}: {floor.framework} "
        f"({floor.device}) against itself, {floor.processes} processes, {floor.day}, ratio "
        f"{theme.times(floor.ratio)}, {floor.verdict}. Smaller effects are not claimed."
    )


def flag_names(view: View, subject: Subject) -> list[str]:
    """The names of a subject's flags, each once."""
    return list(dict.fromkeys(flag.name for found in view.flags[subject.id].values() for flag in found))


def _cautions(
    subjects: Sequence[Subject],
    pairs: Sequence[Gap],
    fairness: Sequence[Item],
    flagged: dict[str, dict[str, list[Flag]]],
) -> list[str]:
    notes = []
    if _synthetic(subjects):
        notes.append("The images are synthetic: times are comparable, losses and accuracies say nothing of CIFAR-10.")
    if machines := other_machines({s.title: s for s in subjects}):
        notes.append(f"{machines}.")
    for subject in subjects:
        notes += [
            f"{subject.title}: run {short_id(r)} is {r.status}." for r in subject.runs if r.status != "complete"
        ]
        notes += [
            f"{subject.title}{f', run {short_id(run)}' * (len(subject.runs) > 1)}: {flag.name}: {flag.text}."
            for run in subject.runs
            for flag in flagged[subject.id][run.id]
        ]
        notes += _other_note(subject)
        notes += _fence_note(subject)
        notes += [f"{subject.title}: {text}" for run in subject.runs for kind, text in run.events if kind != "data"]
    notes += [
        f"{phase} is left out of the gap: not measured wherever there is one."
        for g in pairs[:1]
        for phase in g.left_out
    ]
    if pairs and not pairs[0].between_processes:
        notes.append("Not repeated on both sides: the interval does not know how one process differs from the next.")
    if len({s.epoch.measured for s in subjects}) > 1:
        notes.append("One epoch is measured, with its warm-up, and one estimated, without: a small bias in the gap.")
    differing = [item.name for item in fairness if item.differs and item.matters in ("time", "both")]
    if differing:
        notes.append(f"The two sides differ in what can move time: {', '.join(differing)}. See the fairness list.")
    return notes


def _fence_note(subject: Subject) -> list[str]:
    shift = attribution.perturbation(subject)
    if shift is None or attribution.is_harmless(shift):
        return []
    factor = f"{theme.times(shift.value)} ({theme.within(shift.low, shift.high, 'x')})"
    text = f"fences change its steps by a factor of {factor}: its hatched bar shows fenced steps only."
    return [f"{subject.title}: {text}"]


def _other_note(subject: Subject) -> list[str]:
    other = subject.epoch.phases[Phase.OTHER]
    share = other.value / subject.epoch.total.value if other else 0.0
    return [f"{subject.title}: {theme.percent(share)} of the time is in no phase."] if share > OTHER_FLAG else []


def _settings(subject: Subject) -> list[tuple[str, object]]:
    """What another run must be given to be comparable, as `make` takes it."""
    size = subject.first.batch_size
    return [("BATCH", size)] if size != DEFAULT_BATCH else []


def _next(subjects: Sequence[Subject], pairs: Sequence[Gap]) -> str:
    if not pairs:
        same = "".join(f" {name}={value}" for name, value in _settings(subjects[0]))
        return f"make profile-torch, profile-lucid or profile-mlx{same}, for another framework beside this one."
    if not pairs[0].between_processes:
        return "the same again with REPEATS=3, for an interval between processes."
    if not accuracy_is_comparable(subjects):
        return "make profile PRESET=epoch, for whole epochs and a comparison of accuracy."
    if min(len(s.first.epochs) for s in subjects) < ARTICLE_EPOCHS:
        return "make profile PRESET=article, for the article's 20 epochs."
    return "python -m profiler show RUN, for the conditions of one run."
