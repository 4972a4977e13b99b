"""Run each framework in fresh processes, in an order fixed in advance, then report; the main job."""

import argparse
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from epoch_gap.profiler.commands import report
from epoch_gap.profiler.commands.exit_status import INTERRUPTED, TERMINATED, USAGE_ERROR
from epoch_gap.profiler.commands.options import add_workload, framework_names, positive, workload_arguments
from epoch_gap.profiler.machine import run_lock as busy
from epoch_gap.workloads.cifar10.load import settled

SAID = (USAGE_ERROR, INTERRUPTED, TERMINATED)
"""statuses of a run that has said itself why it ended"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--frameworks", type=framework_names, default=["torch", "lucid"], metavar="A,B")
    parser.add_argument("--repeats", type=positive, default=1, metavar="N", help="processes each (default: 1)")
    parser.add_argument("--out", type=Path, default=report.DEFAULT_OUT, metavar="DIR")
    add_workload(parser)


def execute(args: argparse.Namespace) -> int:
    """Run, then report on these runs together with the newest comparable ones of other frameworks."""
    report.prepare(args.out)
    args.data, warning = settled(args.data)
    if warning:
        print(f"warning: {warning}", file=sys.stderr)
    order = alternating(args.frameworks, args.repeats)
    common = [*workload_arguments(args), "--data-warning", warning or ""]
    status, paths = in_turn(
        {name: ["--framework", name, *common] for name in args.frameworks}, order, args.allow_busy
    )
    return status or report.write(report.with_latest_others(paths, args.runs_dir), args.out, args.runs_dir)


def in_turn(words: Mapping[str, Sequence[str]], order: Sequence[str], allow_busy: bool) -> tuple[int, list[Path]]:
    """Run `words` (of `run`) by name in `order`, each in a fresh process, as one session.

    The runs' directories, and the exit status of the first that failed: it ends the session. Raises UserError where
    another timed run is going on.
    """
    session = secrets.token_hex(4)
    paths: list[Path] = []
    with busy.present(session, allow_others=allow_busy):
        for number, name in enumerate(order, start=1):
            print(f"[{number}/{len(order)}] {name}", file=sys.stderr, flush=True)
            turn = ["--session", session, "--turn", str(number), "--order", ",".join(order)]
            status, path = _run_process([*words[name], *turn])
            if path is not None:
                paths.append(path)
            if status:
                if status not in SAID:
                    print(f"{name} ended with status {status}; not reported", file=sys.stderr)
                return status, paths
    return 0, paths


def alternating(frameworks: Sequence[str], repeats: int) -> list[str]:
    """A B B A A B ...: a slow change of the machine falls on all alike."""
    forth, back = list(frameworks), list(reversed(frameworks))
    return [name for repeat in range(repeats) for name in (forth if repeat % 2 == 0 else back)]


def _run_process(words: Sequence[str]) -> tuple[int, Path | None]:
    """Exit status of `run` in a process of its own, and the run's directory where it made one.

    SIGTERM is passed on; Ctrl-C reaches the whole process group by itself. Either way the child ends its run first.
    """
    command = [sys.executable, "-m", "profiler", "run", *words]
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
