"""Do two subjects learn the same? Losses at equal step counts, and accuracies after equal numbers of steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from epoch_gap.profiler.analysis import stats
from epoch_gap.profiler.analysis.accuracy import Evaluation, common_steps, list_evaluations
from epoch_gap.profiler.analysis.stats import Interval
from epoch_gap.profiler.comparison.gap import Gap
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.storage.run import Run

MOST_LAST = 20
"""Losses are compared over the last steps that both sides took: their second half, at most this many."""


class AccuracyVerdict(StrEnum):
    """The result of comparing two test accuracies; the values are stored in summary.json."""

    DIFFERS = "differs"
    NO_CLAIM = "no difference can be claimed"
    NOT_COMPARABLE = "not comparable"
    """evaluated after different numbers of steps, or on different numbers of images"""
    NOT_EVALUATED = "not evaluated"
    """at least one side has no evaluation"""


class Likeness(StrEnum):
    """Whether a condition was the same on both sides; the values are stored in summary.json."""

    SAME = "same"
    DIFFERENT = "different"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class LossComparison:
    """Training losses of both sides at equal step counts."""

    steps: int
    """the steps that both sides took"""
    last: int
    """the number of last common steps over which the means are taken"""
    first: tuple[float, float]
    """the loss of the first batch, of `slow` and of `fast`"""
    means: tuple[float, float]
    """the mean loss of the last common steps, of `slow` and of `fast`"""
    difference: Interval
    """slow - fast, from the differences step by step; the interval covers their variation from step to step only"""


@dataclass(frozen=True)
class AccuracyComparison:
    """Losses and test accuracies of two subjects, from the first run of each."""

    slow: Subject
    fast: Subject
    losses: LossComparison | None
    """None if a side has no finite loss at a common step"""
    evaluations: tuple[Evaluation | None, Evaluation | None]
    """those compared, or the last one of each side; None: not evaluated"""
    data_order: Likeness
    initialisation: Likeness

    @property
    def difference(self) -> Interval | None:
        """The accuracy of `slow` minus that of `fast`; None unless both are comparable."""
        a, b = self.evaluations
        return accuracy_difference(a, b) if a and b and _are_comparable(a, b) else None

    @property
    def verdict(self) -> AccuracyVerdict:
        """`DIFFERS` only if the interval of the difference excludes 0."""
        if None in self.evaluations:
            return AccuracyVerdict.NOT_EVALUATED
        if self.difference is None:
            return AccuracyVerdict.NOT_COMPARABLE
        return AccuracyVerdict.DIFFERS if self.difference.excludes(0) else AccuracyVerdict.NO_CLAIM


def accuracy_difference(a: Evaluation, b: Evaluation) -> Interval:
    """a - b with the 95 % hybrid score interval for two independent proportions (method 10 of Newcombe 1998).

    Both sides saw the same test images. Their answers are then positively correlated as a rule, and the interval is
    wider than necessary.

    Newcombe, R. G. (1998): Interval estimation for the difference between independent proportions. Stat. Med. 17.
    """
    p, q = a.accuracy, b.accuracy
    difference = p.value - q.value
    below, above = (math.hypot(*_distances(*sides)) for sides in ((p, q), (q, p)))
    return Interval(difference, difference - below, difference + above)


def _distances(falls: Interval, rises: Interval) -> tuple[float, float]:
    """From the value of `falls` down to its lower end, and of `rises` up to its upper end."""
    assert falls.low is not None
    assert rises.high is not None
    return falls.value - falls.low, rises.high - rises.value


def compare_accuracy(gap: Gap) -> AccuracyComparison:
    """The first runs of both sides: with one seed, repeats are not independent samples of the accuracy."""
    slow, fast = gap.slow.first, gap.fast.first
    return AccuracyComparison(
        slow=gap.slow,
        fast=gap.fast,
        losses=_compare_losses(slow, fast),
        evaluations=_choose_evaluations(list_evaluations(slow), list_evaluations(fast)),
        data_order=_likeness(slow, fast, "data_order"),
        initialisation=_likeness(slow, fast, "initialisation"),
    )


def _compare_losses(slow: Run, fast: Run) -> LossComparison | None:
    steps = common_steps((slow, fast))
    last = min(MOST_LAST, -(-steps // 2))
    a, b = (run.train.loss[:steps] for run in (slow, fast))
    a_last, b_last = a[steps - last :], b[steps - last :]
    if not last or not np.isfinite([*a_last, *b_last, a[0], b[0]]).all():
        return None
    difference = stats.mean(a_last - b_last).interval()
    first, means = (float(a[0]), float(b[0])), (float(a_last.mean()), float(b_last.mean()))
    return LossComparison(steps, last, first, means, difference)


def _choose_evaluations(
    slow: Sequence[Evaluation], fast: Sequence[Evaluation]
) -> tuple[Evaluation | None, Evaluation | None]:
    """The latest two that are comparable; otherwise the last of each side."""
    pairs = [(a, b) for a in slow for b in fast if _are_comparable(a, b)]
    return pairs[-1] if pairs else (slow[-1] if slow else None, fast[-1] if fast else None)


def _are_comparable(a: Evaluation, b: Evaluation) -> bool:
    return (a.steps, a.images) == (b.steps, b.images)


def _likeness(a: Run, b: Run, condition: str) -> Likeness:
    """Of a condition that the framework describes and that the seed decides."""
    values = [run.framework.conditions.get(condition) for run in (a, b)]
    if None in values:
        return Likeness.UNKNOWN
    alike = values[0] == values[1] and a.config.seed == b.config.seed
    return Likeness.SAME if alike else Likeness.DIFFERENT
