"""Sessions: several `run` processes, one after the other, in an order fixed in advance."""

import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from epoch_gap.profiler.commands.shared.exit_status import INTERRUPTED, TERMINATED, USAGE_ERROR
from epoch_gap.profiler.machine.run_lock import hold_run_lock

EXPLAINED = (USAGE_ERROR, INTERRUPTED, TERMINATED)
"""exit statuses of a run that has already printed the reason"""


def alternating_order(names: Sequence[str], repeats: int) -> list[str]:
    """A B B A A B ...: a slow change of the machine affects all of them equally."""
    forward, backward = list(names), list(reversed(names))
    return [name for repeat in range(repeats) for name in (forward if repeat % 2 == 0 else backward)]


def run_session(
    arguments: Mapping[str, Sequence[str]], order: Sequence[str], allow_busy: bool
) -> tuple[int, list[Path]]:
    """Execute the verb `run` for each name in `order` with that name's `arguments`, each in a fresh process.

    Returns the exit status of the first failure, which ends the session, or 0; and the directories of the runs.
    Raises UserError if another timed run is in progress.
    """
    session = secrets.token_hex(4)
    paths: list[Path] = []
    with hold_run_lock(session, allow_others=allow_busy):
        for number, name in enumerate(order, start=1):
            print(f"[{number}/{len(order)}] {name}", file=sys.stderr, flush=True)
            turn = ["--session", session, "--turn", str(number), "--order", ",".join(order)]
            status, path = _run_process([*arguments[name], *turn])
            if path is not None:
                paths.append(path)
            if status:
                if status not in EXPLAINED:
                    print(f"{name} ended with status {status}; no result is reported", file=sys.stderr)
                return status, paths
    return 0, paths


def _run_process(arguments: Sequence[str]) -> tuple[int, Path | None]:
    """The exit status of `run` in a process of its own, and the run's directory if it created one.

    SIGTERM is passed on; Ctrl-C reaches the whole process group by itself. Either way, this function returns
    only after the child has ended its run.
    """
    command = [sys.executable, "-m", "epoch_gap.profiler", "run", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        before = signal.signal(signal.SIGTERM, lambda signum, frame: process.terminate())
        try:
            output, _ = process.communicate()
        except KeyboardInterrupt:
            output, _ = process.communicate()
        finally:
            signal.signal(signal.SIGTERM, before)
    lines = output.splitlines()
    return process.returncode, Path(lines[-1]) if lines else None
