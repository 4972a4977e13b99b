"""List the stored runs, oldest first."""

import argparse

from epoch_gap.profiler.commands.options import add_runs_dir
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage import store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_runs_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Print one line per run; a file that cannot be read gets a line that says so."""
    paths = store.find(args.runs_dir)
    if not paths:
        print(f"no runs in {args.runs_dir}; `make profile` makes some")
    for path in paths:
        try:
            run = store.glance(path)
        except UserError as error:
            print(f"{path.name}  unreadable: {error}")
            continue
        config = run.manifest["config"]
        print(
            f"{run.id}  {run.status:<11}  {config['preset']:<7}  batch {config['batch_size']}  "
            f"{run.steps} steps  {run.manifest['data']['kind']}"
        )
    return 0
