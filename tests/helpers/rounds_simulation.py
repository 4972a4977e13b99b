"""Rounds with known truth: processes whose steps have known means, on machines that change in known ways."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.sufficiency import Sufficiency
from epoch_gap.profiler.comparison.gap import measure_gap
from epoch_gap.profiler.comparison.spread_history import KnownSpread
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import POLICIES
from epoch_gap.profiler.recording.records import ResourceUsage, Step
from epoch_gap.profiler.storage.run import Run, UsageTable
from tests.helpers.runs import MakeRun, retimed

BATCH, STEPS = 8, 390
SPREAD = 0.03
"""standard deviation of a step over its mean"""
SLOW, FAST = 5.0, 1.0
"""seconds per step; the truth is their ratio"""
BOTH = {"slow": SLOW, "fast": FAST}
Speed = Callable[[np.random.Generator, int], NDArray[np.float64]]
"""the machine's slowness over n steps of one process, of mean 1 over many processes"""


def steady(random: np.random.Generator, n: int) -> NDArray[np.float64]:
    return np.ones(n)


def shifting_between(random: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Every process runs at one of two speeds, 5 % apart."""
    return np.full(n, random.choice([0.975, 1.025]))


def shifting_within(random: np.random.Generator, n: int) -> NDArray[np.float64]:
    """The speed changes by 10 % at a random step, up or down."""
    up = np.where(np.arange(n) < random.integers(0, n + 1), 0.95, 1.05)
    return up if random.integers(2) else 2 - up


def shifting(random: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Both."""
    return shifting_between(random, n) * shifting_within(random, n)


SPEEDS: dict[str, Speed] = {
    "steady": steady,
    "5 % between processes": shifting_between,
    "10 % within one": shifting_within,
    "both": shifting,
}


@dataclass(frozen=True)
class Coverage:
    """Shares of the trials."""

    covered: float
    """95 % intervals of the ratio that contain the truth"""
    slower: float
    """comparisons of A with A in which the second came out slower, the direction in which a gate fails"""
    different: float
    """the same in either direction"""
    half_width: float
    """of the intervals, median, as a share of the ratio"""


class Simulation:
    """Draws sessions of rounds; `slow_steps` and `fast_steps` are the steps of a process of each side.

    With `startup`, the fast side starts like PyTorch on glibc, for as many steps as the rule of a round asks for.
    """

    def __init__(self, make_run: MakeRun, slow_steps: int = 9, fast_steps: int = 18, startup: bool = False) -> None:
        self._startup = startup
        fast_steps = sufficient_steps() if startup else fast_steps
        self._bases = {
            name: make_run(
                [1.0] * n,
                images=[BATCH] * n,
                config={"batch_size": BATCH, "label": name},
                full_epoch={"train_images": STEPS * BATCH},
            )
            for name, n in (("slow", slow_steps), ("fast", fast_steps), ("same", slow_steps))
        }

    def session(
        self, random: np.random.Generator, speed: Speed, seconds: dict[str, float], rounds: int, session: str
    ) -> tuple[Subject, ...]:
        """The subjects of one session of rounds."""
        return tuple(
            Subject.from_runs([self._process(name, random, speed, mean, session, i) for i in range(rounds)], id=name)
            for name, mean in seconds.items()
        )

    def _process(
        self, name: str, random: np.random.Generator, speed: Speed, mean: float, session: str, number: int
    ) -> Run:
        base = self._bases[name]
        n = len(base.train)
        series = mean * random.normal(1, SPREAD, n) * speed(random, n)
        manifest = replace(base.manifest, session=session, round=number + 1)
        if self._startup and name == "fast":
            run = with_faults(
                retimed(base, series * startup_seconds(n) / startup_seconds(100)[-1]), startup_faults(n)
            )
        else:
            run = retimed(base, series)
        return replace(run, manifest=manifest)

    def cover(self, speed: Speed, trials: int, rounds: int = 3, earlier: int = 0, seed: int = 20261125) -> Coverage:
        """Sessions of `rounds` rounds after `earlier` other sessions, with the steps' means as the truth."""
        random = np.random.default_rng(seed)
        covered = slower = different = 0
        widths = []
        for _ in range(trials):
            known = [
                self.session(random, speed, {"slow": SLOW, "fast": FAST}, rounds, f"{i}") for i in range(earlier)
            ]
            slow, fast = self.session(random, speed, {"slow": SLOW, "fast": FAST}, rounds, "this one")
            ratio = measure_gap(slow, fast, spread=KnownSpread(tuple(known))).ratio
            assert ratio.low is not None
            assert ratio.high is not None
            covered += ratio.low <= SLOW / FAST <= ratio.high
            widths.append((ratio.high - ratio.low) / 2 / ratio.value)
            same, again = self.session(random, speed, {"slow": SLOW, "same": SLOW}, rounds, "this one")
            verdicts = measure_gap(again, same).verdict, measure_gap(same, again).verdict
            slower += verdicts[0] == "slower"
            different += "slower" in verdicts
        return Coverage(covered / trials, slower / trials, different / trials, float(np.median(widths)))


def with_faults(run: Run, faults: NDArray[np.int64]) -> Run:
    """The run as if its steps had had these page faults, of shape (n,)."""
    zeros = np.zeros(len(faults), np.int64)
    usage = UsageTable(zeros, zeros, faults, zeros, zeros, zeros)
    return replace(run, train=replace(run.train, usage=usage))


def startup_seconds(n: int) -> NDArray[np.float64]:
    """PyTorch's start on glibc, of shape (n,): 2.4 s at first, 1.56 after 35 steps, 1.35 from 60 on."""
    return np.interp(np.arange(n), [0, 35, 60], [2.4, 1.56, 1.35])


def startup_faults(n: int) -> NDArray[np.int64]:
    """The page faults of these steps: they fall to a fifth with the time."""
    return np.round(np.interp(np.arange(n), [0, 35, 60], [500_000, 200_000, 100_000])).astype(np.int64)


def sufficient_steps() -> int:
    """The steps after which the rule of a round lets a process end that starts like PyTorch on glibc."""
    schedule = POLICIES["none"]
    rule = Sufficiency(BATCH, schedule)
    for i, (seconds, faults) in enumerate(zip(startup_seconds(200), startup_faults(200), strict=True)):
        ns = round(seconds * 1e9)
        usage = ResourceUsage(minor_faults=int(faults))
        rule.add(Step("train", schedule(i), 0, i, BATCH, 1.0, 1, i, ns, {Phase.FORWARD: ns}, usage=usage))
        if rule.is_sufficient():
            return i + 1
    raise AssertionError("the rule never lets it end")
