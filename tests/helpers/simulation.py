"""Step times with known truth: whole epochs of 390 full steps and a partial batch, of which a run has a sample."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.flags import FlagKind
from epoch_gap.profiler.analysis.stopping import StoppingRule
from epoch_gap.profiler.comparison.gap import measure_gap
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import TimingMode
from epoch_gap.profiler.recording.records import Step
from epoch_gap.profiler.storage.run import Run
from tests.helpers.runs import MakeRun, retimed
from tests.helpers.series import autoregression

STEPS, BATCH, PARTIAL = 390, 8, 5
SPREAD = 0.02
"""standard deviation of a step over its mean, unless the series states another"""
SAMPLE = 60
PARTIAL_SECONDS = 0.8
"""of a full step's: its share of the images is 0.625, the rest does not shrink with the batch"""
EPOCH_START = 0.5
OUTLIER = 5.0
"""seconds that a step of `outliers` takes more than, or less"""
Series = NDArray[np.float64]


def independent(random: np.random.Generator) -> Series:
    return random.normal(1, SPREAD, STEPS)


def autoregressive(random: np.random.Generator) -> Series:
    return 1 + SPREAD * (autoregression(random, 0.5, STEPS) - 10)


def bimodal(random: np.random.Generator) -> Series:
    return independent(random) * random.choice([1.0, 1.2], STEPS, p=[0.7, 0.3])


def outliers(random: np.random.Generator) -> Series:
    return independent(random) * random.choice([1.0, 10.0], STEPS, p=[0.99, 0.01])


def rough(random: np.random.Generator) -> Series:
    """Three times the spread, correlated: what a time budget or a precision has to work for."""
    return 1 + 3 * SPREAD * (autoregression(random, 0.5, STEPS) - 10)


def drifting(random: np.random.Generator) -> Series:
    """5 % slower at the end of the sample than at its beginning."""
    return independent(random) * (1 + 0.05 * np.arange(STEPS) / (SAMPLE - 1))


def shifting(random: np.random.Generator) -> Series:
    """10 % slower from somewhere in the second half of the sample on."""
    return independent(random) * np.where(np.arange(STEPS) < random.integers(SAMPLE // 2, SAMPLE * 3 // 4), 1, 1.1)


def warming(random: np.random.Generator) -> Series:
    """Three times as long at first, with an excess that shrinks to a third from step to step."""
    return independent(random) + 2.0 * 3.0 ** -np.arange(STEPS)


STATIONARY: dict[str, Callable[[np.random.Generator], Series]] = {
    "independent": independent,
    "AR(1), rho 0.5": autoregressive,
    "bimodal": bimodal,
}
MOVING = {"5 % drift": drifting, "no steady state": shifting}


@dataclass(frozen=True)
class Found:
    """Shares of the trials."""

    covered: float
    """95 % intervals of the epoch that contain its seconds, without the excess of the warm-up"""
    flagged: float
    """runs said to drift or to have no steady state"""
    alarms: float
    """A-against-A comparisons that came out slower"""
    half_width: float
    """of the intervals, mean, as a share of the epoch"""
    reachable: float
    """epochs that any method could cover: not those whose outliers all lie outside the sample"""
    covered_seen: float
    """of the epochs whose sample holds an outlier, those that are covered; 0 where there is none"""


def sampled(base: Run, epoch: Series, n: int) -> Run:
    """The first `n` steps of an epoch, as a run."""
    return retimed(replace(base, train=base.train.where(np.arange(len(base.train)) < n)), epoch[:n])


def base_run(make_run: MakeRun, steps: int = SAMPLE) -> Run:
    """A run of `steps` full steps, to be retimed."""
    return make_run(
        [1.0] * steps,
        images=[BATCH] * steps,
        config={"batch_size": BATCH},
        full_epoch={"train_images": STEPS * BATCH + PARTIAL},
    )


def precise(base: Run, epoch: Series, share: float) -> int:
    """The number of steps of a sample that ends once its epoch's training is known within `share`."""
    rule = StoppingRule(BATCH, STEPS * BATCH + PARTIAL, share=share)
    for index, seconds in enumerate(epoch):
        ns = round(seconds * 1e9)
        if rule(Step("train", TimingMode.ASRUN, 0, index, BATCH, 1.0, 1, index, ns, {Phase.FORWARD: ns})):
            break
    return index + 1


def simulate(
    base: Run,
    series: Callable[[np.random.Generator], Series],
    trials: int,
    excess: Series | None = None,
    share: float | None = None,
    seed: int = 20261124,
) -> Found:
    """Sample `trials` pairs of epochs of `series`; `excess`, of shape (390,), is what the truth is without.

    A sample is as long as `base`, or ends when its training is known within `share`.
    """
    random = np.random.default_rng(seed)
    n = len(base.train)
    covered = flagged = alarms = seen = covered_seen = hidden = 0
    width = 0.0
    for _ in range(trials):
        epochs = [series(random), series(random)]
        runs = [sampled(base, epoch, n if share is None else precise(base, epoch, share)) for epoch in epochs]
        truth = epochs[0].sum() - (0 if excess is None else excess.sum()) + PARTIAL_SECONDS + EPOCH_START
        a, b = (Subject.from_runs([run], id=name) for name, run in zip("ab", runs, strict=True))
        analysis = a.analyses[0]
        interval = analysis.asrun.own_epoch.total.interval()
        assert interval.low is not None
        assert interval.high is not None
        covers = interval.low <= truth <= interval.high
        covered += covers
        outlying = epochs[0] > OUTLIER
        holds = bool(outlying[: len(runs[0].train)].any())
        seen += holds
        covered_seen += holds and covers
        hidden += not holds and bool(outlying.any())
        width += (interval.high - interval.low) / 2 / interval.value
        is_unsteady = any(flag.kind is FlagKind.NO_STEADY_STATE for flag in analysis.flags)
        flagged += analysis.has_drifted is True or is_unsteady
        alarms += "slower" in (measure_gap(a, b).verdict, measure_gap(b, a).verdict)
    return Found(
        covered / trials,
        flagged / trials,
        alarms / trials,
        width / trials,
        1 - hidden / trials,
        covered_seen / max(1, seen),
    )
