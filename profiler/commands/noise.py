"""Compare a framework with itself in alternating fresh processes: the noise floor, kept for later reports."""

import argparse
import sys
from pathlib import Path

from epoch_gap.profiler.commands import profile
from epoch_gap.profiler.commands.options import add_workload, positive, workload_arguments
from epoch_gap.profiler.comparison import noise_floor as noise
from epoch_gap.profiler.comparison.gap import gaps
from epoch_gap.profiler.comparison.subject import group
from epoch_gap.profiler.storage import store
from epoch_gap.reports.terminal import tables as text
from epoch_gap.workloads.cifar10.load import settled
from epoch_gap.workloads.registry import FRAMEWORKS

SIDES = ("A", "A again")
FOLDER = "noise"
"""below the runs' directory: these runs are no contenders of a report"""
SECONDS = 60
"""of training per process, where nothing else is asked for"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--framework", choices=FRAMEWORKS, default="torch", help="default: torch")
    parser.add_argument("--repeats", type=_pairs, default=3, metavar="N", help="pairs of processes (default: 3)")
    add_workload(parser)


def _pairs(value: str) -> int:
    number = positive(value)
    if number < 2:
        raise argparse.ArgumentTypeError("one pair has no interval; take at least 2")
    return number


_pairs.__name__ = "whole number"


def execute(args: argparse.Namespace) -> int:
    """Run A, A, A, A ... and keep the half-width of the comparison's interval."""
    store.floors(args.runs_dir)  # that it can be read is known before the work
    args.data, warning = settled(args.data)
    if warning:
        print(f"warning: {warning}", file=sys.stderr)
    runs_dir: Path = args.runs_dir
    args.runs_dir = runs_dir / FOLDER
    if args.preset == "quick" and args.seconds is None and args.steps is None:
        args.seconds = SECONDS
    args.fence = args.fence or "none"
    common = ["--framework", args.framework, *workload_arguments(args), "--data-warning", warning or ""]
    status, paths = profile.in_turn(
        {side: [*common, "--label", side] for side in SIDES},
        profile.alternating(SIDES, args.repeats),
        args.allow_busy,
    )
    if status:
        return status
    runs = [store.read(path) for path in paths]
    gap = gaps(group(runs))[0]
    found = noise.floor(gap)
    store.keep_floor(runs_dir, noise.machine_key(runs[0]), found)
    print(text.noise(found, gap))
    return 0
