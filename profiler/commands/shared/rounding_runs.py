"""The losses of one framework with 1 and with 2 native threads, each in a fresh process."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.machine.environment import THREAD_COUNTS

THREADS = (1, 2)


def losses_by_threads(arguments: Sequence[str]) -> dict[int, list[float]]:
    """The losses that `parity` with these arguments and `--losses-only` prints, by number of threads.

    Raises UserError if a process fails.
    """
    return {threads: _losses(arguments, threads) for threads in THREADS}


def _losses(arguments: Sequence[str], threads: int) -> list[float]:
    """The number of threads is set before the process starts: libraries read it when they are loaded."""
    command = [sys.executable, "-m", "epoch_gap.profiler", "parity", *arguments, "--losses-only"]
    environment = {**os.environ, **dict.fromkeys(THREAD_COUNTS, str(threads))}
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=False)
    if result.returncode:
        raise UserError(f"parity's run with OMP_NUM_THREADS={threads} ended with status {result.returncode}")
    return [float(loss) for loss in json.loads(result.stdout.splitlines()[-1])]
