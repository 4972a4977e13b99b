"""Interactions: what each of several changes gains alone, on top of the others, and what only all together do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from epoch_gap.profiler.analysis.stats import Estimate, difference, total


@dataclass(frozen=True)
class Part:
    """One of several changes, in seconds per epoch; negative: less time."""

    name: str
    first_in: Estimate
    """alone"""
    last_in: Estimate | None
    """added to all others; None: all others together were not measured"""


@dataclass(frozen=True)
class Interaction:
    """Several changes, alone and together."""

    parts: tuple[Part, ...]
    together: Estimate
    residual: Estimate
    """what they do together beyond the sum of what each does alone; 0: they add up"""


def measure_interaction(effects: Mapping[frozenset[str], Estimate], names: Sequence[str]) -> Interaction | None:
    """The interaction of changes, from the effect of each set of them, each measured against none.

    None unless each alone and all together were measured. The effects come from different runs, so they are
    independent.
    """
    whole = effects.get(frozenset(names))
    alone = {name: effects.get(frozenset([name])) for name in names}
    known = {name: effect for name, effect in alone.items() if effect is not None}
    if whole is None or len(known) < len(names) or len(names) < 2:
        return None
    parts = tuple(
        Part(
            name, first, None if (rest := effects.get(frozenset(names) - {name})) is None else difference(whole, rest)
        )
        for name, first in known.items()
    )
    return Interaction(parts, whole, difference(whole, total(known.values())))


def sets_to_measure(names: Sequence[str]) -> list[tuple[str, ...]]:
    """The combinations of two or more changes that `measure_interaction` uses: all but each, and all together."""
    if len(names) < 2:
        return []
    without_one = [tuple(other for other in names if other != name) for name in names] if len(names) > 2 else []
    return [*without_one, tuple(names)]
