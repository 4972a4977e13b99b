"""This process's place in a distributed training, from the variables that its launcher has set."""

import hashlib
import json
import os
import platform
from dataclasses import dataclass

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.machine.environment import read_boot

LAUNCH = ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", "MASTER_ADDR", "MASTER_PORT")
"""the variables in which two trainings on one machine differ"""


@dataclass(frozen=True, kw_only=True)
class Rank:
    """One process of a distributed training."""

    rank: int
    """from 0"""
    world_size: int
    """processes of the training"""
    host: str = ""
    boot: str = ""
    """the host's boot: processes of equal boots read one monotonic clock. Empty: unknown"""

    @property
    def title(self) -> str:
        """The rank among all, for display."""
        return f"rank {self.rank} of {self.world_size}"


def read_rank() -> Rank | None:
    """The rank that torchrun (`RANK`, `WORLD_SIZE`) or mlx.launch (`MLX_RANK`, `MLX_HOSTFILE`) gave this process.

    None for a process that no launcher has started. Raises UserError for a rank that cannot be.
    """
    number, size = _variables()
    if not number or not size:
        return None
    try:
        rank, world_size = int(number), int(size)
    except ValueError:
        rank, world_size = -1, 0
    if not 0 <= rank < world_size:
        raise UserError(f"RANK={number} with WORLD_SIZE={size} is no rank of a distributed training; unset both")
    return Rank(rank=rank, world_size=world_size, host=platform.node(), boot=read_boot())


def shared_session() -> str | None:
    """A session that all ranks of this training share, and no other training on this machine; None without ranks.

    Ranks of one host have one parent, the launcher. Over several hosts, only the address that they meet at is shared.
    """
    number, size = _variables()
    if size in ("", "0", "1") and not number:
        return None
    is_one_host = size == os.environ.get("LOCAL_WORLD_SIZE") or "MLX_RANK" in os.environ
    launcher = os.getppid() if is_one_host else None
    told = [launcher, *(os.environ.get(name) for name in LAUNCH)]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:8]


def _variables() -> tuple[str, str]:
    """The rank and the number of ranks as a launcher states them; empty: not stated."""
    if "MLX_RANK" in os.environ:
        return os.environ["MLX_RANK"], str(_hosts(os.environ.get("MLX_HOSTFILE", "")))
    return os.environ.get("RANK", ""), os.environ.get("WORLD_SIZE", "")


def _hosts(path: str) -> int:
    """The number of entries in mlx.launch's file of hosts, one per rank; the file of a single rank is empty."""
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - importing the recorder should cost little
            hosts = json.load(file)
    except (OSError, ValueError):
        return 1
    return len(hosts) if isinstance(hosts, list) else 1
