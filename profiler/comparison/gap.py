"""The gap between two subjects: by phase, as a ratio, and the verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations, pairwise

from epoch_gap.profiler.analysis.epoch import EpochEstimate
from epoch_gap.profiler.analysis.stats import Estimate, Interval, log_ratio, ratio
from epoch_gap.profiler.comparison.identity import why_incomparable
from epoch_gap.profiler.comparison.pairing import Pairing, pair_processes, pool
from epoch_gap.profiler.comparison.spread import Basis
from epoch_gap.profiler.comparison.spread_history import NOTHING_KNOWN, KnownSpread, variance_of_floor
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.phases import EPOCH_PHASES, Phase, in_order
from epoch_gap.profiler.storage.run import Run

EQUAL_WITHIN = 0.02
"""Two subjects are called equal if the interval of their ratio is inside 1 +- this."""


class Verdict(StrEnum):
    """The result of a comparison; the values are stored in summary.json."""

    SLOWER = "slower"
    EQUAL = "equal"
    UNDECIDED = "undecided"


class IntervalScope(StrEnum):
    """The variation that the interval of a ratio includes; the values are stored in summary.json."""

    BETWEEN_PROCESSES = "between processes"
    WIDENED = "one process of each, widened by the spread between processes"
    WITHIN_PROCESSES = "within one process of each"
    ONE_SIDE_REPEATED = "one side not repeated"


@dataclass(frozen=True)
class Gap:
    """The difference between `slow`'s epoch and `fast`'s, in seconds. The phases sum to the whole."""

    slow: Subject
    fast: Subject
    fast_seconds: float
    """`fast`'s epoch without the excluded phases; adding `seconds` gives `slow`'s epoch"""
    seconds: Estimate
    ratio: Interval
    """its interval is unknown if the spread between processes is"""
    ratio_within: Interval
    """the ratio with what the processes know about themselves, without the spread between processes"""
    basis: Basis | None
    """what the interval of `ratio` rests on; None: the spread between processes is unknown"""
    by_phase: dict[Phase, Estimate]
    pairing: Pairing
    """how the processes of both sides are compared"""
    excluded: tuple[Phase, ...]
    """phases that one side did not measure; excluded from both sums"""
    floor: float | None = None
    """the machine's noise floor as a share: a ratio that is closer to 1 counts as noise; None: not measured"""
    earlier: tuple[tuple[Subject, Subject], ...] = ()
    """both sides in earlier sessions, whose spread is pooled with this one's"""
    fenced: "Gap | None" = None
    """the same gap from fenced steps; None if a side has none"""

    @property
    def scope(self) -> IntervalScope:
        """The variation that the intervals include."""
        repeats = sorted(len(side.analyses) for side in (self.slow, self.fast))
        if repeats[0] >= 2:
            return IntervalScope.BETWEEN_PROCESSES
        if self.basis is not None:
            return IntervalScope.WIDENED
        return IntervalScope.WITHIN_PROCESSES if repeats[1] == 1 else IntervalScope.ONE_SIDE_REPEATED

    @property
    def judged(self) -> Interval:
        """The ratio that the verdict rests on: `ratio_within` if the spread between processes is unknown."""
        return self.ratio_within if self.basis is None else self.ratio

    @property
    def verdict(self) -> Verdict:
        """`SLOWER` only if the intervals exclude equality and the ratio exceeds the noise floor."""
        return Verdict.UNDECIDED if self.is_below_floor else self._verdict_by_interval

    @property
    def is_below_floor(self) -> bool:
        """Whether the verdict would be `SLOWER` without the machine's noise floor."""
        return self._verdict_by_interval is Verdict.SLOWER and self.judged.value <= 1 + (self.floor or 0.0)

    @property
    def is_clear(self) -> bool:
        """Whether the epochs differ, in either direction: by both intervals and beyond the noise floor."""
        return self._intervals_exclude_equality and abs(self.judged.value - 1) > (self.floor or 0.0)

    @property
    def is_faster(self) -> bool:
        """Whether `slow`, the second of two sides that were named beforehand, is clearly faster."""
        return self.is_clear and self.ratio.value < 1 and self.verdict is not Verdict.EQUAL

    def share(self, seconds: float) -> float | None:
        """`seconds` over the gap; None unless the verdict is `SLOWER`, because otherwise there is no gap to split."""
        return seconds / self.seconds.value if self.verdict is Verdict.SLOWER else None

    @property
    def _intervals_exclude_equality(self) -> bool:
        """Whether both intervals exclude equality; with few, skewed steps, one of them alone can exclude it."""
        return self.judged.excludes(1) and self.seconds.interval().excludes(0)

    @property
    def _verdict_by_interval(self) -> Verdict:
        low, high = self.judged.low, self.judged.high
        if low is None or high is None:
            return Verdict.UNDECIDED
        if low > 1 - EQUAL_WITHIN and high < 1 + EQUAL_WITHIN:
            return Verdict.EQUAL
        return Verdict.SLOWER if low > 1 and self._intervals_exclude_equality else Verdict.UNDECIDED


