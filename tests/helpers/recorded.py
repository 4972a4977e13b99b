"""A sink that keeps what a recorder passes on, and steps and readings with known numbers."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import TimingMode
from epoch_gap.profiler.recording.records import Epoch, Reading, Stage, Step
from tests.helpers.clocks import ScriptedClock


class RecordingSink:
    def __init__(self, clock: ScriptedClock, cost_ns: int = 0) -> None:
        self.kept: list[Step] = []
        self.ended: list[Epoch] = []
        self.read: list[tuple[int, int, Reading]] = []
        self._clock, self._cost_ns = clock, cost_ns

    def steps(self, steps: list[Step]) -> None:
        self._clock.advance(self._cost_ns)
        self.kept += steps

    def epoch(self, epoch: Epoch) -> None:
        self.ended.append(epoch)

    def reading(self, epoch: int, step: int, reading: Reading) -> None:
        self.read.append((epoch, step, reading))


def known_step(index: int, stage: Stage = "train") -> Step:
    return Step(
        stage,
        TimingMode.ASRUN,
        0,
        index,
        10,
        2.5 - index,
        4,
        1000 * index,
        1000 - index,
        {Phase.FETCH: 300, Phase.FORWARD: 700 - index},
        2_000 + index,
    )


SECOND_NS = 10**9


QUIET_READING = Reading(0, 1_000_000, 800_000, 500_000_000, 0.0, 0.0, 0.0, 1.0, 0, 0)


def readings(n: int = 6, **last: float) -> tuple[Reading, ...]:
    """One every 10 s on two cores, both kept busy by the run; `last` is reached evenly."""
    return tuple(
        replace(_toward(last, share), at_ns=i * 10 * SECOND_NS, busy_s=20.0 * i, own_s=20.0 * i)
        for i, share in enumerate(np.linspace(0, 1, n))
    )


def _toward(last: Mapping[str, float], share: float) -> Reading:
    """A quiet reading with the named fields moved by this share of the way to their last values."""
    quiet = {name: getattr(QUIET_READING, name) for name in last}
    moved = {name: type(first)(first + share * (last[name] - first)) for name, first in quiet.items()}
    return replace(QUIET_READING, **moved)
