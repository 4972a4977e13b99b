"""The key `experiments` of summary.json. Contract: docs/summary.md."""

from dataclasses import asdict
from typing import Any

from epoch_gap.profiler.experiments.assessment import Assessment, Outcome
from epoch_gap.profiler.experiments.diagnosis import Cause, Diagnosis, Factor
from epoch_gap.profiler.experiments.interactions import Interaction
from epoch_gap.profiler.experiments.prediction import Change
from epoch_gap.profiler.storage.typed_json import finite_or_none
from epoch_gap.reports.experiments import ExperimentRow, Experiments
from epoch_gap.reports.export.intervals import interval_to_json


def summarise_experiments(experiments: Experiments) -> dict[str, Any] | None:
    """The tests of the report with their figures, as JSON values; None if it shows no session."""
    if not (experiments.rows or experiments.controls or experiments.withheld):
        return None
    return {
        "tests": [_test(row) for row in (*experiments.rows, *experiments.controls)],
        "withheld": [
            {"session": a.session.id, "side": a.session.title, "reason": a.withheld}
            for a in experiments.assessments
            if a.withheld
        ],
        "score": asdict(experiments.score) if experiments.score else None,
        "interactions": [_interaction(a, found) for a in experiments.assessments for found in a.interactions],
        "diagnosis": _diagnosis(experiments.figures) if experiments.figures else None,
    }


def _test(row: ExperimentRow) -> dict[str, Any]:
    outcome = row.outcome
    judgement = None if outcome.is_edited else outcome.judgement
    return {
        "name": row.name,
        "side": row.side,
        "claim": row.claim,
        "guess": row.guess,
        "predicted": _predicted(outcome.forecast.change),
        "measured": interval_to_json(outcome.effect.epoch.interval()) if outcome.effect else None,
        "is_evaluated": outcome.is_evaluated,
        "slope": interval_to_json(outcome.slope.interval()) if outcome.slope else None,
        "verdict": judgement.verdict if judgement else None,
        "reason": _reason(outcome),
        "bound": finite_or_none(judgement.bound) if judgement else None,
        "more_steps": judgement.more_steps if judgement else None,
        "runs": list(row.runs),
        "session": row.session,
        "times": row.times,
        "is_control": outcome.forecast.is_control,
    }


def _predicted(change: Change | None) -> dict[str, Any] | None:
    if change is None:
        return None
    predicted = interval_to_json(change.whole.interval())
    if change.is_bound:
        predicted |= {"low": min(0.0, change.whole.value), "high": max(0.0, change.whole.value)}
    return {**predicted, "is_bound": change.is_bound}


def _reason(outcome: Outcome) -> str:
    """Of the verdict, or why there is none."""
    if outcome.is_edited:
        return "the prediction was changed after it was sealed"
    return outcome.judgement.reason if outcome.judgement else outcome.problem or outcome.forecast.missing


def _interaction(assessment: Assessment, interaction: Interaction) -> dict[str, Any]:
    return {
        "session": assessment.session.id,
        "side": assessment.session.title,
        "parts": [
            {
                "name": part.name,
                "first_in": interval_to_json(part.first_in.interval()),
                "last_in": None if part.last_in is None else interval_to_json(part.last_in.interval()),
            }
            for part in interaction.parts
        ],
        "together": interval_to_json(interaction.together.interval()),
        "residual": interval_to_json(interaction.residual.interval()),
    }


def _diagnosis(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "ratio": diagnosis.ratio,
        "factors": [_factor(factor) for factor in diagnosis.factors],
        "together": diagnosis.together,
        "rest": diagnosis.rest,
        "shortest": None if diagnosis.shortest is None else [cause.name for cause in diagnosis.shortest],
    }


def _factor(factor: Factor) -> dict[str, Any]:
    cause = factor.cause
    return {
        "name": cause.name,
        "factor": factor.factor,
        "slow": {"seconds": cause.gain, "kind": _kind(cause.is_tested)},
        "fast": _fast_gain(cause),
    }


def _fast_gain(cause: Cause) -> dict[str, Any] | None:
    if cause.is_tested_on_fast is None:
        return None
    return {"seconds": cause.fast_gain, "kind": _kind(cause.is_tested_on_fast)}


def _kind(is_tested: bool) -> str:
    return "tested" if is_tested else "predicted"
