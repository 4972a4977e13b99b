"""What a report shows about experiments, computed once: a row per test, the article's guesses, and the diagnosis."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from epoch_gap.profiler.comparison.gap import Gap, Verdict
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.experiments.assessment import Assessment, Outcome
from epoch_gap.profiler.experiments.diagnosis import Cause, Diagnosis, diagnose
from epoch_gap.profiler.experiments.score import Score, score
from epoch_gap.reports.article import GUESSES
from epoch_gap.reports.sentences.experiments import (
    describe_diagnosis,
    describe_interaction,
    describe_judgement,
    describe_measurement,
    describe_phases,
    describe_prediction,
    describe_score,
    describe_withheld,
)


@dataclass(frozen=True)
class ExperimentRow:
    """One test, in words."""

    name: str
    side: str
    claim: str
    guess: int | None
    """the article's guess that it tests"""
    predicted: str
    measured: str
    phases: str
    verdict: str
    runs: tuple[str, ...]
    """ids"""
    session: str
    """id"""
    times: int
    """sessions in which it was tested, this one included"""


@dataclass(frozen=True)
class GuessRow:
    """One of the article's guesses, and the tests that answer it."""

    number: int
    guess: str
    tests: tuple[ExperimentRow, ...]


@dataclass(frozen=True)
class Point:
    """A test in the picture: seconds per epoch."""

    name: str
    side: str
    outcome: Outcome


@dataclass(frozen=True)
class Experiments:
    """The experiments of a report."""

    rows: tuple[ExperimentRow, ...] = ()
    controls: tuple[ExperimentRow, ...] = ()
    withheld: tuple[str, ...] = ()
    """sessions whose controls were not found right"""
    guesses: tuple[GuessRow, ...] = ()
    points: tuple[Point, ...] = ()
    score: Score | None = None
    score_text: str = ""
    interactions: tuple[str, ...] = ()
    diagnosis: tuple[str, ...] = ()
    """the end of the diagnosis; empty without a gap or without experiments on its slow side"""

    def __bool__(self) -> bool:
        return bool(self.rows or self.controls or self.withheld or self.guesses)


def view_experiments(
    assessments: Sequence[Assessment],
    subjects: Sequence[Subject],
    gaps: Sequence[Gap],
    answers: Sequence[ExperimentRow] = (),
) -> Experiments:
    """The experiments on the sides of a report; `assessments` are all sessions, newest first.

    `answers` are those of the cross, which answer guesses about the accuracy.

    Of a test that was repeated, the newest result is shown, with the number of sessions that tested it.
    """
    shown = [a for a in assessments if any(_is_of(a, subject) for subject in subjects)]
    newest, planned = _newest(shown, is_measured=True), _newest(shown, is_measured=False)
    rows = tuple(describe_row(a, o, _times(shown, a, o)) for a, o in newest.values())
    counted = [o.claim for _, o in newest.values() if o.counts and o.claim is not None]
    found = score(counted)
    return Experiments(
        rows=rows,
        controls=tuple(describe_row(a, o, 1) for a in shown for o in a.controls),
        withheld=tuple(describe_withheld(a) for a in shown if a.withheld),
        guesses=tuple(_guesses([*rows, *answers])) if rows or answers else (),
        points=tuple(
            Point(o.forecast.name, a.session.title, o) for a, o in newest.values() if o.counts and o.claim is not None
        ),
        score=found,
        score_text="" if found is None else describe_score(found),
        interactions=tuple(dict.fromkeys(describe_interaction(i) for a in shown for i in a.interactions)),
        diagnosis=_diagnosis(list({**planned, **newest}.values()), gaps, shown),
    )


def _newest(
    assessments: Sequence[Assessment], *, is_measured: bool
) -> dict[tuple[str, str], tuple[Assessment, Outcome]]:
    """The newest outcome of each test, by side and name, of those that were measured, or of those that were not."""
    found: dict[tuple[str, str], tuple[Assessment, Outcome]] = {}
    for assessment in assessments:
        for outcome in assessment.outcomes:
            if bool(outcome.runs) is is_measured:
                found.setdefault((assessment.session.title, outcome.forecast.name), (assessment, outcome))
    return found


def describe_row(assessment: Assessment, outcome: Outcome, times: int = 1) -> ExperimentRow:
    """A test in words; `times` is the number of sessions that tested it."""
    return ExperimentRow(
        name=outcome.forecast.name,
        side=assessment.session.title,
        claim=outcome.forecast.claim,
        guess=outcome.forecast.guess,
        predicted=describe_prediction(outcome),
        measured=describe_measurement(outcome),
        phases=describe_phases(outcome),
        verdict=describe_judgement(outcome),
        runs=outcome.runs,
        session=assessment.session.id,
        times=times,
    )


def _is_of(assessment: Assessment, subject: Subject) -> bool:
    session, config = assessment.session, subject.config
    return (session.framework, session.device, session.batch_size) == (
        config.framework,
        subject.framework.device,
        config.batch_size,
    )


def _times(assessments: Sequence[Assessment], assessment: Assessment, outcome: Outcome) -> int:
    same = [a for a in assessments if a.session.title == assessment.session.title]
    return sum(o.forecast.name == outcome.forecast.name and bool(o.runs) for a in same for o in a.outcomes)


def _guesses(rows: Sequence[ExperimentRow]) -> Iterator[GuessRow]:
    for number, guess in GUESSES.items():
        yield GuessRow(number, guess, tuple(row for row in rows if row.guess == number))


def _diagnosis(
    newest: Sequence[tuple[Assessment, Outcome]], gaps: Sequence[Gap], shown: Sequence[Assessment]
) -> tuple[str, ...]:
    if not gaps or gaps[0].verdict is not Verdict.SLOWER:
        return ()
    gap = gaps[0]
    of_slow = [(a, o) for a, o in newest if _is_of(a, gap.slow)]
    if not of_slow:
        return ()
    found = measure_diagnosis(gap, of_slow, [a for a in shown if _is_of(a, gap.slow)])
    return describe_diagnosis(found, gap.slow.title, gap.fast.title)


def measure_diagnosis(
    gap: Gap, outcomes: Sequence[tuple[Assessment, Outcome]], assessments: Sequence[Assessment]
) -> Diagnosis:
    """The diagnosis of a gap from tests of its slow side. Gains are scaled to the gap's epoch."""
    fast = gap.fast_seconds
    slow = fast + gap.seconds.value
    causes = [cause for a, o in outcomes if (cause := _cause(o, slow / a.epoch)) is not None]
    names = frozenset(cause.name for cause in causes)
    together = [
        -a.effects[names].value * slow / a.epoch for a in assessments if len(names) > 1 and names in a.effects
    ]
    return diagnose(slow, fast, causes, together[0] if together else None)


def _cause(outcome: Outcome, scale: float) -> Cause | None:
    """A single change that makes the side faster: measured clearly, or else predicted and not measured."""
    if len(outcome.forecast.experiments) > 1 or outcome.is_edited:
        return None
    change = outcome.forecast.change
    if outcome.effect is not None:
        interval = outcome.effect.epoch.interval()
        is_clear = interval.excludes(0) and interval.value < 0
        return Cause(outcome.forecast.name, -interval.value * scale, True) if is_clear else None
    if change is not None and change.whole.value < 0 and not change.is_bound:
        return Cause(outcome.forecast.name, -change.whole.value * scale, False)
    return None
