"""What a recorder hands on: a sink that keeps it, steps and readings from known numbers."""

from dataclasses import replace

import numpy as np

from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import Ledger
from epoch_gap.profiler.recording.recorder import Epoch, Reading, Stage, Step
from tests.helpers.clocks import ScriptedClock


class Kept:
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


def a_step(index: int, stage: Stage = "train") -> Step:
    return Step(
        stage,
        Ledger.ASRUN,
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


S = 10**9


QUIET = Reading(0, 1_000_000, 800_000, 500_000_000, 0.0, 0.0, 0.0, 1.0, 0, 0)


def readings(n: int = 6, **last: float) -> tuple[Reading, ...]:
    """One every 10 s on two cores, both kept busy by the run; `last` is reached evenly."""
    share = np.linspace(0, 1, n)
    return tuple(
        replace(
            QUIET,
            at_ns=i * 10 * S,
            busy_s=20.0 * i,
            own_s=20.0 * i,
            **{
                name: type(getattr(QUIET, name))(getattr(QUIET, name) + part * (value - getattr(QUIET, name)))
                for name, value in last.items()
            },
        )
        for i, part in enumerate(share)
    )
