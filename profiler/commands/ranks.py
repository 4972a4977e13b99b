"""Show one distributed training: where each rank waits, what a transfer takes, and who is late."""

import argparse
from pathlib import Path

from epoch_gap.profiler.commands.shared.options import add_runs_dir
from epoch_gap.profiler.commands.shared.output_folder import RANKS
from epoch_gap.profiler.commands.shared.rank_runs import report_ranks, select_training


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="RUN",
        help="a rank's run, for all of its training; or the runs of several ranks (default: the newest training)",
    )
    parser.add_argument("--out", type=Path, default=RANKS, metavar="DIR", help=f"default: {RANKS}")
    add_runs_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Print the tables, and write the page, the pictures and the trace."""
    report_ranks(select_training(args.runs, args.runs_dir), args.out)
    return 0
