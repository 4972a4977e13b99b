"""Save the intact part of a damaged run into a new run."""

import argparse

from epoch_gap.profiler.commands.shared.options import add_runs_dir
from epoch_gap.profiler.storage.reader import locate_run
from epoch_gap.profiler.storage.recovery import recover_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("run", metavar="RUN", help="a run, or a unique part of its id")
    add_runs_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Recover the run and print what was saved. Raises UserError if there is nothing to recover."""
    found = recover_run(locate_run(args.run, args.runs_dir), args.runs_dir)
    print(f"saved {found.rows['steps']} steps and {found.rows['epochs']} epochs, up to the damage: {found.damage}")
    print(f"run: {found.path}")
    return 0
