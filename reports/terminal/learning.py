"""The cross of schedule and initialisation for the terminal."""

from epoch_gap.profiler.learning.assessment import CrossAssessment
from epoch_gap.profiler.learning.outcomes import Outcome
from epoch_gap.reports.cross import describe_cross
from epoch_gap.reports.terminal.tables import align

TRAININGS = ("side", "schedule", "initial weights", "seeds", *map(str, Outcome))
ANSWERS = ("claim", "predicted", "measured", "verdict")


def cross_table(assessment: CrossAssessment) -> str:
    """Every kind of training with its outcomes, then every claim with its verdict."""
    cross, session = describe_cross(assessment), assessment.session
    trainings = [
        (t.side, t.schedule, t.weights, ", ".join(map(str, t.seeds)), *(t.outcomes[o] for o in Outcome))
        for t in cross.trainings
    ]
    answers = [(row.claim, row.predicted, row.measured, row.verdict) for row in cross.answers]
    return "\n".join(
        [
            f"accuracies of {cross.title}, session {session.id}",
            cross.size,
            f"predicted from {', '.join(session.baseline)}",
            align([TRAININGS, *trainings]),
            align([ANSWERS, *answers]),
            *([cross.interaction] if cross.interaction else []),
        ]
    )
