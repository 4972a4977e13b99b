"""What a report shows about experiments, computed once: a row per test, the article's guesses, and the diagnosis."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from epoch_gap.profiler.comparison.gap import Gap, Verdict
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.experiments.assessment import Assessment, Outcome
from epoch_gap.profiler.experiments.diagnosis import Cause, Diagnosis, diagnose, list_causes
from epoch_gap.profiler.experiments.score import Score, score
from epoch_gap.profiler.experiments.session_store import EXPERIMENTS
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
class AnswerRow:
    """One claim with its test, in words."""

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
class ExperimentRow(AnswerRow):
    """One test of an experiment."""

    outcome: Outcome
    """its figures"""

    @property
    def paths(self) -> tuple[str, ...]:
        """The runs, relative to the directory of the stored runs."""
        return tuple(f"{EXPERIMENTS}/{self.session}/{run}" for run in self.runs)


@dataclass(frozen=True)
class GuessRow:
    """One of the article's guesses, and the tests that answer it."""

    number: int
    guess: str
    tests: tuple[AnswerRow, ...]


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
    figures: Diagnosis | None = None
    """of `diagnosis`"""
    assessments: tuple[Assessment, ...] = ()
    """the sessions, newest first"""

    def __bool__(self) -> bool:
        return bool(self.rows or self.controls or self.withheld or self.guesses)


NO_EXPERIMENTS = Experiments()


def view_experiments(
    assessments: Sequence[Assessment],
    subjects: Sequence[Subject],
    gaps: Sequence[Gap],
    answers: Sequence[AnswerRow] = (),
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
    unmeasured = [test for key, test in planned.items() if key not in newest]
    figures = _diagnose([*newest.values(), *unmeasured], gaps, shown)
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
        diagnosis=describe_diagnosis(figures, gaps[0].slow.title, gaps[0].fast.title) if figures else (),
        figures=figures,
        assessments=tuple(shown),
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
        outcome=outcome,
    )


def _is_of(assessment: Assessment, subject: Subject) -> bool:
    session, config = assessment.session, subject.config
    return (session.framework, session.device, session.batch_size, session.network) == (
        config.framework,
        subject.framework.device,
        config.batch_size,
        config.network,
    )


def _times(assessments: Sequence[Assessment], assessment: Assessment, outcome: Outcome) -> int:
    same = [a for a in assessments if a.session.title == assessment.session.title]
    return sum(o.forecast.name == outcome.forecast.name and bool(o.runs) for a in same for o in a.outcomes)


def _guesses(rows: Sequence[AnswerRow]) -> Iterator[GuessRow]:
    for number, guess in GUESSES.items():
        yield GuessRow(number, guess, tuple(row for row in rows if row.guess == number))


def _diagnose(
    outcomes: Sequence[tuple[Assessment, Outcome]], gaps: Sequence[Gap], shown: Sequence[Assessment]
) -> Diagnosis | None:
    if not gaps or gaps[0].verdict is not Verdict.SLOWER:
        return None
    return measure_diagnosis(gaps[0], outcomes, shown)


def measure_diagnosis(
    gap: Gap, outcomes: Sequence[tuple[Assessment, Outcome]], assessments: Sequence[Assessment]
) -> Diagnosis | None:
    """The diagnosis of a gap from tests of its sides, whose gains are scaled to the gap's epochs.

    Of several tests with one name, the first counts. If both sides are of one framework, all are of the slow one.
    None without a test of the slow side.
    """

    def is_of_slow(assessment: Assessment) -> bool:
        return _is_of(assessment, gap.slow)

    def is_of_fast(assessment: Assessment) -> bool:
        return _is_of(assessment, gap.fast) and not is_of_slow(assessment)

    if not any(is_of_slow(a) for a, _ in outcomes):
        return None
    fast = gap.fast_seconds
    slow = fast + gap.seconds.value
    gains = _gains([(a, o) for a, o in outcomes if is_of_slow(a)], slow)
    fast_gains = _gains([(a, o) for a, o in outcomes if is_of_fast(a)], fast)
    causes = list_causes(slow, fast, [_cause(name, gain, fast_gains.get(name)) for name, gain in gains.items()])
    on_both = [cause for cause in causes if cause.is_tested_on_fast is not None]
    return diagnose(
        slow,
        fast,
        causes,
        _gain_together(filter(is_of_slow, assessments), causes, slow),
        _gain_together(filter(is_of_fast, assessments), on_both, fast),
    )


Gain = tuple[float, bool]
"""seconds per epoch that a change saves, and whether that was measured"""


def _cause(name: str, gain: Gain, fast_gain: Gain | None) -> Cause:
    seconds, is_tested = gain
    fast_seconds, is_tested_on_fast = fast_gain or (0.0, None)
    return Cause(name, seconds, is_tested, fast_seconds, is_tested_on_fast)


def _gains(outcomes: Sequence[tuple[Assessment, Outcome]], epoch: float) -> dict[str, Gain]:
    """What each single change saves of an epoch of `epoch` seconds, by name."""
    found: dict[str, Gain] = {}
    for assessment, outcome in outcomes:
        if (gain := _gain(outcome)) is not None:
            found.setdefault(outcome.forecast.name, (gain[0] * epoch / assessment.epoch, gain[1]))
    return found


def _gain(outcome: Outcome) -> Gain | None:
    """What was measured, 0 if that is not clear; or else what was predicted and not measured."""
    if len(outcome.forecast.experiments) > 1 or outcome.is_edited:
        return None
    change = outcome.forecast.change
    if outcome.effect is not None:
        interval = outcome.effect.epoch.interval()
        return (-interval.value if interval.excludes(0) else 0.0), True
    return None if change is None or change.is_bound else (-change.whole.value, False)


def _gain_together(assessments: Iterable[Assessment], causes: Sequence[Cause], epoch: float) -> float | None:
    """What was measured of several changes at once; None if they were not."""
    names = frozenset(cause.name for cause in causes)
    if len(names) < 2:
        return None
    measured = ((a, a.effects.get(names)) for a in assessments)
    return next((-effect.value * epoch / a.epoch for a, effect in measured if effect is not None), None)
