"""The rule of the rounds, on scripted sides and a clock that only they move."""

from dataclasses import dataclass, field

import pytest

from epoch_gap.profiler.commands.shared.rounds import (
    EVALUATION,
    LEAST_BATCHES,
    LEAST_ROUNDS,
    LEAST_STEPS,
    MOST_ROUNDS,
    OUT_OF_TIME,
    TURNS,
    Budget,
    Round,
)
from epoch_gap.profiler.commands.shared.turns import Command, Report

LEAST = 7


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class ScriptedSide:
    """A side whose steps take `seconds`, and whose steps suffice from `enough` on."""

    name: str
    clock: Clock
    seconds: float
    enough: int = LEAST
    setup_seconds: float = 0.0
    ends_after: int | None = None
    """steps after which its data are exhausted"""
    fails_after: int | None = None
    steps: int = 0
    turns: list[tuple[str, int]] = field(default_factory=list)
    """of all sides, in order: (name, steps)"""
    evaluated: list[tuple[int, int]] = field(default_factory=list)
    """(after so many steps, batches)"""
    stopped: str = ""
    has_failed: bool = False

    def ready(self) -> Report:
        return Report(least_steps=LEAST)

    def take_turn(self, command: Command) -> Report | None:
        if command.batches:
            self._evaluate(command.batches)
        self.turns.append((self.name, command.steps))
        for _ in range(command.steps):
            self.steps += 1
            self.clock.now += self.seconds
            if self.steps == self.fails_after:
                self.has_failed = True
                return None
            if self.steps == self.ends_after:
                self._evaluate(0)
                return None
        return Report(self.steps, self.seconds, self.steps >= self.enough, LEAST)

    def finish(self, command: Command) -> None:
        if command.batches:
            self._evaluate(command.batches)
        self.stopped = command.stop

    def _evaluate(self, batches: int) -> None:
        self.evaluated.append((self.steps, batches))
        self.clock.now += batches * self.seconds / 3


def play(*sides: ScriptedSide, seconds: float = 1e6, batches: int | None = None) -> Round:
    clock = sides[0].clock
    shared: list[tuple[str, int]] = []
    for side in sides:
        side.turns = shared
    one = Round(sides, [side.ready() for side in sides], clock() + seconds, batches, clock)
    one.play()
    return one


def two(slow: float = 9.0, fast: float = 1.0, **of_fast: float | None) -> tuple[ScriptedSide, ScriptedSide]:
    clock = Clock()
    return ScriptedSide("slow", clock, slow), ScriptedSide("fast", clock, fast, **of_fast)


def test_the_sides_alternate_and_the_order_turns_around() -> None:
    slow, fast = two()
    play(slow, fast)
    assert [name for name, _ in slow.turns][:8] == ["slow", "fast", "fast", "slow", "slow", "fast", "fast", "slow"]


def test_time_is_in_proportion_to_the_root_of_a_steps_cost() -> None:
    slow, fast = two(slow=9.0, fast=1.0)
    play(slow, fast)
    assert slow.steps == LEAST
    assert 3 * LEAST <= fast.steps <= 3 * LEAST + 4


def test_a_process_trains_at_least_as_long_as_its_setup_took() -> None:
    slow, fast = two(slow=0.1, fast=0.1, setup_seconds=5.0)
    play(slow, fast)
    assert slow.steps == LEAST
    assert 50 <= fast.steps <= 60
    assert len([name for name, _ in fast.turns if name == "fast"]) <= TURNS + 1


def test_all_sides_are_evaluated_once_after_the_same_steps_on_the_same_batches() -> None:
    slow, fast = two()
    one = play(slow, fast)
    assert one.batches is not None
    assert one.batches >= LEAST_BATCHES
    assert slow.evaluated == fast.evaluated == [(LEAST, one.batches)]


def test_a_later_round_keeps_the_number_of_batches() -> None:
    slow, fast = two()
    play(slow, fast, batches=5)
    assert slow.evaluated == [(LEAST, 5)]


