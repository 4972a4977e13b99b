"""Test accuracy of a run: each evaluation with its binomial interval, after a known number of training steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from epoch_gap.profiler.analysis.stats import LEVEL, Interval
from epoch_gap.profiler.storage.run import UNKNOWN, Run


@dataclass(frozen=True)
class Evaluation:
    """One pass over the test images."""

    epoch: int
    steps: int
    """training steps of the whole run before it"""
    correct: int
    images: int
    """test images, at least one"""

    @property
    def accuracy(self) -> Interval:
        """The share of correct predictions with its Wilson interval."""
        return wilson_interval(self.correct, self.images)


def wilson_interval(successes: int, trials: int) -> Interval:
    """The share of successes in at least one trial, with the 95 % score interval of Wilson 1927.

    Wilson, E. B. (1927): Probable inference, the law of succession, and statistical inference. JASA 22.
    """
    z, share = NormalDist().inv_cdf(0.5 + LEVEL / 2), successes / trials
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2)) / (1 + z**2 / trials)
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))


def list_evaluations(run: Run) -> list[Evaluation]:
    """The evaluation of every epoch that counted right answers; a side may train on after its evaluation."""
    uncounted = run.evaluate.epoch[run.evaluate.correct == UNKNOWN]
    return [_evaluation(run, int(epoch)) for epoch in np.unique(run.evaluate.epoch) if epoch not in uncounted]


def _evaluation(run: Run, epoch: int) -> Evaluation:
    rows, train = run.evaluate.epoch == epoch, run.train
    start = run.evaluate.start_ns[rows].min()
    before = (train.epoch < epoch) | ((train.epoch == epoch) & (train.start_ns < start))
    correct, images = (int(column[rows].sum()) for column in (run.evaluate.correct, run.evaluate.images))
    return Evaluation(epoch, int(before.sum()), correct, images)


def common_steps(runs: Sequence[Run]) -> int:
    """The number of first training steps that all runs took alike: with the same numbers in the same epochs."""
    shortest = min(len(run.train) for run in runs)
    keys = [np.stack([run.train.epoch[:shortest], run.train.index[:shortest]]) for run in runs]
    alike = np.logical_and.reduce([(key == keys[0]).all(axis=0) for key in keys])
    return shortest if alike.all() else int(np.argmin(alike))


def largest_loss_difference(runs: Sequence[Run]) -> float | None:
    """The largest difference between two runs' losses at the same step; None with one run or no finite loss."""
    common = common_steps(runs)
    losses = np.stack([run.train.loss[:common] for run in runs])
    spread = np.ptp(losses[:, np.isfinite(losses).all(axis=0)], axis=0)
    return float(spread.max()) if len(runs) > 1 and spread.size else None
