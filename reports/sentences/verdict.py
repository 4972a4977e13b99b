"""What a report says in sentences."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from epoch_gap.profiler.analysis.epoch import steady_steps, whole_epochs
from epoch_gap.profiler.analysis.flags import Flag
from epoch_gap.profiler.analysis.stats import Estimate, Interval
from epoch_gap.profiler.comparison import attribution
from epoch_gap.profiler.comparison.fairness import Item, other_machines
from epoch_gap.profiler.comparison.gap import EQUAL_WITHIN, Gap
from epoch_gap.profiler.comparison.noise_floor import Floor
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.drilldown import lines as line_times
from epoch_gap.profiler.drilldown.layers import Drilldown, differences, family_differences
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports import theme

OTHER_FLAG = 0.02
"""a larger share of `other` means that the marks miss something"""
TOP = 3
DEFAULT_BATCH = 128
ARTICLE_EPOCHS = 20
DATA = {"synthetic": "SYNTHETIC DATA", "cifar10": "CIFAR-10"}
"""by kind; data of a loop of one's own goes by the name that it gave"""


def is_synthetic(subjects: Sequence[Subject]) -> bool:
    """Whether the images were made up."""
    return bool(subjects[0].first.manifest["data"]["kind"] == "synthetic")


def is_own(subjects: Sequence[Subject]) -> bool:
    """Whether they are loops of one's own, of which the built-in workload's drill-downs and advice know nothing."""
    return any(s.first.manifest["data"]["kind"] == "own" for s in subjects)


def short_id(run: Run) -> str:
    """The random end of a run's id."""
    return run.id.rpartition("-")[2]


def accuracy_is_comparable(subjects: Sequence[Subject]) -> bool:
    """Whether every subject trained and evaluated on all images for at least one epoch."""
    return all(whole_epochs(s.first) for s in subjects)


def verdict(subjects: Sequence[Subject], pairs: Sequence[Gap]) -> str:
    """Who takes how long, and how many times as long, with the interval."""
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
    return " on synthetic data" if is_synthetic(subjects) else ""


def why(pairs: Sequence[Gap]) -> tuple[str, ...]:
    """The phases that the headline gap is mostly made of."""
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
    share = gap.share(seconds)
    return "" if share is None else f", {theme.percent(share)} of the gap"


def moved(subject: Subject) -> list[str]:
    """Whose work was charged to whom, in words."""
    shift = attribution.perturbation(subject)
    if shift is None:
        return []
    cost = fence_cost(shift)
    found = attribution.moves(subject)
    if not found:
        return [f"{subject.title}: work is done where it is charged; {cost}."]
    moves = "; ".join(
        f"{m.worker} \N{RIGHTWARDS ARROW} {m.payer}: {theme.seconds(m.seconds)} per step" for m in found
    )
    return [f"{subject.title}: work of one phase is charged to another: {moves}; {cost}."]


def fence_cost(shift: Interval) -> str:
    """What fences do to a step, in words."""
    return f"fences make a step {theme.times(shift.value)} times as long ({theme.within(shift.low, shift.high, 'x')})"


def noise_floor(floor: Floor | None) -> str:
    """A noise floor in words, and where it comes from."""
    if floor is None:
        return "This machine's noise floor is not known; `make noise` measures it."
    return (
        f"This machine's noise floor is \N{PLUS-MINUS SIGN}{theme.percent(floor.share)}: {floor.framework} "
        f"({floor.device}) against itself, {floor.processes} processes, {floor.day}, ratio "
        f"{theme.times(floor.ratio)}, {floor.verdict}. Smaller effects are not claimed."
    )


def cautions(
    subjects: Sequence[Subject],
    pairs: Sequence[Gap],
    fairness: Sequence[Item],
    flagged: Mapping[str, Mapping[str, Sequence[Flag]]],
) -> list[str]:
    """What a reader should be careful about."""
    notes = []
    if is_synthetic(subjects):
        notes.append("The images are synthetic: times are comparable, losses and accuracies say nothing of CIFAR-10.")
    for subject in subjects:
        notes += [
            f"{subject.title}: run {short_id(r)} is {r.status}." for r in subject.runs if r.status != "complete"
        ]
        notes += [
            f"{subject.title}{f', run {short_id(run)}' * (len(subject.runs) > 1)}: {_once(flag)}."
            for run in subject.runs
            for flag in flagged[subject.id][run.id]
        ]
        notes += _other_note(subject)
        notes += _fence_note(subject)
        notes += [f"{subject.title}: {text}" for run in subject.runs for kind, text in run.events if kind != "data"]
    if machines := other_machines({s.title: s for s in subjects}):
        notes.append(f"{machines}.")
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
        notes.append(
            f"The two sides differ in what can move time: {', '.join(differing)}. They are listed beside the gap."
        )
    return notes


def _once(flag: Flag) -> str:
    return flag.text if flag.text.startswith(flag.name) else f"{flag.name}: {flag.text}"


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


ADVICE = {
    "kernels forced": "unset the environment variables that choose kernels, and run the same again.",
    "other runs": "run the same again with no other timed run beside it.",
    "machine busy": "run the same again when nothing else uses the machine.",
    "throttled": "run the same again where no CPU limit stops it.",
    "no steady state": "the same again with more STEPS=, until the steps are steady.",
}
"""what to do about a flag, the most harmful first"""
OWN_ADVICE = {**ADVICE, "no steady state": "the same again with more steps in the loop, until they are steady."}