def test_the_evaluation_takes_about_its_share_of_the_round() -> None:
    slow, fast = two(slow=9.0, fast=9.0)
    one = play(slow, fast)
    assert one.batches is not None
    trained = (slow.steps + fast.steps) * 9.0
    assert 2 * one.batches * 9.0 / 3 <= 1.2 * EVALUATION * trained + 2 * LEAST_BATCHES * 9.0 / 3


def test_a_side_that_still_warms_up_goes_on_alone() -> None:
    slow, fast = two(enough=60)
    play(slow, fast)
    assert (slow.steps, fast.stopped) == (LEAST, slow.stopped)
    assert 60 <= fast.steps < 70


def test_the_deadline_ends_a_side_that_does_not_suffice_and_says_so() -> None:
    slow, fast = two(enough=10_000)
    clock, start = slow.clock, slow.clock()
    play(slow, fast, seconds=120.0)
    assert fast.stopped == OUT_OF_TIME
    assert fast.evaluated == [(LEAST, slow.evaluated[0][1])]
    assert clock() - start < 120 + 60


def test_a_deadline_that_has_passed_leaves_the_fewest_steps() -> None:
    slow, fast = two(slow=60.0)
    play(slow, fast, seconds=0.0)
    assert slow.steps == LEAST_STEPS
    assert LEAST_STEPS <= fast.steps <= LEAST
    assert slow.evaluated == [(LEAST_STEPS, LEAST_BATCHES)]


def test_a_side_may_run_out_of_data() -> None:
    slow, fast = two(ends_after=5)
    play(slow, fast)
    assert (slow.steps, fast.steps) == (LEAST, 5)


def test_a_side_that_fails_ends_the_round() -> None:
    slow, fast = two(fails_after=3)
    play(slow, fast)
    assert slow.stopped == ""
    assert slow.steps < LEAST


def spend(budget: Budget, clock: Clock, seconds: list[float]) -> list[int]:
    """The rounds that are taken if they last these seconds, the last one again and again."""
    numbers = []
    for number in budget.rounds():
        clock.now += seconds[min(number, len(seconds)) - 1]
        numbers.append(number)
    return numbers


@pytest.mark.parametrize(
    ("seconds", "rounds"),
    [([300.0], LEAST_ROUNDS), ([150.0], 4), ([130.0, 60.0], 8), ([60.0, 130.0, 60.0], 7), ([1.0], MOST_ROUNDS)],
)
def test_there_are_three_rounds_and_more_while_the_longest_fits(seconds: list[float], rounds: int) -> None:
    clock = Clock()
    assert spend(Budget(600, clock=clock), clock, seconds) == list(range(1, rounds + 1))


def test_a_number_of_rounds_that_is_asked_for_is_kept() -> None:
    clock = Clock()
    assert spend(Budget(600, 2, clock), clock, [1.0]) == [1, 2]
    assert len(spend(Budget(600, 12, clock), clock, [300.0])) == 12


def test_a_rounds_deadline_leaves_its_share_to_the_rounds_that_must_follow() -> None:
    clock = Clock()
    budget = Budget(600, clock=clock)
    shares = []
    for _ in budget.rounds():
        shares.append((budget.deadline() - clock()) / (1 - EVALUATION))
        clock.now += 100.0
    assert shares[:3] == pytest.approx([200, 250, 400])
    assert budget.describe(2, "torch: 3 steps").startswith("round 2 of 3 or more, torch: 3 steps; ")
    assert budget.describe(4, "torch: 3 steps").startswith("round 4, torch: 3 steps; ")


def test_the_progress_line_says_how_much_time_is_left() -> None:
    clock = Clock()
    budget = Budget(600, 5, clock)
    clock.now += 15
    assert budget.describe(1, "lucid: 2 steps, 9.1 s per step") == (
        "round 1 of 5, lucid: 2 steps, 9.1 s per step; 9:45 left"
    )
