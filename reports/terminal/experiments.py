"""Experiments for the terminal: a session's, and the times of one of its runs."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.experiments.assessment import Assessment
from epoch_gap.profiler.experiments.effect import effect_of_levels
from epoch_gap.profiler.experiments.level_times import measure_evaluation_levels, measure_levels
from epoch_gap.profiler.phases import Phase, in_order
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports import formats
from epoch_gap.reports.experiments import ExperimentRow, describe_row
from epoch_gap.reports.sentences.experiments import (
    describe_change,
    describe_evidence,
    describe_interaction,
    describe_score,
    describe_withheld,
)
from epoch_gap.reports.terminal.tables import align

HEAD = ("experiment", "predicted, s per epoch", "measured", "verdict")


def experiment_table(assessment: Assessment) -> str:
    """Every test with its prediction, measurement and verdict; only the controls if these were not found right."""
    return "\n".join(_lines(assessment))


def _lines(assessment: Assessment) -> Iterator[str]:
    session = assessment.session
    yield f"experiments on {session.title}, session {session.id}"
    yield describe_evidence(session)
    outcomes = [*assessment.controls, *assessment.outcomes]
    rows = [describe_row(assessment, outcome) for outcome in outcomes]
    yield align([HEAD, *(_cells(row) for row in rows)])
    if assessment.withheld:
        yield describe_withheld(assessment)
        return
    for row in rows[len(assessment.controls) :]:
        yield f"{row.name}: {row.claim}"
        if row.phases:
            yield f"  {row.phases}"
    for interaction in assessment.interactions:
        yield describe_interaction(interaction)
    if assessment.score is not None:
        yield describe_score(assessment.score)


def _cells(row: ExperimentRow) -> tuple[str, ...]:
    return row.name, row.predicted, row.measured, row.verdict


def level_table(run: Run) -> str:
    """Seconds of a step by phase and level of a run whose interventions alternated; with two levels, on minus off.

    Raises UserError as `measure_levels` does.
    """
    training, evaluation = measure_levels(run), measure_evaluation_levels(run)
    assert run.config.alternate is not None, "measure_levels refuses other runs"
    names = [" + ".join(switches) or "off" for switches in run.config.alternate.levels]
    effect = effect_of_levels(training, evaluation, (), 1, 1) if len(names) == 2 else None

    def row(title: str, seconds: NDArray[np.float64], phases: Iterable[Phase]) -> list[str]:
        difference = [] if effect is None else [describe_change(effect.together([*phases]))]
        return [title, *(formats.seconds(float(value)) for value in seconds.mean(axis=0)), *difference]

    rows = [["seconds per step", *names, *(["difference"] if effect is not None else [])]]
    rows += [row(p, training.phases[p], [p]) for p in in_order(training.phases) if training.phases[p].any()]
    rows.append(row("whole step", training.step, training.phases))
    if evaluation is not None:
        rows.append(row("per test batch: evaluate", evaluation.step, evaluation.phases))
    return align(rows)
