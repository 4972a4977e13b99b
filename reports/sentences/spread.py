"""A ratio with its interval, and what the interval rests on, in words."""

from epoch_gap.profiler.comparison.gap import Gap, IntervalScope
from epoch_gap.reports import formats

UNKNOWN = "spread between processes: not known; run again"


def describe_ratio(gap: Gap, unit: str = "") -> str:
    """`5.94 times as long, 95 % 5.52 to 6.40`: `unit` after the value; the value alone if no interval is known."""
    ratio = gap.ratio
    value = f"{formats.times(ratio.value)} {unit}".strip()
    return value if ratio.low is None else f"{value}, 95 % {formats.within(ratio.low, ratio.high, 'x')}"


def describe_basis(gap: Gap) -> str:
    """The variation that the interval of the ratio includes."""
    basis = gap.basis
    if basis is None:
        return UNKNOWN if gap.scope is IntervalScope.WITHIN_PROCESSES else f"only one side repeated, {UNKNOWN}"
    earlier = f"{basis.earlier_rounds} rounds of {_name_earlier(gap, basis.earlier_sessions)}"
    if gap.scope is IntervalScope.WIDENED:
        spread = "the machine's noise floor" if basis.from_noise_floor else f"the spread between {earlier}"
        return f"one process of each, widened by {spread}"
    if not gap.pairing.is_paired:
        return "between processes"
    pooled = f", with the spread of {earlier} pooled" if basis.earlier_sessions else ""
    return f"between {_plural(basis.rounds, 'round')}{pooled}"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _name_earlier(gap: Gap, count: int) -> str:
    """Earlier sessions; in a matrix, pairs of other versions that alternated in the same session."""
    sessions = {run.manifest.session for pair in gap.earlier for side in pair for run in side.runs}
    if sessions == {gap.slow.manifest.session}:
        return f"{_plural(count, 'other pair')} of versions"
    return _plural(count, "earlier session")
