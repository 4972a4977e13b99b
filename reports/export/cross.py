"""The key `cross` of summary.json. Contract: docs/summary.md."""

from collections.abc import Iterator
from typing import Any

from epoch_gap.profiler.learning.assessment import Answer, CrossAssessment
from epoch_gap.profiler.learning.outcomes import Outcome, measure_outcome
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports.cross import Cross
from epoch_gap.reports.export.intervals import interval_to_json


def summarise_cross(cross: Cross | None) -> dict[str, Any] | None:
    """The trainings and answers of the report's cross, as JSON values; None if it shows none."""
    if cross is None:
        return None
    assessment = cross.assessment
    session = assessment.session
    return {
        "session": session.id,
        "slow": session.slow,
        "fast": session.fast,
        "seeds": list(session.seeds),
        "is_edited": assessment.is_edited,
        "trainings": list(_trainings(assessment)),
        "answers": [_answer(answer) for answer in assessment.answers],
    }


def _trainings(assessment: CrossAssessment) -> Iterator[dict[str, Any]]:
    for framework, run in assessment.baseline.items():
        yield _training(framework, (), run, is_baseline=True)
    for cell, run in assessment.runs.items():
        yield _training(cell.framework, cell.switches, run, is_baseline=False)


def _training(framework: str, switches: tuple[str, ...], run: Run, *, is_baseline: bool) -> dict[str, Any]:
    return {
        "framework": framework,
        "switches": list(switches),
        "seed": run.config.seed,
        "run": run.id,
        "is_baseline": is_baseline,
        "outcomes": {outcome: measure_outcome(run, outcome) for outcome in Outcome},
    }


def _answer(answer: Answer) -> dict[str, Any]:
    rival = answer.rival
    return {
        "cause": rival.cause,
        "outcome": rival.outcome,
        "claim": rival.claim,
        "guess": rival.guess,
        "predicted": interval_to_json(answer.predicted.interval()),
        "measured": None if answer.measured is None else interval_to_json(answer.measured.interval()),
        "tolerance": rival.tolerance,
        "verdict": answer.verdict,
        "reason": answer.reason,
        "runs": list(answer.runs),
    }