def following(
    subjects: Sequence[Subject],
    pairs: Sequence[Gap],
    flagged: Mapping[str, Mapping[str, Sequence[Flag]]],
    layers_known: bool,
    stacks_known: bool,
) -> str:
    """The one thing to do next: the caveat to mend first, then where to look, then what would make it surer."""
    if is_own(subjects):
        return _following_own(subjects, pairs, flagged)
    same = "".join(f" {name}={value}" for name, value in _settings(subjects[0]))
    if not pairs:
        return f"make profile-torch, profile-lucid or profile-mlx{same}, for another framework beside this one."
    if advice := _mending(ADVICE, flagged):
        return advice
    headline = pairs[0]
    both = " ".join(s.first.framework for s in (headline.fast, headline.slow))
    if headline.verdict == "slower" and not layers_known:
        return f'make layers FRAMEWORKS="{both}"{same}, for the layers and operators that carry the gap.'
    if headline.verdict == "slower" and not stacks_known:
        slow = headline.slow.first.framework
        return f"make flame-{slow} lines-{slow}{same}, for the stacks and lines of the slower side."
    if not headline.between_processes:
        return "the same again with REPEATS=3, for an interval between processes."
    if not accuracy_is_comparable(subjects):
        return "make profile PRESET=epoch, for whole epochs and a comparison of accuracy."
    if min(len(s.first.epochs) for s in subjects) < ARTICLE_EPOCHS:
        return "make profile PRESET=article, for the article's 20 epochs."
    return "python -m profiler show RUN, for the conditions of one run."


def _following_own(
    subjects: Sequence[Subject], pairs: Sequence[Gap], flagged: Mapping[str, Mapping[str, Sequence[Flag]]]
) -> str:
    """The same for loops of one's own: there is neither a preset nor a drill-down of them."""
    if not pairs:
        return "record another loop with the same batch_size and data, to stand beside this one."
    if advice := _mending(OWN_ADVICE, flagged):
        return advice
    if not pairs[0].between_processes:
        return "record both loops again, in turn, and report all runs, for an interval between processes."
    if not accuracy_is_comparable(subjects):
        return "record whole epochs, evaluation included, for a comparison of accuracy."
    return "python -m profiler show RUN, for the conditions of one run."


def _mending(advice: Mapping[str, str], flagged: Mapping[str, Mapping[str, Sequence[Flag]]]) -> str | None:
    """What to do about the most harmful flag; None without one."""
    names = {flag.name for runs in flagged.values() for found in runs.values() for flag in found}
    return next((text for name, text in advice.items() if name in names), None)


def deeper(
    pairs: Sequence[Gap],
    layers: Mapping[str, Drilldown],
    operators: Mapping[str, Drilldown],
    lines: Mapping[str, Mapping[str, Any]],
) -> Iterator[str]:
    """Where the headline gap's work is done, where that is not where it is charged; and what the drill-downs say."""
    if not pairs:
        return
    slow, fast = pairs[0].slow, pairs[0].fast
    yield from _done(pairs[0])
    if slow.id in operators and fast.id in operators:
        yield from _of_operators(operators[slow.id], operators[fast.id])
    if slow.id in layers and fast.id in layers:
        lost = [d for d in differences(layers[slow.id], layers[fast.id]) if d.seconds > 0][:TOP]
        named = (f"{d.layer} {d.direction} ({theme.milliseconds(d.seconds)} more)" for d in lost)
        if lost:
            yield f"Layers that lose most, per step: {', '.join(named)}."
    if slow.id in lines:
        yield _of_lines(slow, lines[slow.id])


def _done(headline: Gap) -> Iterator[str]:
    """The phases whose work the gap is made of, where fences show others than the clock charges."""
    fenced = headline.fenced
    if fenced is None or fenced.verdict != "slower" or largest(fenced)[0][0] is largest(headline)[0][0]:
        return
    parts = (
        f"{phase} {theme.seconds(part.value)} ({theme.percent(fenced.share(part.value))})"
        for phase, part in largest(fenced)
    )
    yield f"The work that makes the gap is done elsewhere (fenced steps, per epoch): {', '.join(parts)}."


def _of_operators(slow: Drilldown, fast: Drilldown) -> Iterator[str]:
    found = family_differences(slow, fast)
    lost = next((d for d in found if d.seconds > 0), None)
    if lost is None:
        return
    whole = sum(d.seconds for d in found)
    share = f", {theme.percent(lost.seconds / whole)} of what all operators differ by" if whole > 0 else ""
    sides = f"{theme.milliseconds(lost.slow)} against {theme.milliseconds(lost.fast)} per step"
    yield f"Operators: {lost.family} {lost.direction} weighs most, {sides}{share}."


def _of_lines(slow: Subject, data: Mapping[str, Any]) -> str:
    (function, line), *_ = line_times.top(line_times.from_json(data), 1)
    ms = theme.milliseconds(line.seconds / int(data["steps"]))
    place = f"{function.file}:{line.number}"
    return f"Line of {slow.title} that takes longest: {place}, {ms} per step: {line.source.strip()}"
