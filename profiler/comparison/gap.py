"""Two subjects: the gap by phase, the ratio, and what may be said of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from epoch_gap.profiler.analysis.epoch import EpochEstimate
from epoch_gap.profiler.analysis.stats import Estimate, Interval, between, difference, log_ratio, ratio
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.phases import EPOCH_PHASES, Phase
from epoch_gap.profiler.storage.run import Run

EQUAL_WITHIN = 0.02
"""Two subjects whose ratio's interval lies inside 1 +- this are called equal."""


@dataclass(frozen=True)
class Gap:
    """How much longer `slow`'s epoch is than `fast`'s, in seconds. The phases sum to the whole."""

    slow: Subject
    fast: Subject
    fast_seconds: float
    """of `fast`'s epoch, without what is left out: what `seconds` is on top of"""
    seconds: Estimate
    ratio: Interval
    by_phase: dict[Phase, Estimate]
    left_out: tuple[Phase, ...]
    """phases that one side did not get to measure; in neither side's sum"""
    floor: float | None = None
    """the machine's noise floor as a share: a ratio no further from 1 is not claimed; None: not measured"""
    fenced: "Gap | None" = None
    """the same, made of fenced steps; None where a side has none"""

    @property
    def between_processes(self) -> bool:
        """Whether the intervals know how much one process differs from the next, on both sides."""
        return min(len(self.slow.runs), len(self.fast.runs)) >= 2

    @property
    def kind(self) -> str:
        """What the intervals know, in words."""
        if self.between_processes:
            return "between processes"
        once = len(self.slow.runs) == len(self.fast.runs) == 1
        return "within one process of each" if once else "one side not repeated"

    @property
    def verdict(self) -> str:
        """slower | equal | undecided: `slower` only if the interval excludes 1 and the ratio is above the floor."""
        return "undecided" if self.below_floor else self._by_interval

    @property
    def below_floor(self) -> bool:
        """Whether the interval alone would say slower, and the machine's noise floor forbids it."""
        return self._by_interval == "slower" and self.ratio.value <= 1 + (self.floor or 0.0)

    def share(self, seconds: float) -> float | None:
        """`seconds` over the gap; None unless the verdict is `slower`: a share is only said of a gap that is one."""
        return seconds / self.seconds.value if self.verdict == "slower" else None

    @property
    def clear(self) -> bool:
        """Whether the epochs differ, either way: the intervals say so and the ratio is beyond the floor."""
        return self._differs and abs(self.ratio.value - 1) > (self.floor or 0.0)

    @property
    def _differs(self) -> bool:
        """Whether both intervals exclude equality: of few wild steps the ratio's alone may, or the difference's."""
        return self.ratio.excludes(1) and self.seconds.interval().excludes(0)

    @property
    def _by_interval(self) -> str:
        low, high = self.ratio.low, self.ratio.high
        if low is None or high is None:
            return "undecided"
        if low > 1 - EQUAL_WITHIN and high < 1 + EQUAL_WITHIN:
            return "equal"
        return "slower" if low > 1 and self._differs else "undecided"


def gaps(subjects: Sequence[Subject], floor: float | None = None) -> list[Gap]:
    """Every pair, the largest gap first."""
    pairs = (max(gap(a, b, floor), gap(b, a, floor), key=_seconds) for a, b in combinations(subjects, 2))
    return sorted(pairs, key=_seconds, reverse=True)


def gap(slow: Subject, fast: Subject, floor: float | None = None, left_out: tuple[Phase, ...] | None = None) -> Gap:
    """The gap between two subjects, over pairs of processes where they alternated, at least two each.

    Without the phases `left_out`; None: those that are not known wherever there is one.
    """
    left_out = _left_out(slow, fast) if left_out is None else left_out
    paired = len(slow.runs) == len(fast.runs) >= 2 and _session(slow) == _session(fast) is not None
    sides = [[e.without(left_out) for e in subject.general] for subject in (slow, fast)]
    by_phase = {
        phase: part
        for phase in Phase
        if phase not in left_out and (part := _difference(sides, phase, paired)) is not None
    }
    totals = [[e.total for e in side] for side in sides]
    seconds = _subtract(totals[0], totals[1], paired)
    fast_seconds = _pooled(totals[1]).value
    fenced = gap(slow.fenced, fast.fenced, floor) if slow.fenced and fast.fenced else None
    log = _log_ratio(totals[0], totals[1], paired)
    return Gap(slow, fast, fast_seconds, seconds, ratio(log), by_phase, left_out, floor, fenced)


def chain(subjects: Sequence[Subject], floor: float | None = None) -> list[Gap]:
    """From each of the subjects to the next: their gaps sum to that of the first and the last.

    Only what every subject measured is in them, so that the phases sum too.
    """
    left_out = _left_out(*subjects)
    return [gap(a, b, floor, left_out) for a, b in pairwise(subjects)]


def _seconds(gap: Gap) -> float:
    return gap.seconds.value


def _session(subject: Subject) -> str | None:
    """The one session in which the subject's runs alternated with others', or None."""
    sessions = {run.manifest["session"] for run in subject.runs}
    return sessions.pop() or None if len(sessions) == 1 else None


def _left_out(*subjects: Subject) -> tuple[Phase, ...]:
    """What happens once per epoch and was not measured in every run that has it.

    `epoch_start` and `checkpoint` only where an epoch was not ended: else they took no time.
    """
    runs = [(run, e) for subject in subjects for run, e in zip(subject.runs, subject.general, strict=True)]
    unfinished = not all(run.epochs for run, _ in runs)
    suspects = EPOCH_PHASES if unfinished else (Phase.FLUSH, Phase.EVALUATE)
    return tuple(phase for phase in suspects if _is_partly_known(phase, runs))


def _is_partly_known(phase: Phase, runs: Sequence[tuple[Run, EpochEstimate]]) -> bool:
    """Whether a run that has the phase lacks its time, and another run has it, or does not have the phase."""
    having = [e.phases[phase] is not None for run, e in runs if phase in run.manifest["framework"]["phases"]]
    return not all(having) and (any(having) or len(having) < len(runs))


def _difference(sides: Sequence[Sequence[EpochEstimate]], phase: Phase, paired: bool) -> Estimate | None:
    """None where neither side has the phase; a side without it adds nothing."""
    parts = [[e.phases[phase] for e in side] for side in sides]
    if all(part is None for side in parts for part in side):
        return None
    slow, fast = ([part or Estimate(0.0) for part in side] for side in parts)
    return _subtract(slow, fast, paired)


def _subtract(slow: Sequence[Estimate], fast: Sequence[Estimate], paired: bool) -> Estimate:
    if paired:
        return between(a.value - b.value for a, b in zip(slow, fast, strict=True))
    return difference(_pooled(slow), _pooled(fast))


def _log_ratio(slow: Sequence[Estimate], fast: Sequence[Estimate], paired: bool) -> Estimate:
    """The mean log ratio over pairs, or the log ratio with its first-order variance."""
    if paired:
        return between(math.log(a.value / b.value) for a, b in zip(slow, fast, strict=True))
    return log_ratio(_pooled(slow), _pooled(fast))


def _pooled(estimates: Sequence[Estimate]) -> Estimate:
    return estimates[0] if len(estimates) == 1 else between(e.value for e in estimates)
