"""Run each framework in fresh processes, in an order fixed in advance, then report; the main job."""

import argparse
from pathlib import Path

from epoch_gap.profiler.commands.shared.options import (
    add_workload,
    framework_names,
    parse_positive,
    workload_arguments,
)
from epoch_gap.profiler.commands.shared.output_folder import REPORTS, prepare_report_folder
from epoch_gap.profiler.commands.shared.printing import warn
from epoch_gap.profiler.commands.shared.reporting import report_runs
from epoch_gap.profiler.commands.shared.run_selection import add_latest_candidates
from epoch_gap.profiler.commands.shared.sessions import alternating_order, run_session
from epoch_gap.profiler.storage.reader import read_run
from epoch_gap.workloads.cifar10.load import resolve_source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--frameworks", type=framework_names, default=["torch", "lucid"], metavar="A,B")
    parser.add_argument(
        "--repeats", type=parse_positive, default=1, metavar="N", help="processes per framework (default: 1)"
    )
    parser.add_argument("--out", type=Path, default=REPORTS, metavar="DIR")
    add_workload(parser)


def execute(args: argparse.Namespace) -> int:
    """Run, then report on these runs together with the newest comparable ones of other frameworks."""
    prepare_report_folder(args.out)
    data, warning = resolve_source(args.data)
    if warning:
        warn(warning)
    common = [*workload_arguments(args, data=data), "--data-warning", warning or ""]
    arguments = {name: ["--framework", name, *common] for name in args.frameworks}
    status, paths = run_session(arguments, alternating_order(args.frameworks, args.repeats), args.allow_busy)
    if status:
        return status
    runs = add_latest_candidates([read_run(path) for path in paths], args.runs_dir)
    report_runs(runs, args.out, args.runs_dir)
    return 0
