"""Write a stored run as a trace for https://ui.perfetto.dev (Chrome's trace event format)."""

import argparse
import json
from pathlib import Path

from epoch_gap.profiler.commands.shared.options import add_runs_dir
from epoch_gap.profiler.errors import os_errors_as_one_line
from epoch_gap.profiler.storage.atomic import write_atomically
from epoch_gap.profiler.storage.reader import locate_run, read_run
from epoch_gap.reports.export.perfetto import run_to_trace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("run", metavar="RUN", help="a run's directory, its id, or a unique part of its id")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="default: trace.json in the run's directory"
    )
    add_runs_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Write the trace and print its path. Raises UserError before any file is written."""
    run = read_run(locate_run(args.run, args.runs_dir))
    output = args.output or run.path / "trace.json"
    text = json.dumps(run_to_trace(run))
    with os_errors_as_one_line(f"cannot write {output}"):
        write_atomically(output, text)
    print(output)
    return 0
