"""Who is blamed, against scripts in which it is known who is late, and since which phase."""

import numpy as np
import pytest

from epoch_gap.profiler.distributed.analysis import DistributedAnalysis, analyse_ranks
from epoch_gap.profiler.distributed.straggler import BETWEEN, Blame, Pattern, RankLateness
from epoch_gap.profiler.phases import Phase
from tests.helpers.ranks import Script, late, simulate, without_collectives

PLANTED = 0.2


def blamed(script: Script) -> tuple[Blame, RankLateness, DistributedAnalysis]:
    analysis = analyse_ranks(simulate(script))
    assert analysis.blame.straggler is not None
    return analysis.blame, analysis.blame.straggler, analysis


@pytest.mark.parametrize("phase", [Phase.BACKWARD, Phase.COLLATE, Phase.FORWARD, Phase.STEP])
@pytest.mark.parametrize("rank", [0, 1])
def test_200_ms_are_blamed_on_the_rank_and_the_phase_within_10_ms(phase: Phase, rank: int) -> None:
    blame, straggler, _ = blamed(Script(noise=0.01, delays={phase: late(rank, 1e3 * PLANTED)}))
    assert (blame.pattern, straggler.rank, blame.cause) == (Pattern.CONSTANT, rank, phase)
    assert abs(straggler.cost.value - PLANTED) < 0.010
    assert abs(blame.excess[phase].value - PLANTED) < 0.010
    assert blame.excess[phase].interval().excludes(0)
    assert straggler.last_share == 1
    assert blame.coverage > 0.95


def test_the_straggler_waits_least() -> None:
    blame, straggler, _ = blamed(Script(ranks=4, noise=0.02, delays={Phase.FORWARD: late(2, 100, 4)}))
    assert straggler.rank == 2
    assert straggler.wait == min(rank.wait for rank in blame.by_rank)


def test_removing_the_planted_delay_saves_what_it_was_said_to_cost() -> None:
    delayed = Script(noise=0.01, delays={Phase.BACKWARD: late(1, 1e3 * PLANTED)})
    _, straggler, with_delay = blamed(delayed)
    without = analyse_ranks(simulate(Script(noise=0.01)))
    saved = with_delay.step_seconds - without.step_seconds
    interval = straggler.cost.interval()
    assert abs(interval.value - saved) < 0.010
    cost = with_delay.cost_per_epoch
    assert cost is not None
    assert cost.value == pytest.approx(straggler.cost.value * 10.4)  # 104 images in steps of 10


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("ranks", [2, 8])
def test_without_a_delay_nobody_is_named(seed: int, ranks: int) -> None:
    blame = analyse_ranks(simulate(Script(ranks=ranks, steps=100, noise=0.03, seed=seed))).blame
    assert blame.straggler is None
    assert blame.cause is None
    assert blame.pattern in (Pattern.NOBODY, Pattern.ROTATING)


def test_ranks_that_are_late_in_turn_are_told_from_one_that_always_is() -> None:
    turns = np.where(np.arange(3)[:, None] == np.arange(60) % 3, 150.0, 0.0)
    blame = analyse_ranks(simulate(Script(ranks=3, noise=0.01, delays={Phase.COLLATE: turns}))).blame
    assert (blame.pattern, blame.straggler) == (Pattern.ROTATING, None)
    assert abs(blame.lost.value - 0.15) < 0.010


def test_a_rank_that_is_late_in_every_fourth_step_is_intermittent() -> None:
    some = np.where((np.arange(2)[:, None] == 1) & (np.arange(120) % 4 == 0), 400.0, 0.0)
    blame, straggler, _ = blamed(Script(steps=120, noise=0.02, delays={Phase.COLLATE: some}))
    assert (blame.pattern, straggler.rank, blame.cause) == (Pattern.INTERMITTENT, 1, Phase.COLLATE)
    assert straggler.last_share < 0.8


def test_no_phase_is_the_cause_where_two_share_it() -> None:
    blame, straggler, _ = blamed(
        Script(noise=0.01, delays={Phase.COLLATE: late(1, 100), Phase.BACKWARD: late(1, 100)})
    )
    assert straggler.rank == 1
    assert blame.cause is None
    assert 0.4 < blame.coverage < 0.6


def test_the_excess_of_all_phases_is_what_the_others_wait_longer() -> None:
    blame, _, analysis = blamed(Script(noise=0.05, steps=200, delays={Phase.FORWARD: late(1, 50)}))
    held = sum(times.held.mean(axis=1) for times in analysis.exposed.values()) * 1e-9
    assert sum(excess.value for excess in blame.excess.values()) == pytest.approx(held[0] - held[1], abs=1e-3)
    assert blame.excess[BETWEEN].value == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (Script(ranks=1), "there is one rank"),
        (Script(steps=9, delays={Phase.BACKWARD: late(1, 200)}), "only 7 steps"),
    ],
)
def test_too_little_to_blame_anybody(script: Script, reason: str) -> None:
    blame = analyse_ranks(simulate(script)).blame
    assert blame.pattern is Pattern.UNKNOWN
    assert blame.reason.startswith(reason)


def test_nobody_is_blamed_where_many_steps_lack_times() -> None:
    training = simulate(Script(steps=40, delays={Phase.BACKWARD: late(1, 200)}))
    for step in range(10, 16):
        training = without_collectives(training, rank=0, of_step=step)
    assert analyse_ranks(training).blame.reason == "6 of 38 steps lack the collectives of some rank"


def test_64_ranks_with_one_late() -> None:
    blame, straggler, _ = blamed(Script(ranks=64, steps=100, noise=0.02, delays={Phase.BACKWARD: late(41, 200, 64)}))
    assert (straggler.rank, blame.cause) == (41, Phase.BACKWARD)
    assert 0.1 < straggler.cost.value < 0.2  # the second last of 64 is late, too
