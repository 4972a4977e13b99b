"""Write a stored run as a trace for https://ui.perfetto.dev (Chrome's trace event format)."""

import argparse
import json
from pathlib import Path

from epoch_gap.profiler.commands.options import add_runs_dir
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage import atomic as files
from epoch_gap.profiler.storage import store
from epoch_gap.reports.export.perfetto import trace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("run", metavar="RUN", help="a run's directory, its id, or a part of it that no other has")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="default: trace.json in the run's directory"
    )
    add_runs_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Write the trace and print where. Raises UserError; then no file was touched."""
    run = store.read(store.locate(args.run, args.runs_dir))
    output = args.output or run.path / "trace.json"
    text = json.dumps(trace(run))
    try:
        files.replace(output, text)
    except OSError as error:
        raise UserError(f"cannot write {output}: {error.strerror}") from None
    print(output)
    return 0
