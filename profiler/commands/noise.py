"""Compare a framework with itself in alternating fresh processes: the noise floor, stored for later reports."""

import argparse

from epoch_gap.profiler.commands.shared.options import (
    add_framework,
    add_switches,
    add_workload,
    architecture_of,
    parse_pairs,
    workload_arguments,
)
from epoch_gap.profiler.commands.shared.printing import warn
from epoch_gap.profiler.commands.shared.sessions import alternating_order, run_session
from epoch_gap.profiler.comparison.gap import measure_gaps
from epoch_gap.profiler.comparison.identity import machine_key
from epoch_gap.profiler.comparison.noise_floor import measure_noise_floor
from epoch_gap.profiler.comparison.subject import group_runs
from epoch_gap.profiler.storage.noise_floor_store import load_noise_floors, save_noise_floor
from epoch_gap.profiler.storage.reader import read_run
from epoch_gap.reports.terminal.noise import describe_self_comparison
from epoch_gap.workloads.cifar10.load import resolve_source
from epoch_gap.workloads.experiments import switches_of_sides

SIDES = ("A", "A again")
FOLDER = "noise"
"""folder inside the runs' directory, so that reports do not select these runs"""
SECONDS = 60
"""default seconds of training per process"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_framework(parser, default="torch", help="default: torch")
    parser.add_argument("--repeats", type=parse_pairs, default=3, metavar="N", help="pairs of processes (default: 3)")
    add_switches(parser)
    add_workload(parser)


def execute(args: argparse.Namespace) -> int:
    """Run A, A, A, A ... and store half the interval of the comparison."""
    # refuse bad ones before the work
    switches_of_sides(args.switch, [args.framework], args.device, architecture_of(args))
    load_noise_floors(args.runs_dir)  # and report a damaged file
    data, warning = resolve_source(args.data)
    if warning:
        warn(warning)
    is_unlimited = args.preset == "quick" and args.seconds is None and args.steps is None
    workload = workload_arguments(
        args,
        data=data,
        runs_dir=args.runs_dir / FOLDER,
        seconds=SECONDS if is_unlimited else args.seconds,
        fence=args.fence or "none",
    )
    common = ["--framework", args.framework, *workload, "--data-warning", warning or ""]
    arguments = {side: [*common, "--label", side] for side in SIDES}
    status, paths = run_session(arguments, alternating_order(SIDES, args.repeats), args.allow_busy)
    if status:
        return status
    runs = [read_run(path) for path in paths]
    gap = measure_gaps(group_runs(runs))[0]
    floor = measure_noise_floor(gap)
    save_noise_floor(args.runs_dir, machine_key(runs[0].manifest), floor)
    print(describe_self_comparison(floor, gap))
    return 0
