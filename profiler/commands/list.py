"""List the stored runs, oldest first."""

import argparse

from epoch_gap.profiler.commands.shared.options import add_runs_dir
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.reader import RunHeader, find_runs, read_header


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_runs_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Print one line per run, with the reason if it is unreadable."""
    paths = find_runs(args.runs_dir)
    if not paths:
        print(f"no runs in {args.runs_dir}; run `make profile`")
    for path in paths:
        try:
            print(_describe(read_header(path)))
        except UserError as error:
            print(f"{path.name}  unreadable: {error}")
    return 0


def _describe(run: RunHeader) -> str:
    config = run.manifest.config
    rank = "" if run.manifest.rank is None else f"  {run.manifest.rank.title}"
    return (
        f"{run.id}  {run.status:<11}  {config.preset:<7}  batch {config.batch_size}  "
        f"{run.training_steps} steps  {'  '.join([run.manifest.data.kind, *config.network.settings])}{rank}"
    )
