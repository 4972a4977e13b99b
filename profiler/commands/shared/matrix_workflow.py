"""Let Snakemake execute a plan: on this machine one job at a time, or on a cluster."""

import fcntl
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from epoch_gap.profiler.commands.shared.exit_status import INTERRUPTED, TERMINATED
from epoch_gap.profiler.commands.shared.matrix_environment import find_tool
from epoch_gap.profiler.errors import UserError, os_errors_as_one_line
from epoch_gap.profiler.machine.folder_lock import is_locked

SNAKEFILE = Path(__file__).with_name("Snakefile")
SNAKEMAKE, UV = "snakemake", "uv"


def check_tools(needs_uv: bool) -> None:
    """Raise UserError unless Snakemake and, for environments, uv are installed."""
    for name in (SNAKEMAKE, *([UV] if needs_uv else [])):
        find_tool(name)


def schedule(plan: Path, profile: str | None, at_once: int) -> int:
    """Execute the jobs of the plan in a file. Returns 0, or the status of a plan of which jobs failed.

    `profile` is Snakemake's, for a cluster; `at_once` jobs run at the same time.
    """
    return wait_for([find_tool(SNAKEMAKE), *snakemake_words(plan, profile, at_once)])


def snakemake_words(plan: Path, profile: str | None, at_once: int) -> list[str]:
    """Snakemake's command line.

    The greedy scheduler takes jobs by priority. What has to run is decided by the run store, not by Snakemake's
    files, so its own lock and its rules for running jobs again are turned off.
    """
    place = ["--snakefile", str(SNAKEFILE), "--directory", str(plan.parent), "--configfile", str(plan)]
    rules = ["--keep-going", "--scheduler", "greedy", "--nolock", "--rerun-incomplete", "--rerun-triggers", "mtime"]
    machine = (
        ["--cores", "1", "--quiet", "all"] if profile is None else ["--profile", profile, "--jobs", str(at_once)]
    )
    return [*place, *rules, *machine, "--resources", f"timed={at_once}"]


def wait_for(command: Sequence[str]) -> int:
    """The exit status of a command, after it has ended.

    SIGTERM is passed on, and Snakemake ends after the running jobs; Ctrl-C reaches the whole process group by itself.
    """
    received: list[int] = []

    def terminate(signum: int, frame: object) -> None:
        received.append(signum)
        process.terminate()

    with subprocess.Popen(command) as process:
        before = signal.signal(signal.SIGTERM, terminate)
        try:
            status = process.wait()
        except KeyboardInterrupt:
            process.wait()
            status = INTERRUPTED
        finally:
            signal.signal(signal.SIGTERM, before)
    return TERMINATED if received else status


@contextmanager
def hold_store(store: Path) -> Iterator[None]:
    """Let one `matrix` at a time work on a store. Raises UserError if another one does."""
    with os_errors_as_one_line(f"cannot write runs to {store}", "choose another --runs-dir"):
        store.mkdir(parents=True, exist_ok=True)
        handle = os.open(store, os.O_RDONLY)
        try:
            if is_locked(handle):
                raise UserError(f"another `matrix` works in {store}; wait for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
