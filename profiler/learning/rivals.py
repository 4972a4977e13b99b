"""The claims that are tested: each cause is said to explain the whole difference between the sides, alone."""

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.learning.outcomes import Outcome, measure_outcome
from epoch_gap.profiler.learning.session import Rival
from epoch_gap.profiler.storage.run import Run

POINTS = 0.05
"""of test accuracy: the tolerance of a verdict"""
LOSS_SHARE = 0.05
"""of the larger loss: the tolerance of a verdict"""

SCHEDULE, INITIALISATION, FRAMEWORK = "schedule", "initialisation", "framework"
CLAIMS: tuple[tuple[str, Outcome, int | None, str], ...] = (
    (SCHEDULE, Outcome.ACCURACY, 4, "The test accuracies differ because the learning-rate schedules do."),
    (INITIALISATION, Outcome.ACCURACY, None, "The test accuracies differ because the initial weights do."),
    (FRAMEWORK, Outcome.ACCURACY, None, "The test accuracies differ even if the sides share everything else."),
    (INITIALISATION, Outcome.FIRST_LOSS, 5, "The losses of the first batch differ because the initial weights do."),
    (INITIALISATION, Outcome.PEAK_LOSS, 5, "The losses jump in the first epoch because of the initial weights."),
)
"""cause, outcome, the article's guess, and the claim"""


def predict_rivals(slow: Run, fast: Run) -> tuple[Rival, ...]:
    """What each claim predicts, from one run of each side as it is.

    Raises UserError if a run lacks an outcome.
    """
    return tuple(_predict(*claim, slow, fast) for claim in CLAIMS)


def _predict(cause: str, outcome: Outcome, guess: int | None, claim: str, slow: Run, fast: Run) -> Rival:
    a, b = (_measured(run, outcome) for run in (fast, slow))
    is_accuracy = outcome is Outcome.ACCURACY
    return Rival(
        cause=cause,
        outcome=outcome,
        claim=claim,
        guess=guess,
        predicted=a - b,
        tolerance=POINTS if is_accuracy else LOSS_SHARE * max(abs(a), abs(b)),
    )


def _measured(run: Run, outcome: Outcome) -> float:
    value = measure_outcome(run, outcome)
    if value is None:
        raise UserError(f"{run.id} has no {outcome}, from which the cross is predicted")
    return value
