"""Write the report of stored runs: a page, pictures, summary.json and a CSV of the phases."""

import argparse
from pathlib import Path

from epoch_gap.profiler.commands.shared.options import add_runs_dir
from epoch_gap.profiler.commands.shared.output_folder import REPORTS
from epoch_gap.profiler.commands.shared.reporting import report_runs
from epoch_gap.profiler.commands.shared.run_selection import add_latest_candidates
from epoch_gap.profiler.storage.reader import locate_run, read_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("runs", nargs="*", metavar="RUN", help="default: the newest comparable run of each framework")
    parser.add_argument("--out", type=Path, default=REPORTS, metavar="DIR", help="default: %(default)s")
    parser.add_argument("--svg", action="store_true", help="also write the pictures as SVG")
    add_runs_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Report on the named runs, or on the newest ones."""
    if args.runs:
        named = [read_run(locate_run(name, args.runs_dir)) for name in args.runs]
        runs = list({run.id: run for run in named}.values())
    else:
        runs = add_latest_candidates([], args.runs_dir)
    report_runs(runs, args.out, args.runs_dir, args.svg)
    return 0
