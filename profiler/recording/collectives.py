"""Collectives: when the operations that join all ranks were ready on this one, and when they were done.

They overlap with the phases and end on other threads, so they have a list of their own in place of marks.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from epoch_gap.profiler.phases import Phase


class CollectiveKind(StrEnum):
    """The kinds of collectives; the values are stored."""

    ALL_REDUCE = "all_reduce"
    """every rank gets the sum: the gradients of a bucket"""
    BROADCAST = "broadcast"
    """every rank gets rank 0's values: the buffers of batch normalisation"""
    TIMERS = "timers"
    """no collective: the end of the backward pass's computation and of its communication by the framework's own
    timers, on another clock. Only their difference counts"""


@dataclass(frozen=True, slots=True)
class Collective:
    """One collective of a training step on one rank. Times in nanoseconds of the run's clock."""

    phase: Phase
    """in which the rank waits for it"""
    kind: CollectiveKind
    bytes: int
    ready_ns: int
    """when this rank had its part ready and started it"""
    done_ns: int
    """when the result was there"""


class CollectiveLog:
    """The collectives since the last step. `add` may be called on any thread."""

    def __init__(self, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self.clock = clock
        """the clock of the run's marks"""
        self._done: list[Collective] = []

    def add(self, phase: Phase, kind: CollectiveKind, bytes: int, ready_ns: int, done_ns: int) -> None:
        """Note a collective that is done; one append, which no other thread can interrupt."""
        self._done.append(Collective(phase, kind, bytes, min(ready_ns, done_ns), done_ns))

    def take(self) -> tuple[Collective, ...]:
        """The collectives since the last call, by the time at which they were ready."""
        count = len(self._done)  # another thread may append meanwhile
        done = self._done[:count]
        del self._done[:count]
        return tuple(sorted(done, key=lambda collective: collective.ready_ns))
