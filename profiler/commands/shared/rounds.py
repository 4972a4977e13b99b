"""Rounds: fresh processes of every side that take turns, until enough is known or the time is up.

A round samples what a process keeps for its life (the layout of its memory, for one), so the spread between rounds is
the uncertainty of the comparison. Within a round the sides alternate every few steps: a machine that changes speed
within seconds to minutes changes it for all of them.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from epoch_gap.profiler.analysis.evaluation import LEAST_BATCHES
from epoch_gap.profiler.commands.shared.turns import Command, Report

LEAST_ROUNDS, MOST_ROUNDS = 3, 10
GATE_ROUNDS = 5
"""of a gate, whose two sides are alike: half the interval is 1.2 standard deviations of a round; with three, 2.5"""
TURNS = 7
"""Turns per side and round, if its step is short enough: neighbouring steps are alike, so a sample that is spread
over the round tells more than a contiguous one (docs/decisions/0012)."""
FIRST_TURN = 2
"""steps: the first, which is warm-up, and one that tells how long a step takes"""
LEAST_STEPS = 4
"""The fewest steps before a process is stopped because time is up: one block of as-run steps."""
EVALUATION = 0.1
"""share of a round that its evaluation may take"""
EVALUATION_STEP = 1 / 3
"""of a training step: what a test batch takes, as a first guess"""
DONE, OUT_OF_TIME = "its part of the round was done", "its part of the round's time was spent"


class Side(Protocol):
    """One process of a round."""

    @property
    def name(self) -> str:
        """For the progress line."""

    @property
    def setup_seconds(self) -> float:
        """The time from the start of the process until it was ready for its first step."""

    def take_turn(self, command: Command) -> Report | None:
        """Let the process compute until its turn is over; None if it has ended."""

    def finish(self, command: Command) -> None:
        """Let the process end its run, and wait until it has ended."""

    @property
    def has_failed(self) -> bool:
        """Whether the process has ended without completing its run."""


@dataclass
class _State:
    """What is known of a side in this round."""

    side: Side
    report: Report
    is_evaluated: bool = False
    has_ended: bool = False


@dataclass
class Round:
    """Plays one round of `sides` that are ready for their first step, until `deadline`.

    Every side takes `least_steps` steps at least. A side with a shorter step takes more: the time of a side is in
    proportion to the root of what a step costs, which gives the ratio the smallest variance for the time (Neyman's
    allocation for equal relative spread). A process trains at least as long as its set-up took. A side that still
    warms up goes on, until the deadline.

    All sides are evaluated after the same number of steps, on the same `batches` test batches; None: as many as take
    the share `EVALUATION` of the round.
    """

    sides: Sequence[Side]
    ready: Sequence[Report]
    deadline: float
    batches: int | None = None
    clock: Callable[[], float] = time.monotonic
    show: Callable[[str], None] = lambda text: None
    _states: list[_State] = field(init=False)

    def play(self) -> None:
        """Let the sides take turns until each is done, then let each finish. A side that fails ends the round."""
        self._states = [_State(side, report) for side, report in zip(self.sides, self.ready, strict=True)]
        turn = 0
        while pending := [state for state in self._states if not state.has_ended]:
            for state in pending if turn % 2 == 0 else reversed(pending):
                self._give_turn(state, turn)
                if state.side.has_failed:
                    return
            if turn == 0 and self.batches is None:
                self.batches = self._affordable_batches()
            turn += 1

    def _give_turn(self, state: _State, turn: int) -> None:
        if turn and self._is_done(state):
            is_late = not state.report.is_sufficient
            batches = 0 if state.is_evaluated else self.batches or LEAST_BATCHES
            self._show(state)
            state.side.finish(Command(batches=batches, stop=OUT_OF_TIME if is_late else DONE))
            state.has_ended = True
            return
        is_due = not state.is_evaluated and state.report.steps == self._steps_before_evaluation > 0
        batches = (self.batches or LEAST_BATCHES) if is_due else 0
        self._show(state)
        report = state.side.take_turn(Command(self._steps_of_turn(state, turn), batches))
        state.is_evaluated |= is_due
        if report is None:
            state.has_ended = True
        else:
            state.report = report

    def _is_done(self, state: _State) -> bool:
        report = state.report
        if self.clock() >= self.deadline:
            return report.steps >= LEAST_STEPS
        return report.is_sufficient and report.steps >= self._target(state)

    @property
    def _steps_before_evaluation(self) -> int:
        return max(report.least_steps for report in self.ready)

    def _target(self, state: _State) -> int:
        """The number of steps that a side takes at least."""
        seconds = state.report.seconds_per_step
        slowest = max(other.report.seconds_per_step for other in self._states)
        balanced = state.report.least_steps * math.sqrt(slowest / seconds) if seconds else 0.0
        as_long_as_setup = state.side.setup_seconds / seconds if seconds else 0.0
        return math.ceil(max(self._steps_before_evaluation, balanced, as_long_as_setup))

    def _steps_of_turn(self, state: _State, turn: int) -> int:
        """A turn never passes the step after which the side is evaluated."""
        if turn == 0:
            return FIRST_TURN
        steps = max(1, math.ceil((self._target(state) - FIRST_TURN) / (TURNS - 1)))
        before = self._steps_before_evaluation - state.report.steps
        return min(steps, before) if before > 0 else steps

    def _affordable_batches(self) -> int:
        seconds = sum(self._target(state) * state.report.seconds_per_step for state in self._states)
        batch = EVALUATION_STEP * sum(state.report.seconds_per_step for state in self._states)
        return max(LEAST_BATCHES, int(EVALUATION * seconds / batch)) if batch else LEAST_BATCHES

    def _show(self, state: _State) -> None:
        report = state.report
        known = f", {report.seconds_per_step:.3g} s per step" if report.steps > 1 else ""
        self.show(f"{state.side.name}: {report.steps} steps{known}")


class Budget:
    """The time of a job, counted from now, and the rule that divides it into rounds.

    With `rounds`, there are exactly so many. Without, there are at least `LEAST_ROUNDS`, and more (up to
    `MOST_ROUNDS`) while the longest round so far fits into the time that is left; the first, which alone has fenced
    steps, does not count.
    """

    def __init__(
        self, seconds: float, rounds: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rounds, self._clock = rounds, clock
        self._end = clock() + seconds
        self._took: list[float] = []

    def rounds(self) -> Iterator[int]:
        """The numbers of the rounds, from 1. Take the next one when a round is over."""
        while self._has_another():
            began = self._clock()
            yield self._done + 1
            self._took.append(self._clock() - began)

    def deadline(self) -> float:
        """When the training of the current round ends; its evaluation comes after it."""
        now = self._clock()
        share = max(0.0, self._end - now) / max(1, (self._rounds or LEAST_ROUNDS) - self._done)
        return now + share * (1 - EVALUATION)

    def describe(self, number: int, text: str) -> str:
        """The progress line: the round, what happens in it, and the time that is left."""
        of = (
            f" of {self._rounds}" if self._rounds else f" of {LEAST_ROUNDS} or more" if number <= LEAST_ROUNDS else ""
        )
        left = max(0, round(self._end - self._clock()))
        return f"round {number}{of}, {text}; {left // 60}:{left % 60:02} left"

    def _has_another(self) -> bool:
        if self._rounds is not None or self._done < LEAST_ROUNDS:
            return self._done < (self._rounds or LEAST_ROUNDS)
        longest = max(self._took[1:])
        return self._done < MOST_ROUNDS and self._clock() + longest <= self._end

    @property
    def _done(self) -> int:
        return len(self._took)
