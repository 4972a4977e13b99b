"""The profiler in processes of their own, and waiting for their state."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from epoch_gap.profiler.storage.reader import find_runs
from epoch_gap.profiler.storage.schema import DATABASE
from tests.helpers.paths import ROOT

GIVE_UP_S = 300
"""a process that has not stored a step by then never will"""


KILLED = """
import os, signal, sys
from pathlib import Path
from epoch_gap.profiler.storage.writer import create_run
from tests.helpers.recorded import known_step
from tests.helpers.runs import manifest
writer = create_run(Path(sys.argv[1]), manifest())
writer.steps([known_step(0), known_step(1)])
os.kill(os.getpid(), signal.SIGKILL)
"""


def store_killed_run(runs: Path) -> Path:
    """The directory of a run whose process was killed after it had stored two steps."""
    result = subprocess.run([sys.executable, "-c", KILLED, str(runs)], cwd=ROOT)
    assert result.returncode == -signal.SIGKILL
    return find_runs(runs)[0]


def start_profiler(*words: str) -> "subprocess.Popen[str]":
    """Start a verb. It receives Ctrl-C even if the tests themselves run in the background, which ignores it."""
    return subprocess.Popen(
        [sys.executable, "-m", "profiler", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for_steps(runs: Path, process: "subprocess.Popen[str]") -> Path:
    """The run's directory as soon as its first steps are on disk."""
    give_up = time.monotonic() + GIVE_UP_S
    while process.poll() is None and time.monotonic() < give_up:
        for path in find_runs(runs):
            if _has_steps(path):
                return path
        time.sleep(0.02)
    process.kill()
    raise AssertionError(process.communicate())


def _has_steps(path: Path) -> bool:
    with closing(sqlite3.connect(path / DATABASE, timeout=5)) as db:
        tables = db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'events'").fetchone()[0]
        return bool(tables and db.execute("SELECT count(*) FROM steps").fetchone()[0])


def store_interpreter(path: Path, *words: str) -> Path:
    """An executable `path` that starts this interpreter, and adds `words` to the verbs that train."""
    more = " ".join(f"'{word}'" for word in words)
    python = f'exec "{sys.executable}" "$@"'
    path.write_text(f'#!/bin/sh\ncase "$3" in run|layers) {python} {more};; esac\n{python}\n')
    path.chmod(0o755)
    return path


def run_ranks(runs: Path, ranks: int, *words: str) -> "subprocess.CompletedProcess[str]":
    """A small PyTorch training of several ranks under torchrun, which waits for the last one."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}", "-m"]
    workload = ["--framework", "torch", "--device", "cpu", "--data", "synthetic", "--preset", "smoke"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    options = [*workload, "--batch-size", "2", "--train-limit", "60", "--runs-dir", str(runs)]
    command = [*launch, "tests.helpers.rank_program", *options, *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
