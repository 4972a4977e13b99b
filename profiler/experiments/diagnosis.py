"""How a diagnosis ends: what each cause of a gap is worth when it is removed, and what would close the gap.

The slow side's epoch over the fast side's is a product: one factor for each cause, removed one after the other, one
for what the causes do together, and the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

CLOSE = 1.5
"""the ratio of the two epochs that a list of changes should reach"""


@dataclass(frozen=True)
class Cause:
    """A change of the slow side."""

    name: str
    gain: float
    """seconds per epoch that it saves, alone"""
    is_tested: bool
    """whether the gain was measured; else it is predicted"""


@dataclass(frozen=True)
class Factor:
    """A cause, and by how much its removal divides what is left of the slow side's epoch."""

    cause: Cause
    factor: float


@dataclass(frozen=True)
class Diagnosis:
    """A gap as a product: `ratio` = all factors x `together` x `rest`."""

    ratio: float
    """the slow side's epoch over the fast side's"""
    factors: tuple[Factor, ...]
    """the largest gain first"""
    together: float
    """what the causes do together beyond the sum of their gains; 1 if that was not measured"""
    rest: float
    """the ratio that is left"""
    shortest: tuple[Cause, ...] | None
    """the fewest changes that bring the ratio to `CLOSE`, the largest gain first; None: all of them do not"""


def diagnose(slow: float, fast: float, causes: Sequence[Cause], gain_together: float | None = None) -> Diagnosis:
    """The diagnosis of an epoch of `slow` seconds beside one of `fast`, both > 0.

    `gain_together` is the measured gain of all causes at once. Causes without a gain are left out, and so are those
    whose gains would add up to more than the epoch.
    """
    ordered = sorted((cause for cause in causes if cause.gain > 0), key=lambda cause: -cause.gain)
    factors: list[Factor] = []
    left = slow
    for cause in ordered:
        if cause.gain < left:
            factors.append(Factor(cause, left / (left - cause.gain)))
            left -= cause.gain
    after = slow - gain_together if gain_together is not None and gain_together < slow else left
    kept = [factor.cause for factor in factors]
    return Diagnosis(slow / fast, tuple(factors), left / after, after / fast, _shortest(slow, fast, kept, after))


def _shortest(slow: float, fast: float, causes: Sequence[Cause], after: float) -> tuple[Cause, ...] | None:
    """The first causes, by gain, that suffice; with all of them, the measured epoch `after` counts."""
    left = slow
    for number, cause in enumerate(causes, start=1):
        left -= cause.gain
        if (after if number == len(causes) else left) <= CLOSE * fast:
            return tuple(causes[:number])
    return None
