"""How a diagnosis ends: what each cause of a gap is worth when it is removed, and what would close the gap.

The slow side's epoch over the fast side's is a product: one factor for each cause, removed one after the other, one
for what the causes do together, and the rest. A cause is removed on every side that has it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

CLOSE = 1.5
"""the ratio of the two epochs that a list of changes should reach"""


@dataclass(frozen=True)
class Cause:
    """A change of the slow side, or of both."""

    name: str
    gain: float
    """seconds per epoch that it saves on the slow side, alone"""
    is_tested: bool
    """whether that was measured; else it is predicted"""
    fast_gain: float = 0.0
    """seconds per epoch that it saves on the fast side, alone"""
    is_tested_on_fast: bool | None = None
    """None: it is no change of the fast side, or nothing is known of it there"""

    def worth(self, ratio: float) -> float:
        """The seconds that it saves on the slow side beyond those that keep the epochs at this ratio."""
        return self.gain - ratio * self.fast_gain


@dataclass(frozen=True)
class Factor:
    """A cause, and the ratio of the epochs before its removal over that after it."""

    cause: Cause
    factor: float


@dataclass(frozen=True)
class Diagnosis:
    """A gap as a product: `ratio` = all factors x `together` x `rest`."""

    ratio: float
    """the slow side's epoch over the fast side's"""
    factors: tuple[Factor, ...]
    """the cause that lowers the ratio most first"""
    together: float
    """what the causes do together beyond the sum of their gains; 1 if that was not measured"""
    rest: float
    """the ratio that is left"""
    shortest: tuple[Cause, ...] | None
    """the fewest changes that bring the ratio to `CLOSE`, the largest gain first; None: all of them do not"""


@dataclass(frozen=True)
class _Epochs:
    """The seconds of an epoch of both sides."""

    slow: float
    fast: float

    @property
    def ratio(self) -> float:
        return self.slow / self.fast

    def without(self, cause: Cause) -> "_Epochs":
        return _Epochs(self.slow - cause.gain, self.fast - cause.fast_gain)


def diagnose(
    slow: float,
    fast: float,
    causes: Sequence[Cause],
    gain_together: float | None = None,
    fast_gain_together: float | None = None,
) -> Diagnosis:
    """The diagnosis of an epoch of `slow` seconds beside one of `fast`, both > 0.

    The last two are the measured gains of all causes of a side at once. A change that saves nothing on the slow side
    or does not lower the ratio is no cause, and neither is one whose gains would add up to more than an epoch.
    """
    before = left = _Epochs(slow, fast)
    factors: list[Factor] = []
    for cause in list_causes(slow, fast, causes):
        after = left.without(cause)
        if after.slow > 0 and after.fast > 0:
            factors.append(Factor(cause, left.ratio / after.ratio))
            left = after
    end = _Epochs(
        slow - gain_together if gain_together is not None and gain_together < slow else left.slow,
        fast - fast_gain_together if fast_gain_together is not None and fast_gain_together < fast else left.fast,
    )
    shortest = _shortest(before, [factor.cause for factor in factors], end)
    return Diagnosis(before.ratio, tuple(factors), left.ratio / end.ratio, end.ratio, shortest)


def list_causes(slow: float, fast: float, causes: Sequence[Cause]) -> list[Cause]:
    """The changes that save time on the slow side and lower the ratio of the epochs, the largest first."""
    ratio = slow / fast
    able = [cause for cause in causes if cause.gain > 0 and cause.worth(ratio) > 0]
    return sorted(able, key=lambda cause: -cause.worth(ratio))


def _shortest(before: _Epochs, causes: Sequence[Cause], end: _Epochs) -> tuple[Cause, ...] | None:
    """The first causes, by what they are worth at the ratio `CLOSE`, that suffice; with all of them, `end` counts."""
    if before.ratio <= CLOSE:
        return ()
    ordered = sorted(causes, key=lambda cause: -cause.worth(CLOSE))
    left = before
    for number, cause in enumerate(ordered, start=1):
        left = left.without(cause)
        if (end if number == len(ordered) else left).ratio <= CLOSE:
            return tuple(ordered[:number])
    return None
