"""Losses and test accuracies in words: what can be claimed from the steps that both sides took."""

from collections.abc import Iterator, Sequence

from epoch_gap.profiler.analysis.accuracy import Evaluation, largest_loss_difference, list_evaluations
from epoch_gap.profiler.analysis.stats import Interval
from epoch_gap.profiler.comparison.accuracy import (
    AccuracyComparison,
    AccuracyVerdict,
    Likeness,
    LossComparison,
)
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.reports import formats

ORDERS = {
    Likeness.SAME: "Both sides saw the same images in the same order",
    Likeness.DIFFERENT: "Each side saw the images in its own order, so one step's losses belong to different images",
    Likeness.UNKNOWN: "Whether both sides saw the images in the same order is unknown",
}
WEIGHTS = {
    Likeness.SAME: "they started from the same initial weights",
    Likeness.DIFFERENT: "their initial weights differ",
    Likeness.UNKNOWN: "whether their initial weights are the same is unknown",
}


def describe_accuracy(subjects: Sequence[Subject], comparison: AccuracyComparison | None) -> tuple[str, ...]:
    """The test accuracies, the losses at equal steps, and the agreement of repeats; a sentence or two each."""
    if comparison is None:
        return (_describe_only(subjects[0]), *_describe_repeats(subjects))
    return (
        describe_test_accuracy(comparison),
        _describe_losses(comparison),
        f"{ORDERS[comparison.data_order]}; {WEIGHTS[comparison.initialisation]}.",
        *_describe_repeats([comparison.slow, comparison.fast]),
    )


def _describe_only(subject: Subject) -> str:
    evaluations = list_evaluations(subject.first)
    if not evaluations:
        return f"{subject.title} was not evaluated: its test accuracy is unknown."
    last = evaluations[-1]
    return f"Test accuracy {describe_evaluation(last)}: {accuracy_interval(last)}."


def describe_evaluation(evaluation: Evaluation) -> str:
    """The training steps before an evaluation, and its images."""
    return f"after {_steps(evaluation.steps)}, on {evaluation.images} images"


def accuracy_interval(evaluation: Evaluation) -> str:
    """An accuracy with its binomial interval."""
    i = evaluation.accuracy
    return f"{formats.percent(i.value)} ({formats.percent(i.low)} to {formats.percent(i.high)})"


def describe_test_accuracy(comparison: AccuracyComparison) -> str:
    """Both test accuracies and whether a difference can be claimed; or the reason why they are not compared."""
    sides, (a, b) = (comparison.slow, comparison.fast), comparison.evaluations
    if a is None or b is None:
        missing = [s.title for s, e in zip(sides, (a, b), strict=True) if e is None]
        return f"Test accuracy is not compared: no evaluation of {' and of '.join(missing)}."
    if (difference := comparison.difference) is None:
        return f"Test accuracy is not comparable: {sides[0].title} was evaluated {_mismatch(a, b)}."
    both = f"{sides[0].title} {accuracy_interval(a)}, {sides[1].title} {accuracy_interval(b)}"
    return f"Test accuracy {describe_evaluation(a)}: {both}. {_describe_verdict(comparison, a, difference)}"


def _mismatch(a: Evaluation, b: Evaluation) -> str:
    if a.images == b.images:
        return f"after {_steps(a.steps)}, the other side after {b.steps}"
    return f"{describe_evaluation(a)}, the other side {describe_evaluation(b)}"


def _describe_verdict(comparison: AccuracyComparison, evaluation: Evaluation, difference: Interval) -> str:
    if comparison.verdict is AccuracyVerdict.DIFFERS:
        return f"They differ by {_points(difference.value)} points (95 % {_between(difference)})."
    bound = max(abs(difference.low or 0.0), abs(difference.high or 0.0))
    return (
        f"No difference can be claimed from {_steps(evaluation.steps)} and {evaluation.images} test images; "
        f"one of more than {100 * bound:.1f} points is excluded (95 %)."
    )


def _describe_losses(comparison: AccuracyComparison) -> str:
    losses = comparison.losses
    if losses is None:
        return "Training loss is not compared: at least one side has no finite loss at a step that both took."
    slow, fast = comparison.slow.title, comparison.fast.title
    steps = f"the last {losses.last} of {losses.steps} common steps"
    means = f"{slow} {losses.means[0]:.3f}, {fast} {losses.means[1]:.3f}"
    first = f"The first batch's: {losses.first[0]:.3f} and {losses.first[1]:.3f}"
    return f"Mean training loss over {steps}: {means}; {_describe_difference(losses)}. {first}."


def _describe_difference(losses: LossComparison) -> str:
    i = losses.difference
    if i.low is None or i.high is None:
        return f"difference {_signed(i.value)}, interval unknown"
    claim = "" if i.excludes(0) else ": no difference can be claimed"
    within = f"95 % {_signed(i.low)} to {_signed(i.high)}, within one run of each"
    return f"difference {_signed(i.value)} ({within}){claim}"


def _describe_repeats(subjects: Sequence[Subject]) -> Iterator[str]:
    for subject in subjects:
        largest = largest_loss_difference(subject.runs)
        if largest is not None:
            runs = f"the losses of {subject.title}'s {len(subject.runs)} runs"
            yield f"At equal steps, {runs} differ by at most {largest:.2g}."


def _steps(count: int) -> str:
    return f"{count} step{'s' * (count != 1)}"


def _between(i: Interval) -> str:
    return f"{_points(i.low or 0.0)} to {_points(i.high or 0.0)}"


def _points(share: float) -> str:
    return _minus(f"{100 * share:+.1f}")


def _signed(loss: float) -> str:
    return _minus(f"{loss:+.3f}")


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")
