"""All ranks take the same number of steps, and share the images."""

import importlib
import os
from pathlib import Path
from typing import Any

import pytest

from epoch_gap.profiler.analysis.stopping import ALL_IMAGES
from epoch_gap.workloads.distributed import PROBE, SharedStop, share_of
from tests.helpers.recorded import known_step


class Peers:
    """Stands in for a rank: whatever it says, rank 0 says `told`."""

    world_size = 2

    def __init__(self, told: int | None = None) -> None:
        self.told, self.asked = told, []

    def share(self, value: int) -> int:
        self.asked.append(value)
        return value if self.told is None else self.told


def steps_taken(stop: SharedStop, most: int = 100) -> int:
    return next((i + 1 for i in range(most) if stop(known_step(i))), most)


def stop(peers: Any, steps: int | None = None, seconds: float | None = None) -> SharedStop:
    return SharedStop(peers, steps, seconds)


def test_a_rank_stops_where_rank_0_stops() -> None:
    slow, fast = Peers(told=17), Peers(told=17)
    assert steps_taken(stop(slow, seconds=60.0)) == steps_taken(stop(fast, seconds=60.0)) == 17


def test_rank_0_counts_the_steps_that_fit_into_the_time() -> None:
    peers = Peers()
    rule = stop(peers, seconds=20e-6)  # known steps take 1 us each, a little less each time
    assert steps_taken(rule) == 18
    assert peers.asked == [18]
    assert rule.reason == "the 18 steps of its time were taken"


def test_the_ranks_agree_once_per_epoch() -> None:
    peers = Peers(told=8)
    rule = stop(peers, seconds=60.0)
    assert [steps_taken(rule), steps_taken(rule)] == [8, 8]
    assert len(peers.asked) == 2


def test_a_number_of_steps_needs_no_agreement() -> None:
    peers = Peers()
    rule = stop(peers, steps=PROBE - 1)
    assert steps_taken(rule) == PROBE - 1
    assert peers.asked == []
    assert rule.reason == "its number of steps, 4, was reached"


def test_without_a_limit_all_images_are_used() -> None:
    rule = stop(Peers())
    assert steps_taken(rule) == 100
    assert rule.reason == ALL_IMAGES
    assert not rule.is_due()
    assert not rule.ends_after(10**6)


def test_a_rank_ends_its_evaluation_when_its_own_time_is_over() -> None:
    """No rank waits for another there. A slow framework on small batches evaluated for longer than it trained."""
    now = [100.0]
    rule = SharedStop(Peers(), None, 60.0, clock=lambda: now[0])
    rule(known_step(0))
    now[0] = 159.0
    assert not rule.ends_after(10**6)
    now[0] = 160.0
    assert [rule.ends_after(batches) for batches in (1, 2, 3)] == [False, False, True]
    assert not SharedStop(Peers(), 5, None, clock=lambda: now[0]).ends_after(10**6)


def test_shares_are_equal() -> None:
    assert [share_of(50_000, ranks) for ranks in (1, 2, 3)] == [50_000, 25_000, 16_667]


def test_mlxs_launcher_waits_for_what_ranks_say_and_not_until_they_could_be_told_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its own `select` returns at once, as a rank's input can be written to: it kept a core busy."""
    launch = pytest.importorskip("mlx._distributed_utils.launch")
    mlx_launch = importlib.import_module("epoch_gap.workloads.adapters.mlx_launch")
    used: list[Any] = []
    monkeypatch.setattr(launch, "select", launch.select)
    monkeypatch.setattr(launch, "main", lambda: used.append(launch.select))
    mlx_launch.main()
    with Path(os.devnull).open("wb") as always_ready:
        files: list[int] = [always_ready.fileno()]
        assert used[0]([], files, [], 0) == ([], [], [])
        assert used[0](files, [], [], 0) == (files, [], [])
