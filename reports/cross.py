"""What a report shows about the cross of schedule and initialisation, computed once: trainings, answers, curves."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.learning.assessment import CrossAssessment
from epoch_gap.profiler.learning.cross import SCHEDULE, WEIGHTS, Cell
from epoch_gap.profiler.learning.outcomes import Outcome, measure_outcome
from epoch_gap.profiler.storage.manifest import Network
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports.experiments import AnswerRow
from epoch_gap.reports.sentences.learning import (
    describe_answer,
    describe_claimed,
    describe_interaction,
    describe_measured,
    describe_outcome,
    describe_progress,
)


@dataclass(frozen=True, eq=False)
class Trainings:
    """Trainings that differ in their seeds alone. Compared by identity."""

    side: str
    """display names: who trains, whose schedule, whose initial weights"""
    schedule: str
    weights: str
    seeds: tuple[int, ...]
    outcomes: dict[Outcome, str]
    """the mean over the seeds, in words; with several seeds also the range"""
    accuracies: NDArray[np.float64]
    """test accuracy by seed and epoch, of shape (seeds, epochs)"""
    is_baseline: bool
    """whether the predictions were computed from it"""

    @property
    def label(self) -> str:
        """Who trains with what, for a legend."""
        return f"{self.side}: schedule of {self.schedule}, weights of {self.weights}"


@dataclass(frozen=True)
class Cross:
    """The newest cross of two sides."""

    title: str
    """of both sides"""
    size: str
    """the trainings in words"""
    trainings: tuple[Trainings, ...]
    answers: tuple[AnswerRow, ...]
    interaction: str | None
    assessment: CrossAssessment
    """its figures"""


def view_cross(crosses: Sequence[CrossAssessment], subjects: Sequence[Subject]) -> Cross | None:
    """The newest cross of two frameworks that a report shows, with the network that it shows; None without one."""
    shown = {(subject.config.framework, subject.config.network) for subject in subjects}
    found = next((c for c in crosses if _sides(c) <= shown), None)
    return None if found is None else describe_cross(found)


def _sides(assessment: CrossAssessment) -> set[tuple[str, Network]]:
    session = assessment.session
    return {(framework, session.network) for framework in (session.slow, session.fast)}


def describe_cross(assessment: CrossAssessment) -> Cross:
    """A cross in words and curves."""
    session = assessment.session
    return Cross(
        title=f"{_title(assessment, session.fast)} and {_title(assessment, session.slow)}",
        size=describe_progress(assessment),
        trainings=tuple(_trainings(assessment)),
        answers=tuple(_answers(assessment)),
        interaction=describe_interaction(assessment),
        assessment=assessment,
    )


def _title(assessment: CrossAssessment, framework: str) -> str:
    return assessment.session.titles.get(framework, framework)


def _trainings(assessment: CrossAssessment) -> Iterator[Trainings]:
    session = assessment.session
    for framework, run in assessment.baseline.items():
        yield _group(assessment, framework, (), [run], is_baseline=True)
    for framework, switches in dict.fromkeys((cell.framework, cell.switches) for cell in session.plan):
        cells = [Cell(framework, switches, seed) for seed in session.seeds]
        runs = [assessment.runs[cell] for cell in cells if cell in assessment.runs]
        if runs:
            yield _group(assessment, framework, switches, runs, is_baseline=False)


def _group(
    assessment: CrossAssessment, framework: str, switches: tuple[str, ...], runs: Sequence[Run], *, is_baseline: bool
) -> Trainings:
    session = assessment.session
    other = session.slow if framework == session.fast else session.fast
    schedule, weights = (_title(assessment, other if s in switches else framework) for s in (SCHEDULE, WEIGHTS))
    return Trainings(
        side=_title(assessment, framework),
        schedule=schedule,
        weights=weights,
        seeds=tuple(run.config.seed or 0 for run in runs),
        outcomes={outcome: _describe_values(outcome, runs) for outcome in Outcome},
        accuracies=_accuracies(runs),
        is_baseline=is_baseline,
    )


def _describe_values(outcome: Outcome, runs: Sequence[Run]) -> str:
    values = [value for run in runs if (value := measure_outcome(run, outcome)) is not None]
    if not values:
        return "n/a"
    text = describe_outcome(outcome, sum(values) / len(values))
    if len(values) == 1:
        return text
    return f"{text} ({describe_outcome(outcome, min(values))} to {describe_outcome(outcome, max(values))})"


def _accuracies(runs: Sequence[Run]) -> NDArray[np.float64]:
    epochs = min(len(run.epochs) for run in runs)
    rows = [[np.nan if e.test_acc is None else e.test_acc for e in run.epochs[:epochs]] for run in runs]
    return np.array(rows, np.float64)


def _answers(assessment: CrossAssessment) -> Iterator[AnswerRow]:
    session, is_edited = assessment.session, assessment.is_edited
    for answer in assessment.answers:
        rival = answer.rival
        yield AnswerRow(
            name=f"{rival.cause}, {rival.outcome}",
            side=f"{_title(assessment, session.fast)} minus {_title(assessment, session.slow)}",
            claim=rival.claim,
            guess=rival.guess,
            predicted=describe_claimed(answer, is_edited),
            measured=describe_measured(answer),
            phases="",
            verdict=describe_answer(answer, is_edited),
            runs=answer.runs,
            session=session.id,
            times=1,
        )
