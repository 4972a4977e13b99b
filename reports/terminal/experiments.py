"""The experiments of a session for the terminal."""

from collections.abc import Iterator

from epoch_gap.profiler.experiments.assessment import Assessment
from epoch_gap.reports.experiments import ExperimentRow, describe_row
from epoch_gap.reports.sentences.experiments import (
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
