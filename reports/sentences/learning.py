"""The cross of schedule and initialisation in words."""

from epoch_gap.profiler.analysis.stats import Estimate
from epoch_gap.profiler.learning.assessment import Answer, CrossAssessment
from epoch_gap.profiler.learning.outcomes import Outcome
from epoch_gap.reports import formats


def describe_outcome(outcome: Outcome, value: float) -> str:
    """`32.4 %`, or a loss: `2.41`."""
    return formats.percent(value) if outcome is Outcome.ACCURACY else f"{value:.3f}"


def describe_difference(outcome: Outcome, estimate: Estimate) -> str:
    """A difference with its interval, in points of accuracy or as a loss."""
    i = estimate.interval()
    value = _signed(outcome, i.value)
    unit = " points" if outcome is Outcome.ACCURACY else ""
    if i.low is None or i.high is None:
        return f"{value}{unit} (interval unknown)"
    if i.low == i.high:
        return f"{value}{unit}"
    return f"{value}{unit} ({_signed(outcome, i.low)} to {_signed(outcome, i.high)})"


def _signed(outcome: Outcome, value: float) -> str:
    text = f"{100 * value:+.1f}" if outcome is Outcome.ACCURACY else f"{value:+.3f}"
    return text.replace("-", "\N{MINUS SIGN}")


def describe_claimed(answer: Answer, is_edited: bool) -> str:
    """What a claim predicts."""
    text = describe_difference(answer.rival.outcome, answer.predicted)
    return f"EDITED AFTERWARDS: {text}" if is_edited else text


def describe_answer(answer: Answer, is_edited: bool) -> str:
    """The verdict and its reason."""
    if is_edited:
        return "not judged: the prediction was changed after it was sealed"
    return f"{answer.verdict}: {answer.reason}" if answer.verdict else ""


def describe_measured(answer: Answer) -> str:
    """What the cause makes of the outcome."""
    if answer.measured is None:
        return "not trained yet"
    return describe_difference(answer.rival.outcome, answer.measured)


def describe_progress(assessment: CrossAssessment) -> str:
    """The size of the trainings, and how many of them are done."""
    session = assessment.session
    seeds = f"seed{'s' * (len(session.seeds) > 1)} {', '.join(map(str, session.seeds))}"
    done = f"{len(session.plan) - len(session.remaining)} of {len(session.plan)} trainings of the cross are done"
    return f"{session.size}; {seeds}; {done}."


def describe_interaction(assessment: CrossAssessment) -> str | None:
    """Whether the schedule works otherwise with other initial weights; None if that was not measured."""
    effects = assessment.effects.get(Outcome.ACCURACY)
    if effects is None:
        return None
    fast = assessment.session.titles.get(assessment.session.fast, assessment.session.fast)
    return (
        f"In {fast}, its own schedule adds {describe_difference(Outcome.ACCURACY, effects.interaction)} more "
        "with its own initial weights than with the other side's."
    )
