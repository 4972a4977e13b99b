"""Write a stored run's steps, resource usage, epochs and phases as tables for other programs."""

import argparse
from pathlib import Path

from epoch_gap.profiler.commands.shared.options import add_runs_dir
from epoch_gap.profiler.commands.shared.output_folder import errors_as_one_line, prepare_folder
from epoch_gap.profiler.commands.shared.printing import warn
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.atomic import open_atomically
from epoch_gap.profiler.storage.reader import locate_run, read_run
from epoch_gap.profiler.storage.run import Run
from epoch_gap.profiler.storage.schema import COLLECTIVES
from epoch_gap.reports.export.run_tables import (
    WRITERS,
    collectives_table,
    epochs_table,
    phase_usage_table,
    phases_table,
    steps_table,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("run", metavar="RUN", help="a run's directory, its id, or a unique part of its id")
    parser.add_argument("--format", choices=WRITERS, required=True)
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: export in the run's directory")
    add_runs_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Write the tables, each atomically, and print their paths. Raises UserError before any file is written."""
    run = read_run(locate_run(args.run, args.runs_dir))
    out = args.out or run.path / "export"
    tables = {
        "steps": steps_table(run),
        "phase_usage": phase_usage_table(run),
        "epochs": epochs_table(run),
        "phases": phases_table(_subject(run)),
        **({COLLECTIVES: collectives_table(run)} if len(run.collectives) else {}),
    }
    prepare_folder(out, [f"{name}.{form}" for name in (*tables, COLLECTIVES) for form in WRITERS])
    with errors_as_one_line(out):
        for name, table in tables.items():
            path = out / f"{name}.{args.format}"
            with open_atomically(path) as stream:
                WRITERS[args.format](table, stream)
            print(path)
    return 0


def _subject(run: Run) -> Subject | None:
    """None if no epoch can be estimated from the run's steps, which are exported anyway."""
    try:
        return Subject.from_runs([run])
    except UserError as error:
        warn(f"phases are left empty: {error}")
        return None
