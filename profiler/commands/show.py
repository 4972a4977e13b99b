"""Show one stored run: its conditions, its epoch by phase, its losses."""

import argparse

from epoch_gap.profiler.analysis.flags import flags
from epoch_gap.profiler.commands.options import add_runs_dir
from epoch_gap.profiler.comparison.subject import group
from epoch_gap.profiler.storage import store
from epoch_gap.reports.terminal import tables as text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("run", metavar="RUN", help="a run's directory, its id, or a part of it that no other has")
    add_runs_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Print the run."""
    run = store.read(store.locate(args.run, args.runs_dir))
    print(text.conditions(run))
    print(text.phase_table(group([run])))
    for flag in flags(run):
        print(f"{flag.name}: {flag.text}")
    return 0
