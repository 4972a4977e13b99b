"""The rank of a process, from the variables of torchrun and of mlx.launch."""

import json
from pathlib import Path

import pytest

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.machine.rank import read_rank, shared_session

VARIABLES = (
    *("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MLX_RANK", "MLX_HOSTFILE"),
    *("MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"),
)


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def set_variables(launch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        launch.setenv(name, value)


def test_a_process_that_no_launcher_started_has_no_rank(launch: pytest.MonkeyPatch) -> None:
    assert read_rank() is None
    assert shared_session() is None


def test_torchrun_tells_the_rank(launch: pytest.MonkeyPatch) -> None:
    set_variables(launch, RANK="1", WORLD_SIZE="4")
    rank = read_rank()
    assert rank is not None
    assert (rank.rank, rank.world_size, rank.title) == (1, 4, "rank 1 of 4")
    assert rank.host


def test_a_single_rank_is_one_too(launch: pytest.MonkeyPatch) -> None:
    set_variables(launch, RANK="0", WORLD_SIZE="1")
    rank = read_rank()
    assert rank is not None
    assert rank.world_size == 1
    assert shared_session() is not None


@pytest.mark.parametrize(("hosts", "size"), [([["a:1"], ["a:2"], ["b:1"]], 3), (None, 1)])
def test_mlx_launch_tells_the_rank(
    launch: pytest.MonkeyPatch, tmp_path: Path, hosts: list[list[str]] | None, size: int
) -> None:
    file = tmp_path / "hosts"
    file.write_text("" if hosts is None else json.dumps(hosts))
    set_variables(launch, MLX_RANK="0", MLX_HOSTFILE=str(file))
    rank = read_rank()
    assert rank is not None
    assert (rank.rank, rank.world_size) == (0, size)


@pytest.mark.parametrize(("rank", "size"), [("2", "2"), ("-1", "2"), ("one", "2"), ("0", "0")])
def test_a_rank_that_cannot_be_is_refused(launch: pytest.MonkeyPatch, rank: str, size: str) -> None:
    set_variables(launch, RANK=rank, WORLD_SIZE=size)
    with pytest.raises(UserError, match="is no rank of a distributed training"):
        read_rank()


def test_ranks_share_a_session_that_another_training_does_not(launch: pytest.MonkeyPatch) -> None:
    set_variables(launch, RANK="0", WORLD_SIZE="2", LOCAL_WORLD_SIZE="2", MASTER_ADDR="a", MASTER_PORT="1")
    first = shared_session()
    launch.setenv("RANK", "1")
    assert shared_session() == first
    launch.setenv("MASTER_PORT", "2")
    assert shared_session() != first
