"""One rank of a PyTorch training under torchrun, with what a test plants in a single rank.

Usage: rank_program.py [--one-bucket] [--kill RANK:STEP] [--late RANK:PHASE=SECONDS] WORDS OF `run`...
"""

import os
import signal
import sys
from functools import partial
from typing import Any

from epoch_gap.profiler.commands import run as run_command
from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.recording.recorder import Recorder
from epoch_gap.workloads.adapters import torch_ranks
from epoch_gap.workloads.adapters.torch_ranks import TorchRank


def kill_after(steps: int) -> None:
    """Kill this process in its next step, with all steps before it stored."""
    run_command.Recorder = partial(Recorder, flush_after_ns=0)  # type: ignore[misc]
    step, taken = TorchRank.step, 0

    def step_or_die(self: Any) -> None:
        nonlocal taken
        if taken == steps:
            os.kill(os.getpid(), signal.SIGKILL)
        taken += 1
        step(self)

    TorchRank.step = step_or_die  # type: ignore[method-assign]


def exchange_in_one_bucket() -> None:
    """Reduce all gradients at once at the end of the backward pass: nothing of the exchange hides behind it."""
    whole = partial(torch_ranks.DistributedDataParallel, bucket_cap_mb=1024)
    torch_ranks.DistributedDataParallel = whole  # type: ignore[assignment, misc]


def take(words: list[str], option: str) -> str | None:
    """The value of an option if it is for this rank; the option is removed."""
    if option not in words:
        return None
    place = words.index(option)
    rank, _, value = words[place + 1].partition(":")
    del words[place : place + 2]
    return value if rank == os.environ["RANK"] else None


if __name__ == "__main__":
    words = sys.argv[1:]
    if "--one-bucket" in words:
        words.remove("--one-bucket")
        exchange_in_one_bucket()
    if (steps := take(words, "--kill")) is not None:
        kill_after(int(steps))
    if (late := take(words, "--late")) is not None:
        words += ["--switch", f"planted:{late}"]
    sys.exit(main(["run", *words]))
