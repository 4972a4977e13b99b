"""Write a stored run's steps, epochs and phases as tables for other programs."""

import argparse
import sys
from pathlib import Path

from epoch_gap.profiler.commands.options import add_runs_dir
from epoch_gap.profiler.commands.report import prepare_for, writing
from epoch_gap.profiler.comparison import subject
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage import atomic as files
from epoch_gap.profiler.storage import store
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports.export import tables


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("run", metavar="RUN", help="a run's directory, its id, or a part of it that no other has")
    parser.add_argument("--format", choices=tables.WRITERS, required=True)
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: export in the run's directory")
    add_runs_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Write the tables, each whole, and print where. Raises UserError; then no file was touched."""
    run = store.read(store.locate(args.run, args.runs_dir))
    out = args.out or run.path / "export"
    found = {"steps": tables.steps(run), "epochs": tables.epochs(run), "phases": tables.phases(_subject(run))}
    prepare_for(out, [f"{name}.{form}" for name in found for form in tables.WRITERS])
    with writing(out):
        for name, table in found.items():
            path = out / f"{name}.{args.format}"
            with files.whole(path) as stream:
                tables.WRITERS[args.format](table, stream)
            print(path)
    return 0


def _subject(run: Run) -> Subject | None:
    """None where no epoch can be told from the run's steps; they are exported all the same."""
    try:
        return subject.of(subject.subject_id(run), (run,))
    except UserError as error:
        print(f"warning: phases are left empty: {error}", file=sys.stderr)
        return None