def measure_gaps(subjects: Sequence[Subject], spread: KnownSpread = NOTHING_KNOWN) -> list[Gap]:
    """The gap of every pair that can be compared: first those with the default allocator, the largest first."""
    pairs = (
        max(measure_gap(a, b, spread=spread), measure_gap(b, a, spread=spread), key=_seconds)
        for a, b in combinations(subjects, 2)
        if why_incomparable(a.first, b.first) is None
    )
    return sorted(pairs, key=lambda gap: (_kept_sides(gap), -_seconds(gap)))


def measure_gap(
    slow: Subject,
    fast: Subject,
    excluded: tuple[Phase, ...] | None = None,
    spread: KnownSpread = NOTHING_KNOWN,
) -> Gap:
    """The gap between two subjects, paired by round if at least two processes of each alternated.

    `excluded` phases are excluded from both sums; None: those that one side has but did not measure.
    """
    excluded = _partly_measured_phases(slow, fast) if excluded is None else excluded
    pairing = pair_processes(slow, fast)
    sides = _epochs(slow, fast, excluded)
    sessions = spread.of_pair(slow, fast)
    earlier = [_epochs(a, b, excluded) for a, b in sessions]
    by_phase = {
        phase: part
        for phase in in_order(phase for side in sides for e in side for phase in e.phases)
        if phase not in excluded and (part := _phase_difference(sides, earlier, phase, pairing)) is not None
    }
    floor = spread.floor_of(slow, fast)
    totals, earlier_totals = _totals(sides), [_totals(pair) for pair in earlier]
    log, basis = pairing.log_ratio(*totals, earlier_totals, variance_of_floor(floor))
    fenced = measure_gap(slow.fenced, fast.fenced, spread=spread.fenced()) if slow.fenced and fast.fenced else None
    return Gap(
        slow=slow,
        fast=fast,
        fast_seconds=pool(totals[1]).value,
        seconds=pairing.difference(*totals, earlier_totals),
        ratio=ratio(log),
        ratio_within=ratio(log_ratio(pool(totals[0]), pool(totals[1]))),
        basis=basis,
        by_phase=by_phase,
        pairing=pairing,
        excluded=excluded,
        floor=None if floor is None else floor.share,
        earlier=tuple(sessions),
        fenced=fenced,
    )


def measure_chain(subjects: Sequence[Subject], spread: KnownSpread = NOTHING_KNOWN) -> list[Gap]:
    """The gaps from each subject to the next; they sum to the gap between the first and the last.

    They contain only the phases that every subject measured, so the phases sum, too.
    """
    excluded = _partly_measured_phases(*subjects)
    return [measure_gap(a, b, excluded, spread) for a, b in pairwise(subjects)]


def _kept_sides(gap: Gap) -> int:
    """The order of pairs by allocator: none of the sides keeps memory, both do, or only one."""
    return {0: 0, 2: 1, 1: 2}[sum(side.manifest.keeps_memory for side in (gap.slow, gap.fast))]


def _seconds(gap: Gap) -> float:
    return gap.seconds.value


def _partly_measured_phases(*subjects: Subject) -> tuple[Phase, ...]:
    """The once-per-epoch phases that some run has but did not measure.

    `epoch_start` and `checkpoint` count only if an epoch did not finish; otherwise they took no time.
    """
    runs = [(run, e) for subject in subjects for run, e in zip(subject.runs, subject.any_epoch, strict=True)]
    is_unfinished = not all(run.epochs for run, _ in runs)
    suspects = EPOCH_PHASES if is_unfinished else (Phase.FLUSH, Phase.EVALUATE)
    return tuple(phase for phase in suspects if _is_partly_measured(phase, runs))


def _is_partly_measured(phase: Phase, runs: Sequence[tuple[Run, EpochEstimate]]) -> bool:
    """Whether a run that has the phase lacks its time, and another run has it or does not have the phase."""
    is_measured = [e.phases[phase] is not None for run, e in runs if phase in run.framework.phases]
    return not all(is_measured) and (any(is_measured) or len(is_measured) < len(runs))


Sides = tuple[list[EpochEstimate], list[EpochEstimate]]
"""the epochs of the slow side's processes, and of the fast side's"""


def _epochs(slow: Subject, fast: Subject, excluded: tuple[Phase, ...]) -> Sides:
    of_slow, of_fast = ([e.without(excluded) for e in subject.any_epoch] for subject in (slow, fast))
    return of_slow, of_fast


def _totals(sides: Sides) -> tuple[list[Estimate], list[Estimate]]:
    return [e.total for e in sides[0]], [e.total for e in sides[1]]


def _phase_difference(sides: Sides, earlier: Sequence[Sides], phase: Phase, pairing: Pairing) -> Estimate | None:
    """None if neither side has the phase; a side without it contributes 0."""
    if all(e.phases.get(phase) is None for side in sides for e in side):
        return None
    slow, fast = _parts(sides, phase)
    return pairing.difference(slow, fast, [_parts(pair, phase) for pair in earlier])


def _parts(sides: Sides, phase: Phase) -> tuple[list[Estimate], list[Estimate]]:
    slow, fast = ([e.phases.get(phase) or Estimate(0.0) for e in side] for side in sides)
    return slow, fast
